// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_wrap.h"

#include "base/clock.h"

// A draining pool whose strategy has no drain is trimmed after this many puts.
enum { PUTS_A_TRIM = 256 };

static int64_t load(_Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

// Counts order nothing.
static void add_one(_Atomic int64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static pool_put_call *plain_put(struct pool_base *base)
{
    return atomic_load_explicit(&base->plain_put, memory_order_relaxed);
}

static bool constructs_here(const struct pool_base *base)
{
    return (base->config.construct || base->config.destruct) && !(base->strategy->caps & POOL_CAP_CONSTRUCTS);
}

static void *get_draining(struct pool *pool)
{
    struct pool_base *base = (struct pool_base *)pool;
    add_one(&base->refused);
    if (atomic_exchange_explicit(&base->told_refusal, true, memory_order_relaxed))
        return NULL;
    struct pool_stats stats = {0};
    base->strategy->stats(pool, &stats);
    struct pool_event event = {.kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = stats.owned};
    event.to = stats.owned;
    event.trigger = stats.in_use;
    pool_emit(&base->config, &event);
    return NULL;
}

static void *get_constructing(struct pool *pool)
{
    struct pool_base *base = (struct pool_base *)pool;
    const struct pool_config *config = &base->config;
    void *object = base->plain_get(pool);
    if (!object || !config->construct || config->construct(config->object_context, object) == 0)
        return object;
    plain_put(base)(pool, object);
    atomic_fetch_add_explicit(&base->failed, 1, memory_order_release);
    return NULL;
}

static void put_wrapped(struct pool *pool, void *object)
{
    struct pool_base *base = (struct pool_base *)pool;
    const struct pool_config *config = &base->config;
    if (config->reset)
        config->reset(config->object_context, object);
    if (constructs_here(base) && config->destruct)
        config->destruct(config->object_context, object);
    plain_put(base)(pool, object);
    if (pool_wrap_is_draining(base) && !base->strategy->drain && base->strategy->trim) {
        add_one(&base->drain_puts);
        if (load(&base->drain_puts) % PUTS_A_TRIM == 0)
            (void)base->strategy->trim(pool);
    }
}

void pool_wrap_choose(struct pool_base *base)
{
    bool wraps_put = base->config.reset || constructs_here(base);
    atomic_init(&base->get, constructs_here(base) ? get_constructing : base->plain_get);
    atomic_init(&base->put, wraps_put ? put_wrapped : plain_put(base));
}

void pool_wrap_drain(struct pool_base *base)
{
    atomic_store_explicit(&base->draining, true, memory_order_relaxed);
    atomic_store_explicit(&base->put, put_wrapped, memory_order_relaxed);
    atomic_store_explicit(&base->get, get_draining, memory_order_relaxed);
}

static void take_back(int64_t *from, int64_t *count)
{
    int64_t taken = *from < *count ? *from : *count;
    *from -= taken;
    *count -= taken;
}

// Acquire here and release at the count: the strategy's counts of the same get and put are then visible.
int64_t pool_wrap_failed(struct pool_base *base)
{
    return atomic_load_explicit(&base->failed, memory_order_acquire);
}

void pool_wrap_stats(struct pool_base *base, int64_t failed, struct pool_stats *stats)
{
    // The strategy counted these gets as served, and their objects as put.
    int64_t left = failed;
    take_back(&stats->hits, &left);
    take_back(&stats->misses, &left);
    take_back(&stats->overflow, &left);
    stats->puts -= failed - left;
    stats->failed += failed - left;

    int64_t refused = load(&base->refused);
    stats->refused += refused;
    stats->gets += refused;
    stats->max = load(&base->max);
    stats->draining = pool_wrap_is_draining(base);

    int64_t peak = load(&base->peak_bytes_owned);
    // A maximum; it orders no other reads.
    while (stats->bytes_owned > peak &&
           !atomic_compare_exchange_weak_explicit(&base->peak_bytes_owned, &peak, stats->bytes_owned,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    peak = load(&base->peak_bytes_owned);
    if (stats->peak_bytes_owned < peak)
        stats->peak_bytes_owned = peak;
    if (stats->bytes_allocated < stats->peak_bytes_owned)
        stats->bytes_allocated = stats->peak_bytes_owned;
}
