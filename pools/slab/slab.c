// SPDX-License-Identifier: Apache-2.0
// slab: the best pool we can build. Objects are in slabs of 2 MiB; threads take and give them in magazines.
// For the design see pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/err.h"
#include "pools/shared/object.h"
#include "pools/shared/poison.h"

#include <errno.h>
#include <string.h>

// A thread without a slot has row 0, which serves nothing.
static inline struct pool_row *own_row(struct pool *pool)
{
    return &pool->rows[(unsigned)pool_thread_slot_cached].hot;
}

// Does nothing in plain builds.
static inline void let_touch(struct pool *pool, void *object)
{
    unpoison_got(pool, object, pool->object_bytes);
    object_keeps_state(&pool->config, object, pool->object_bytes);
}

static void *slab_get(struct pool *pool)
{
    void *object = pool_row_take(own_row(pool));
    if (__builtin_expect(!object, 0))
        object = slab_get_slow(pool);
    if (object)
        let_touch(pool, object);
    return object;
}

static void slab_put(struct pool *pool, void *object)
{
    poison_put(pool, object, pool->object_bytes); // does nothing in plain builds
    if (__builtin_expect(!pool_row_give(own_row(pool), object), 0))
        slab_put_slow(pool, object);
}

// One thread at a time: leaves `busy` alone, which only other threads read.
static void *slab_get_one(struct pool *pool)
{
    struct pool_row *row = own_row(pool);
    void **top = row->top;
    if (__builtin_expect(top <= row->low, 0)) {
        void *object = slab_get_slow(pool);
        if (object)
            let_touch(pool, object);
        return object;
    }
    row->gets++;
    row->top = top - 1;
    let_touch(pool, top[-1]);
    return top[-1];
}

static void slab_put_one(struct pool *pool, void *object)
{
    struct pool_row *row = own_row(pool);
    void **top = row->top;
    poison_put(pool, object, pool->object_bytes);
    if (__builtin_expect((top >= row->high) | slab_is_overflow(object), 0)) {
        slab_put_slow(pool, object);
        return;
    }
    *top = object;
    row->puts++;
    row->top = top + 1;
}

static void slab_close(struct pool *pool)
{
    slab_thread_close(pool);
    poison_pool_close(pool);
    slab_destruct_all(pool);
    slab_depot_close(&pool->depot);
    slab_store_close(&pool->store);
    slab_account_close(pool);
    pool_memory_unmap(pool, sizeof *pool);
}

// pool.c has the text for -ENOMEM.
static int slab_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    struct pool *pool = pool_memory_map(sizeof *pool, alignof(struct pool));
    if (!pool)
        return -ENOMEM;
    pool->config = *config;
    pool->object_bytes = config->object_bytes;
    pool->one = config->threads == POOL_THREADS_ONE;
    if (pool->one) {
        atomic_init(&pool->base.get, slab_get_one);
        atomic_init(&pool->base.put, slab_put_one);
    }
    SLAB_STORE(&pool->limit, config->max ? config->max : INT64_MAX);
    SLAB_STORE(&pool->fenced, pool->one || slab_barrier_register());
    SLAB_STORE(&pool->none_since, UINT64_MAX);
    for (int slot = 1; config->lock_inherits_priority && slot < THREAD_SLOT_ROWS; slot++)
        pool_lock_init(&pool->rows[slot].lock, true);
    int code = slab_account_open(pool);
    if (code < 0)
        goto fail_account;
    code = slab_store_open(&pool->store, config->object_bytes, config->touch, config->lock_inherits_priority,
                           config->construct || config->destruct);
    if (code < 0)
        goto fail_store;
    code = slab_depot_open(&pool->depot, slab_magazine_capacity(pool->store.geometry.stride), config->max);
    if (code < 0)
        goto fail_depot;
    code = slab_preheat(pool, config->initial);
    if (code < 0)
        goto fail_preheat;
    code = slab_thread_open(pool);
    if (code < 0) {
        code = err_set(err, -EAGAIN, "pool %s: its thread cannot be started: pthread_create: %s",
                       config->name, strerror(-code));
        goto fail_preheat;
    }
    poison_pool_open(pool);
    *opened = pool;
    return 0;

fail_preheat:
    slab_destruct_all(pool);
    slab_depot_close(&pool->depot);
fail_depot:
    slab_store_close(&pool->store);
fail_store:
    slab_account_close(pool);
fail_account:
    pool_memory_unmap(pool, sizeof *pool);
    return code;
}

static void slab_stats(struct pool *pool, struct pool_stats *stats)
{
    // The kinds of gets are read before all gets, which include them.
    stats->misses = SLAB_LOAD(&pool->misses);
    stats->overflow = SLAB_LOAD(&pool->overflow);
    struct slab_account account = slab_account(pool);
    stats->hits = account.given - stats->overflow - stats->misses;
    stats->refused = SLAB_LOAD(&pool->refused);
    stats->failed = SLAB_LOAD(&pool->failed);
    stats->gets = account.given + stats->refused + stats->failed;
    stats->puts = account.put;
    stats->expansions = SLAB_LOAD(&pool->expansions);
    stats->shrinks = SLAB_LOAD(&pool->shrinks);
    stats->sweeps = SLAB_LOAD(&pool->sweeps);
    stats->longest_expansion_ns = SLAB_LOAD(&pool->longest_expansion_ns);
    stats->in_use = account.in_use;
    slab_note_peak(pool, account.in_use);
    stats->peak_in_use = SLAB_LOAD(&pool->peak);
    stats->locked_rows = !SLAB_LOAD(&pool->fenced);
    slab_memory(pool, stats);
}

static void slab_beside(struct pool *pool, struct pool_beside *beside)
{
    *beside = (struct pool_beside){.strays = SLAB_LOAD(&pool->overflow_out)};
}

static struct pool_row *slab_inline_rows(struct pool *pool)
{
    return &pool->rows[0].hot;
}

static bool slab_owns(struct pool *pool, const void *object)
{
    return slab_store_owns(&pool->store, object);
}

// Under a lowered bound a row may have been left alone, since the barrier had failed: what it held goes back now.
// Constructed objects are destructed later: not here, where the register of slots is locked.
static void slab_thread_exits(struct pool *pool, int slot)
{
    int64_t bytes = 0;
    slab_row_thread_exits(pool, slot);
    (void)slab_retire_surplus(pool, &bytes);
}

static bool slab_is_valid(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t owned = SLAB_LOAD(&pool->store.owned), overflow_out = SLAB_LOAD(&pool->overflow_out);
    bool valid = slab_rows_are_valid(pool) && slab_store_is_valid(&pool->store) &&
                 slab_account(pool).in_use - overflow_out <= owned;
    pthread_mutex_unlock(&pool->store.grow_lock);
    slab_store_announce(&pool->store);
    return valid;
}

const struct pool_strategy pool_strategy_slab = {
    .name = "slab",
    .summary = "magazines of each thread over slabs of 2 MiB; grows as needed, ahead in the background, "
               "gives memory back",
    .caps = POOL_CAP_GROWS | POOL_CAP_BACKGROUND | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_SHRINKS |
            POOL_CAP_SWEEPS | POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES | POOL_CAP_FORKS | POOL_CAP_AS_NEEDED |
            POOL_CAP_ADAPTS,
    .open = slab_open,
    .get = slab_get,
    .put = slab_put,
    .stats = slab_stats,
    .beside = slab_beside,
    .close = slab_close,
    .thread_exits = slab_thread_exits,
    .preheat = slab_preheat,
    .sweep = slab_sweep,
    .trim = slab_trim,
    .resize = slab_resize,
    .drain = slab_drain,
    .fork_prepare = slab_fork_prepare,
    .fork_parent = slab_fork_parent,
    .fork_child = slab_fork_child,
    .inline_rows = slab_inline_rows,
    .owns = slab_owns,
    .is_valid = slab_is_valid,
};
