// SPDX-License-Identifier: Apache-2.0
// What every pool strategy promises, as checks that say in plain words what was not kept. The tests of
// Poolmark's own strategies run them, and so does `poolmark-bench --check-pool` on a stranger's.
//
//     const struct promise *promise;
//     for (size_t i = 0; (promise = promise_at(i)); i++) {
//         char why[PROMISE_WHY_SIZE];
//         switch (promise_check(promise, strategy, why, sizeof why)) ...
//     }
//
// Each check runs in a process of its own. So a strategy that crashes, hangs or runs out of memory ends that
// check and no other. The caller must have one thread, and strategies may have none of their own.
#ifndef POOLMARK_POOLS_CONTRACT_CONTRACT_H
#define POOLMARK_POOLS_CONTRACT_CONTRACT_H

#include "pools/pool.h"

enum { PROMISE_WHY_SIZE = 4096, PROMISE_SECONDS_MAX = 120 };

enum promise_verdict {
    PROMISE_KEPT,
    PROMISE_NOT_MADE, // the strategy lacks a capability that the promise is about
    PROMISE_BROKEN,
};

struct check;
struct promise {
    const char *name; // words joined by _
    unsigned needs;   // of enum pool_cap
    void (*keep)(const struct check *check);
};

const struct promise *promise_at(size_t index); // NULL after the last

// `why`: what was not kept, cut to `size`, possibly several lines (a sanitizer's report); "" when kept.
enum promise_verdict promise_check(const struct promise *promise, const struct pool_strategy *strategy,
                                   char *why, size_t size);

#endif
