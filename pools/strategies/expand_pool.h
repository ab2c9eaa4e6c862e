// SPDX-License-Identifier: Apache-2.0
// Strategy `expand`, internal header: expand.c gets, puts, opens and closes; expand_grow.c makes the pool grow, inline
// or on its own thread. Functions whose name ends in _locked need stock.lock held.
#ifndef POOLMARK_POOLS_STRATEGIES_EXPAND_POOL_H
#define POOLMARK_POOLS_STRATEGIES_EXPAND_POOL_H

#include "pools/shared/bell.h"
#include "pools/shared/growth.h"
#include "pools/shared/growth_load.h"
#include "pools/strategies/stock.h"

#include <pthread.h>

struct pool {
    struct pool_base base;

    // Constant.
    int expand_at_percent;
    bool adapts; // POOL_RULE_ADAPTIVE
    double growth;
    bool background; // false in a child of fork

    // Background only, one cache line: everything that a get accesses to make the pool grow.
    alignas(64) int64_t wanted_at; // guarded by stock.lock: objects in use that reached the trigger; -1: none
    struct bell bell;              // rung after wanted_at is set
    pthread_t grower;

    // Guarded by stock.lock.
    alignas(64) bool growing; // one expansion at a time
    int64_t trigger;          // objects in use that start one; INT64_MAX while one is under way or wanted
    bool closing;
    int64_t next;            // objects owned after the next expansion
    struct growth_step step; // while growing
    struct growth_load load; // POOL_RULE_ADAPTIVE
    int64_t expansions, longest_expansion_ns;

    struct stock stock;
};

// Sets when the next expansion is due. Call it after `owned`, `max`, `growing` or `wanted_at` changed.
void expand_set_trigger_locked(struct pool *pool);

// When the trigger is reached: begins an expansion, or leaves it to the pool's thread. True for the latter: then the
// caller rings the bell after it released the lock.
bool expand_reach_trigger_locked(struct pool *pool);

// Makes a piece of the step under way, if one is left. Releases the lock meanwhile. Returns how many objects
// became available.
int64_t expand_grow_piece_locked(struct pool *pool);

// The pieces of the step that no thread took are not made.
void expand_cut_growth_locked(struct pool *pool);

// Plans the objects of a preheat. False: there is no room for them.
bool expand_plan_preheat_locked(struct pool *pool, int64_t count);

// The pool's own thread. 0 or -errno.
int expand_start_grower(struct pool *pool) __attribute__((warn_unused_result));
void expand_stop_grower(struct pool *pool);

#endif
