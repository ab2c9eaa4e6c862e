// SPDX-License-Identifier: Apache-2.0
// What surrounds a run and is neither the target's work nor the generator's: handshakes that an accept queue
// had no room for, processor time that a quota withheld, a wall clock that was set. Read at the start and at
// the end of a run; the growth is in every record, and an anomaly explains it beside the figures that it
// moves.
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

enum { SURROUNDINGS_TARGETS_MAX = 64 }; // of more watched processes the first are looked at

struct surroundings {
    struct netstat net, target_net; // at the start; the second of a target in another network namespace
    bool has_target_net;
    struct cgroup generator, targets[SURROUNDINGS_TARGETS_MAX]; // likewise
    int64_t pids[SURROUNDINGS_TARGETS_MAX];
    int target_count;
    int64_t ahead_ns;   // of the wall clock before the monotonic clock, when they were last looked at
    int64_t stepped_ns; // by how much the wall clock was set since the start, in all
    int steps;
};

void surroundings_start(struct surroundings *surroundings, const int64_t *pids, int count);
void surroundings_look(struct surroundings *surroundings);

#endif
