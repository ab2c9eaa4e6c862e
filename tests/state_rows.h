// SPDX-License-Identifier: Apache-2.0
// The state file as its tests open, fill and read it. A test fails where one of them does.
#ifndef POOLMARK_TESTS_STATE_ROWS_H
#define POOLMARK_TESTS_STATE_ROWS_H

#include "broker/state/state.h"

#include <stdint.h>

// state_open with the options of the tests. What acts hold is an int, which counts how often it is released.
int state_rows_try(struct state **state, const char *path, struct err *err);
struct state *state_rows_open(const char *path); // and started
void state_rows_close(struct state *state);      // an orderly end

// The rows in the order of reading, a line each: "KIND:SESSION,DELIVERY,MESSAGE,VALUE,PACKET_ID,QOS,STAGE,RETAIN,TEXT,PAYLOAD".
void state_rows_expect(struct state *state, const char *expected);

struct state_act state_rows_act(enum state_kind kind, const char *text);
void state_rows_note_session(struct state_batch *batch, int64_t session, const char *client);

#endif
