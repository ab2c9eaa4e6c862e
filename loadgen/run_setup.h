// SPDX-License-Identifier: Apache-2.0
// Opens and closes a run (run.h): its plan, its workers, its files. One thread.
#ifndef POOLMARK_LOADGEN_RUN_SETUP_H
#define POOLMARK_LOADGEN_RUN_SETUP_H

#include "loadgen/run.h"

// Makes the plan, forks the workers, opens the log and the sampler. `record` may be NULL.
int run_open(struct run *run, const struct config *config, struct record *record, struct err *err)
    __attribute__((warn_unused_result));
// Closes latency.hlog and memory.csv. Call it before the record is closed. run_close does it too.
void run_close_files(struct run *run);
void run_close(struct run *run);

#endif
