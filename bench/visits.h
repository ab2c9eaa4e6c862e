// SPDX-License-Identifier: Apache-2.0
// Many threads, each of which is called once to do some work, and stays until all may end. For workloads
// that measure the cost of a thread. Not for work timed in nanoseconds: a semaphore requests a visit.
//
//     struct visits *visits;
//     if (visits_start(&visits, 1000, visit, context) == 0) { ...; visits_run(visits, false); ...; }
//     visits_end(visits);
#ifndef POOLMARK_BENCH_VISITS_H
#define POOLMARK_BENCH_VISITS_H

#include <stdbool.h>

struct visits;
typedef void visit_function(void *context, int thread);

// Starts `count` threads. When it returns, they have run and wait: the memory of the threads themselves,
// such as a part of the stack, is there. 0 or -errno; then `visits` is NULL.
int visits_start(struct visits **visits, int count, visit_function *visit, void *context)
    __attribute__((warn_unused_result));

// Each thread visits once: one after the other, or all `at_once`. Returns when all have visited.
void visits_run(struct visits *visits, bool at_once);

void visits_end(struct visits *visits); // the threads end; NULL is allowed

#endif
