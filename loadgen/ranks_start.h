// SPDX-License-Identifier: Apache-2.0
// The beginning and the end of a run over several ranks (ranks.h).
//
// Every rank parses the same command line and says what its host is and has room for. Rank 0 divides the clients, checks that
// each rank has room for its share, and tells all the division and what only one may choose: the prefix of names and the run's
// number. Where anything is wrong, nothing is opened anywhere, and rank 0 has the text.
//
//     ranks_open(&ranks, fd, &err);                          // ranks NULL: there is one
//     ranks_start(ranks, &config, &asked, &err);
//     ranks_begin(ranks, &config, &plan, &err);
//     run_open(...);
//     ranks_ready(ranks, code, &err);
//     ...
//     ranks_finish(ranks);
//     ranks_close(ranks);
#ifndef POOLMARK_LOADGEN_RANKS_START_H
#define POOLMARK_LOADGEN_RANKS_START_H

#include "loadgen/config.h"
#include "loadgen/plan.h"
#include "loadgen/ranks.h"
#include "loadgen/ranks_facts.h"

#define RANKS_START_NS (120 * NS_PER_S) // limit for all ranks to be there

// Waits for the relay at `fd`, which becomes theirs, to say who we are. -errno with the text: the relay has ended.
int ranks_open(struct ranks **ranks, int fd, struct err *err) __attribute__((warn_unused_result));
void ranks_close(struct ranks *ranks); // NULL is allowed

// Sets config->ranks, and on ranks above 0 config->prefix.
// Waits for all ranks. Rank 0: -EINVAL with the text: the run is refused, and all others know it. Others: -ECANCELED: it is
// refused, or rank 0 is lost; rank 0 says why.
int ranks_start(struct ranks *ranks, struct config *config, const struct ranks_asked *asked, struct err *err)
    __attribute__((warn_unused_result));

// A part of ranks_start, for tests: nothing is divided yet, and there is room for what the others tell. -ENOMEM.
int ranks_share_out(struct ranks *ranks, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

// Rank 0: the run does not begin. Nothing elsewhere.
void ranks_refuse(struct ranks *ranks);

// Rank 0, when its own plan is made and its record is open: all others begin. -EINVAL with the text: a rank has too few
// ports for the plan. 0 elsewhere.
int ranks_begin(struct ranks *ranks, const struct config *config, const struct plan *plan, struct err *err)
    __attribute__((warn_unused_result));

// The run's number that rank 0 drew (payload.h), after ranks_start.
uint32_t ranks_number(const struct ranks *ranks);

// After run_open, which gave `code` with `err`. Rank 0 waits for all others: -ECHILD with the text when one could not open.
int ranks_ready(struct ranks *ranks, int code, struct err *err) __attribute__((warn_unused_result));

// Rank 0, at the end: tells all others, and waits for what their parts have. One that does not answer is lost.
void ranks_finish(struct ranks *ranks);

#endif
