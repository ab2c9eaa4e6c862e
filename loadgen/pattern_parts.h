// SPDX-License-Identifier: Apache-2.0
// A pattern over several ranks: each rank has a part, a pattern of its own with publishers, subscribers and topics that are
// nobody else's. So a message and its deliveries are on one rank: they are measured by one clock, and the books of each rank
// balance by themselves. The parts together have all publishers and subscribers; of topics:N they share the N topics, of fan-in
// and fan-out each part is a fan. Publishers of all parts take turns in one schedule.
//
// Clients of a rank that are in no part are idle. Where there are fewer publishers, subscribers or topics than ranks, the
// first ranks have the parts, if they have the clients; the others then hold idle clients only. Slow readers are on the ranks
// whose workers have them (division.h, split).
//
// Pure functions of pattern and division, so every rank computes the same.
//
//     struct pattern *parts = calloc(ranks, sizeof *parts);
//     code = pattern_parts_make(parts, &config->pattern, &division, config->connections, &err);
#ifndef POOLMARK_LOADGEN_PATTERN_PARTS_H
#define POOLMARK_LOADGEN_PATTERN_PARTS_H

#include "base/err.h"
#include "loadgen/division.h"
#include "loadgen/pattern.h"

// Of a pattern other than pairs. `parts` has room for one of each rank; a rank without a part gets one of no clients.
// -EINVAL with the text: the numbers cannot be shared so that each part has what it needs. -ENOMEM.
int pattern_parts_make(struct pattern *parts, const struct pattern *whole, const struct division *division,
                       int64_t clients, struct err *err) __attribute__((warn_unused_result));

#endif
