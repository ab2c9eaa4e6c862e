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

#include <stdbool.h>
#include <stdint.h>

enum { SURROUNDINGS_TARGETS_MAX = 64 }; // only the first so many watched processes are read

struct surroundings {
    struct netstat net, target_net; // at the start; target_net: of a target in another network namespace
    bool has_target_net;
    struct cgroup generator, targets[SURROUNDINGS_TARGETS_MAX]; // at the start
    int64_t pids[SURROUNDINGS_TARGETS_MAX];
    int target_count;
    int64_t ahead_ns;   // wall clock less monotonic clock, at the last call of surroundings_look
    int64_t stepped_ns; // sum of the steps of the wall clock since the start
    int steps;
};

void surroundings_start(struct surroundings *surroundings, const int64_t *pids, int count);
void surroundings_look(struct surroundings *surroundings);

#endif
