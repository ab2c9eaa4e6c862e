// SPDX-License-Identifier: Apache-2.0
// What a strategy's file implements. Read pools/pool.h first, then pools/malloc.c, the shortest real one.
//
// A strategy's pool begins with a struct pool_base; pools/pool.c fills it in after `open` succeeded.
// Required: open, get, put, stats, close. The others may be NULL: pool.c answers for them (checked once, in
// pool.c, against `caps`).
#ifndef POOLMARK_POOLS_POOL_STRATEGY_H
#define POOLMARK_POOLS_POOL_STRATEGY_H

#include "pools/pool.h"

struct pool_check; // checked builds: which objects are out (pools/pool_check.h)

struct pool_base {
    const struct pool_strategy *strategy;
    struct pool_config
        config; // as asked for, name copied; size objects by the config that open() gets, not by this one
    struct pool_check *check; // NULL outside checked builds
    int64_t spin_rounds;      // POOLMARK_HANDICAP_GET: what each get has to bear; 0 otherwise
};

struct pool_strategy {
    const char *name, *summary;
    unsigned caps; // of enum pool_cap

    // Makes the pool with `initial` objects; the config was checked. -ENOMEM with everything undone.
    int (*open)(struct pool **pool, const struct pool_config *config, struct err *err);
    void *(*get)(struct pool *pool);
    void (*put)(struct pool *pool, void *object);
    void (*stats)(struct pool *pool, struct pool_stats *stats);
    void (*close)(struct pool *pool);

    int (*preheat)(struct pool *pool, int64_t count);    // POOL_CAP_PREHEATS
    void *(*get_bytes)(struct pool *pool, size_t bytes); // POOL_CAP_SIZED
    int64_t (*sweep)(struct pool *pool);                 // POOL_CAP_SWEEPS
    int64_t (*trim)(struct pool *pool);                  // POOL_CAP_SHRINKS
    bool (*owns)(struct pool *pool,
                 const void *object);    // is it memory of this pool, overflow aside? checked builds
    bool (*is_valid)(struct pool *pool); // invariants; called by checked builds and tests
};

// Memory for objects comes from here, so that tests can make the n-th request fail. Alignment: 16 bytes for
// malloc, `alignment` (a power of two) for aligned. Thread-safe.
void *pool_memory_alloc(size_t bytes);
void *pool_memory_alloc_aligned(size_t alignment, size_t bytes);
void pool_memory_free(void *block);
void *pool_memory_map(size_t bytes, size_t alignment); // anonymous pages, zero; NULL when there are none
void pool_memory_unmap(void *block, size_t bytes);
// Puts memory behind pages of a map that hold nothing yet, whole pages. 0, or -ENOMEM with some of them
// there.
int pool_memory_populate(void *pages, size_t bytes) __attribute__((warn_unused_result));

// Tests only: lets `after` requests pass, then fails one (and each after it when `stay`); negative switches
// it off. Returns how many requests came since it was last set.
int64_t pool_memory_fail_after(int64_t after, bool stay);

// Hands an event to the config's listener, if there is one.
void pool_emit(const struct pool_config *config, const struct pool_event *event);

#endif
