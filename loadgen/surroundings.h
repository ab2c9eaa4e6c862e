// SPDX-License-Identifier: Apache-2.0
// Effects on a run that are neither the target's work nor the generator's: handshakes that met a full accept
// queue, CPU time that a quota withheld, a wall clock that was set. They are read at the start and at the end
// of a run. Every record has their growth, and an anomaly explains the figures that they move.
//
//     surroundings_start(&surroundings, pids, count);
//     surroundings_look(&surroundings);                 // now and then: notices a step of the wall clock
//     summary_add_surroundings(&summary, run);          // the end: summary_surroundings.h
#ifndef POOLMARK_LOADGEN_SURROUNDINGS_H
#define POOLMARK_LOADGEN_SURROUNDINGS_H

#include "base/cgroup.h"
#include "base/netstat.h"
#include "base/opts.h"

#include <stdbool.h>
#include <stdint.h>

enum { SURROUNDINGS_TARGETS_MAX = OPT_LIST_MAX }; // as many as can be watched
enum { SURROUNDINGS_GROUP_BYTES = 128 };

// A watched process's control group, by which a quota stops it. It may be moved into another one, and back.
struct surroundings_group {
    uint64_t home, now;  // at the start, and at the last look: a hash of its groups' paths; 0: cannot be read
    struct cgroup last;  // `now` is not `home`: that group's counts at the last look
    int64_t periods, ns; // throttled in other groups than `home`, as far as looked at
    int moves;
    char other[SURROUNDINGS_GROUP_BYTES]; // the last that is not `home`
};

struct surroundings {
    struct netstat net, target_net; // at the start; target_net: of a target in another network namespace
    bool has_target_net;
    struct cgroup generator, targets[SURROUNDINGS_TARGETS_MAX]; // at the start
    int64_t pids[SURROUNDINGS_TARGETS_MAX];
    struct surroundings_group groups[SURROUNDINGS_TARGETS_MAX];
    int target_count;
    int64_t ahead_ns;   // wall clock less monotonic clock, at the last call of surroundings_look
    int64_t stepped_ns; // sum of the steps of the wall clock since the start
    int steps;
};

void surroundings_start(struct surroundings *surroundings, const int64_t *pids, int count);
void surroundings_look(struct surroundings *surroundings); // each second

// What the quotas of its groups took from watched process i since the start, as far as it is known: its `start` and what was
// added until now. The counts are -1 where they cannot be read.
void surroundings_throttling(const struct surroundings *surroundings, int i, struct cgroup *now);

#endif
