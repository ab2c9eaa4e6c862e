// SPDX-License-Identifier: Apache-2.0
// A pattern whose publishers and subscribers are crews (crew.h), over several ranks: each rank that has clients of these crews
// has some of every one of them, and a part of the pattern with topics that are nobody else's. So a message and its
// deliveries are on one rank, as in pattern_parts.h: they are measured by one clock, and what is due at a group of
// subscribers is known where they are. The parts share the N topics of topics:N; of fan-in and fan-out each is a fan.
// Publishers of all parts take turns in one schedule.
//
// A pure function of the crews and their divisions, so every rank computes the same.
//
//     struct pattern *parts = calloc(ranks, sizeof *parts);
//     if (crew_parts_make(parts, crews, count, sensors, divisions) < 0)
//         ...divide the crews over fewer ranks...
#ifndef POOLMARK_LOADGEN_CREW_PARTS_H
#define POOLMARK_LOADGEN_CREW_PARTS_H

#include "loadgen/crew.h"
#include "loadgen/division.h"

// The pattern of the crew number `publishers`. `parts` has room for one of each rank; a rank without a part gets one of no
// clients. divisions[i] is of crew i. -ERANGE: a rank would have clients of one of these crews and none of another, or there
// are too few topics for the ranks.
int crew_parts_make(struct pattern *parts, const struct crew_request *crews, int count, int publishers,
                    const struct division *const *divisions) __attribute__((warn_unused_result));

// Has the crew to do with the pattern of the crew number `publishers`?
static inline bool crew_parts_has(const struct crew_request *crews, int crew, int publishers)
{
    return crew == publishers || crews[crew].messages_of == publishers;
}

// The number of that crew's first client in the part of the rank.
int64_t crew_parts_place(const struct crew_request *crews, int count, int crew,
                         const struct division *const *divisions, int rank);

// The ranks that have a part.
int crew_parts_used(const struct pattern *parts, int ranks);

#endif
