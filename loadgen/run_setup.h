// SPDX-License-Identifier: Apache-2.0
// Before and after a run: its plan, its workers, its files.
#ifndef POOLMARK_LOADGEN_RUN_SETUP_H
#define POOLMARK_LOADGEN_RUN_SETUP_H

#include "loadgen/run.h"

// Could this plan be carried out? Makes it, to be freed by the caller; -EINVAL with the text.
int run_check(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

// How its workers would be divided, which takes no target; nothing to be freed.
int run_divide(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

// Makes the plan, forks the workers, opens the log and the sampler. `record` may be NULL.
int run_open(struct run *run, const struct config *config, struct record *record, struct err *err)
    __attribute__((warn_unused_result));
// Ends latency.hlog and memory.csv: before the record is closed. run_close does it too.
void run_close_files(struct run *run);
void run_close(struct run *run);

#endif
