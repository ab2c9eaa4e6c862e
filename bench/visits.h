// SPDX-License-Identifier: Apache-2.0
// Many threads, each of which is let in to do something once, and stays until all may go: for workloads that
// ask what a thread costs. Not for what is timed in nanoseconds: a visit is asked for by a semaphore.
//
//     struct visits *visits;
//     if (visits_start(&visits, 1000, visit, context) == 0) { ...; visits_run(visits, false); ...; }
//     visits_end(visits);
#ifndef POOLMARK_BENCH_VISITS_H
#define POOLMARK_BENCH_VISITS_H

#include <stdbool.h>

struct visits;
typedef void visit_function(void *context, int thread);

// Starts `count` threads, which have run and wait when it returns: what a thread itself takes, a part of its
// stack among it, is there. 0 or -errno; then `visits` is NULL.
int visits_start(struct visits **visits, int count, visit_function *visit, void *context)
    __attribute__((warn_unused_result));

// Each thread visits once: one after the other, or all `at_once`. Returns when the last has.
void visits_run(struct visits *visits, bool at_once);

void visits_end(struct visits *visits); // the threads end; NULL is allowed

#endif
