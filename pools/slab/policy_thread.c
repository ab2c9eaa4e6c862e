// SPDX-License-Identifier: Apache-2.0
// The thread of a pool that grows in the background: makes objects, and gives memory back. See
// pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/clock.h"

#include <signal.h>

#define AT_REST_NS (2 * NS_PER_S) // since the last growth

// Huge pages of a pool at rest take at most this part of elapsed time. Elapsed time also grows when the
// processors are busy.
enum { COLLAPSE_SHARE = 400 };
#define COLLAPSE_PAUSE_MAX_NS (60 * NS_PER_S)

int64_t slab_next_collapse(int64_t now_ns, int64_t took_ns)
{
    int64_t pause_ns = slab_less(took_ns * COLLAPSE_SHARE, COLLAPSE_PAUSE_MAX_NS);
    return now_ns + slab_more(SLAB_HOLD_NS, pause_ns);
}

// Constructs what was made, so that gets find whole magazines. Otherwise each get of a new object would take
// the slow path, and wait for the construct. Not with a bound: a get at the bound would miss the object that
// this thread holds, and be refused.
static void construct_ahead(struct pool *pool)
{
    int64_t raw = SLAB_LOAD(&pool->store.raw); // the others are of the next round
    if (raw <= 0 || SLAB_LOAD(&pool->limit) < INT64_MAX)
        return;
    bool constructed = true;
    // One at a time: whoever closes the pool or gives it a bound waits for one construct, not for all.
    while (raw-- > 0 && constructed && !SLAB_LOAD(&pool->stop) && SLAB_LOAD(&pool->limit) == INT64_MAX)
        constructed = slab_construct_some(pool, 1) == 0;
    if (!constructed) // stays raw, for a get that tries again and reports the failure
        return;
    pthread_mutex_lock(&pool->store.grow_lock);
    slab_fill_magazines(pool);
    (void)slab_grow_unlock(pool);
}

// The objects in use reached the trigger, or few are free.
static void grow_in_background(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    // Taken: a number that a ring stores from here on is of the next round.
    int64_t in_use = atomic_exchange(&pool->wanted_at, 0);
    while (in_use >= SLAB_LOAD(&pool->trigger) && slab_expand(pool, in_use))
        in_use = slab_account(pool).in_use;
    slab_top_up(pool);
    bell_grew(&pool->bell);
    (void)slab_grow_unlock(pool);
    construct_ahead(pool);
}

// One slab, when the pool has been at rest: 10 MB a second at most, and less where huge pages are expensive.
// So a measurement of a pool that fills does not pay for work that only helps later, and one of a pool at
// rest pays little. Returns when to look next.
static int64_t collapse_one(struct pool *pool, int64_t now_ns)
{
    int64_t took_ns = 0;
    if (!SLAB_LOAD(&pool->store.to_collapse) || now_ns - pool->bell.grew_ns < AT_REST_NS)
        return now_ns + SLAB_HOLD_NS;
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t began_ns = clock_now_ns();
    if (slab_store_collapse(&pool->store))
        took_ns = clock_now_ns() - began_ns;
    (void)slab_grow_unlock(pool);
    return slab_next_collapse(now_ns, took_ns);
}

static bool wanted(_Atomic bool *flag)
{
    // Acquire: the thread sees what the thread that set the flag saw.
    return SLAB_LOAD(flag) && atomic_exchange_explicit(flag, false, memory_order_acquire);
}

static void *grow_thread(void *context)
{
    struct pool *pool = context;
    int64_t shrink_ns = 0, collapse_ns = 0; // when to check next
    while (!SLAB_LOAD(&pool->stop)) {
        // Memory may have to be given back, or made a huge page, after SLAB_HOLD_NS.
        bool waits = SLAB_LOAD(&pool->wanted_shrink) || SLAB_LOAD(&pool->store.to_collapse);
        bell_wait(&pool->bell, waits ? SLAB_HOLD_NS : 0);
        if (bell_answer(&pool->bell))
            grow_in_background(pool);
        if (wanted(&pool->wanted_magazines)) {
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)slab_make_magazines(pool);
            (void)slab_grow_unlock(pool);
        }
        // Taken first: what is put back meanwhile sets it again. It stays set until there is no more to give
        // back.
        int64_t now_ns = clock_now_ns();
        if (SLAB_LOAD(&pool->wanted_shrink) && now_ns >= shrink_ns) {
            bool settled = true;
            SLAB_STORE(&pool->wanted_shrink, false);
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)slab_give_back(pool, &settled);
            (void)slab_grow_unlock(pool);
            shrink_ns = now_ns + SLAB_HOLD_NS;
            if (!settled)
                SLAB_STORE(&pool->wanted_shrink, true);
        }
        if (now_ns >= collapse_ns)
            collapse_ns = collapse_one(pool, now_ns);
    }
    return NULL;
}

int slab_thread_open(struct pool *pool)
{
    if (pool->config.growth_mode != POOL_GROW_BACKGROUND)
        return 0;
    int code = bell_init(&pool->bell);
    if (code < 0)
        return code;
    // The program's own threads handle signals.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool->has_thread = true; // set first, so that the thread sees it
    code = -pthread_create(&pool->thread, NULL, grow_thread, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pool->has_thread = code == 0;
    if (code < 0)
        bell_destroy(&pool->bell);
    else
        pthread_setname_np(pool->thread, "pool-grow");
    return code;
}

void slab_thread_close(struct pool *pool)
{
    if (!pool->has_thread)
        return;
    SLAB_STORE(&pool->stop, true);
    bell_knock(&pool->bell);
    pthread_join(pool->thread, NULL);
    bell_destroy(&pool->bell);
}
