// SPDX-License-Identifier: Apache-2.0
// What a record says of the ranks of a run (ranks.h): the block `ranks`, and anomalies. results/README.md has the fields.
#ifndef POOLMARK_LOADGEN_SUMMARY_RANKS_H
#define POOLMARK_LOADGEN_SUMMARY_RANKS_H

#include "loadgen/summary.h"

// After ranks_finish, on rank 0, when all rows are there. Nothing where there is one rank.
void summary_add_ranks(const struct summary *summary, struct run *run);

#endif
