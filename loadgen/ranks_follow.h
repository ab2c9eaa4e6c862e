// SPDX-License-Identifier: Apache-2.0
// What a rank above 0 does with its run: it carries out the orders of rank 0 (ranks.h) until that one ends the run, or is
// lost. Then it closes its clients and writes its own part, DIR/ranks/RANK/rank.json beside latency.hlog and memory.csv there.
//
//     code = run_open(&run, config, NULL, &err);       // with config->ranks_folder
//     code = ranks_follow(&run);                       // an exit code
//     run_close(&run);
#ifndef POOLMARK_LOADGEN_RANKS_FOLLOW_H
#define POOLMARK_LOADGEN_RANKS_FOLLOW_H

#include "loadgen/run.h"

// EXIT_OK when rank 0 ended the run, EXIT_FAILED when this rank could not go on or rank 0 is lost.
int ranks_follow(struct run *run);

#endif
