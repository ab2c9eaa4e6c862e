// SPDX-License-Identifier: Apache-2.0
// Reads a whole state file. It writes nothing.
#ifndef POOLMARK_BROKER_STATE_STATE_LOAD_H
#define POOLMARK_BROKER_STATE_STATE_LOAD_H

#include "broker/state/state_file.h"

// Calls `visit` for each row, in this order: messages and sessions by number; subscriptions; deliveries that
// may have been sent, in the order of sending; queued ones of each session by number; received packet ids;
// retained messages; wills. `highest`: of all numbers. 0; the result of `visit`; or that of state_file_error.
int state_load(struct state_file *file, state_visit *visit, void *context, int64_t *highest, struct err *err)
    __attribute__((warn_unused_result));

#endif
