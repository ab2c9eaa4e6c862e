// SPDX-License-Identifier: Apache-2.0
// The program as one of several ranks (ranks.h): what differs in its command line, its beginning and its end.
#ifndef POOLMARK_LOADGEN_PROGRAM_RANKS_H
#define POOLMARK_LOADGEN_PROGRAM_RANKS_H

#include "loadgen/config.h"
#include "loadgen/run.h"

// Takes out what only rank 0 does: watching processes, printing, serving metrics. Adds --quiet, for which argv has room.
void program_leave_to_leader(int *argc, char **argv);

// Why this run cannot be divided over ranks as it is, into `text`; "": it can.
const char *program_one_rank(const struct config *config, char *text, size_t size);

// A checksum of all that decides what is done: options, and files that they name. Ranks with another play another run.
uint64_t program_sum(const struct config *config);

// All of a rank above 0 once the run was told to begin. Gives the exit code.
int program_follow(struct config *config, struct err *err);

// Rank 0, before its record is closed: the folders of ranks that did not say that they had ended are left out of its files.
void program_leave_out_lost(const struct ranks *ranks, struct record *record);

// Rank 0 after the scenario: the last measurement of clocks, the last counts of all.
void program_end_ranks(struct run *run);

#endif
