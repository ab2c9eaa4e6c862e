// SPDX-License-Identifier: Apache-2.0
// The program as one of several ranks (ranks.h): what differs in its command line, its beginning and its end.
#ifndef POOLMARK_LOADGEN_PROGRAM_RANKS_H
#define POOLMARK_LOADGEN_PROGRAM_RANKS_H

#include "loadgen/config.h"
#include "loadgen/division.h"
#include "loadgen/run.h"

#define PROGRAM_SHARE_HELP                                                                                   \
    "\nOver several ranks, by mpirun:\n"                                                                     \
    "  --share even|fit      how ranks share the clients: all as many, or by the room that each has "        \
    "[even]\n"

// Takes --share out of the words, the last of which is argv[*argc - 1]. -EINVAL with the text.
int program_take_share(int *argc, char **argv, enum division_way *way, struct err *err)
    __attribute__((warn_unused_result));

// Takes out what only rank 0 does: watching processes, printing, serving metrics. Adds --quiet, for which argv has room.
void program_leave_to_leader(int *argc, char **argv);

// Why this run needs all its clients on one host, into `text`; "": it runs over several.
const char *program_one_rank(const struct config *config, char *text, size_t size);

// All of a rank above 0 once the run was told to begin. Gives the exit code.
int program_follow(struct config *config, struct err *err);

// Rank 0 after the scenario: the last measurement of clocks, the last counts of all.
void program_end_ranks(struct run *run);

#endif
