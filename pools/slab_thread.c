// SPDX-License-Identifier: Apache-2.0
// The thread of a pool that grows in the background: it makes objects, and gives memory back. See
// pools/slab_pool.h.
#include "pools/slab_pool.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

// A system call wakes the thread, which is more than a get should pay. So while the pool grows, the thread
// looks by itself, as often as matters at the pace of the last growths, and only the first growth of many
// costs a call.
struct pace {
    int64_t grew_ns;  // when the pool last grew
    int64_t every_ns; // how often to look
    int64_t until_ns; // and for how long
};

#define LOOK_EVERY_MIN_NS (100 * NS_PER_US)
#define LOOK_EVERY_MAX_NS (2 * NS_PER_MS)
#define LOOK_FOR_MIN_NS (100 * NS_PER_MS)
#define LOOK_FOR_MAX_NS (2 * NS_PER_S)

static void pace_grew(struct pace *pace)
{
    int64_t now_ns = clock_now_ns(), since_ns = now_ns - pace->grew_ns;
    pace->grew_ns = now_ns;
    pace->every_ns = slab_more(slab_less(since_ns / 64, LOOK_EVERY_MAX_NS), LOOK_EVERY_MIN_NS);
    pace->until_ns = now_ns + slab_more(slab_less(since_ns * 4, LOOK_FOR_MAX_NS), LOOK_FOR_MIN_NS);
}

void slab_thread_wake(struct pool *pool, _Atomic bool *flag)
{
    if (pool->has_thread && !SLAB_LOAD(flag) && !atomic_exchange_explicit(flag, true, memory_order_relaxed))
        sem_post(&pool->wake);
}

// Both sides set their flag before they read the other's, in the one order of all such operations: one of
// them at least sees it.
void slab_thread_wake_for_growth(struct pool *pool)
{
    if (!SLAB_LOAD(&pool->wanted_growth) &&
        !atomic_exchange_explicit(&pool->wanted_growth, true, memory_order_seq_cst) &&
        !atomic_load_explicit(&pool->looks, memory_order_seq_cst))
        sem_post(&pool->wake);
}

static void sleep_until(struct pool *pool, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    (void)sem_clockwait(&pool->wake, CLOCK_MONOTONIC, &until);
}

// `shrinks`: something may have to be given back when SLAB_HOLD_NS are over.
static void wait_for_work(struct pool *pool, const struct pace *pace, bool shrinks)
{
    int64_t now_ns = clock_now_ns();
    bool looks = now_ns < pace->until_ns;
    if (looks) {
        SLAB_STORE(&pool->looks, true);
        sleep_until(pool, now_ns + pace->every_ns);
        return;
    }
    atomic_store_explicit(&pool->looks, false, memory_order_seq_cst);
    if (atomic_load_explicit(&pool->wanted_growth, memory_order_seq_cst))
        return;
    if (shrinks)
        sleep_until(pool, now_ns + SLAB_HOLD_NS);
    else
        (void)sem_wait(&pool->wake);
}

// Objects in use reached the trigger; so much is made that they are below it again.
static void grow_in_background(struct pool *pool, struct pace *pace)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t in_use = SLAB_LOAD(&pool->wanted_at);
    while (in_use >= SLAB_LOAD(&pool->trigger) && slab_expand(pool, in_use) > 0) {
        in_use = slab_account(pool).in_use;
        slab_fill_magazines(pool);
        pace_grew(pace);
    }
    slab_grow_unlock(pool);
}

// Somebody found nothing, and waits for the announcement.
static void make_objects(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    (void)slab_make_room_locked(pool);
    slab_grow_unlock(pool);
}

static bool wanted(_Atomic bool *flag)
{
    // Acquire: what was wanted is seen as whoever wanted it saw it.
    return SLAB_LOAD(flag) && atomic_exchange_explicit(flag, false, memory_order_acquire);
}

static void *grow_thread(void *context)
{
    struct pool *pool = context;
    struct pace pace = {0};
    int64_t shrink_ns = 0; // when to look again what can be given back
    while (!SLAB_LOAD(&pool->stop)) {
        wait_for_work(pool, &pace, SLAB_LOAD(&pool->wanted_shrink));
        if (wanted(&pool->wanted_objects))
            make_objects(pool);
        if (wanted(&pool->wanted_growth))
            grow_in_background(pool, &pace);
        if (wanted(&pool->wanted_magazines)) {
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)slab_make_magazines(pool);
            slab_grow_unlock(pool);
        }
        // That flag stays up until there is no more to give back, so that it is not put up again meanwhile.
        int64_t now_ns = clock_now_ns();
        if (SLAB_LOAD(&pool->wanted_shrink) && now_ns >= shrink_ns) {
            bool settled = true;
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)slab_give_back(pool, &settled);
            slab_grow_unlock(pool);
            shrink_ns = now_ns + SLAB_HOLD_NS;
            if (settled)
                SLAB_STORE(&pool->wanted_shrink, false);
        }
    }
    return NULL;
}

int slab_thread_open(struct pool *pool, struct err *err)
{
    if (pool->config.growth_mode != POOL_GROW_BACKGROUND)
        return 0;
    if (sem_init(&pool->wake, 0, 0) < 0)
        return err_set(err, -errno, "pool %s: semaphore: %s", pool->config.name, strerror(errno));
    // Signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool->has_thread = true;
    int code = pthread_create(&pool->thread, NULL, grow_thread, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        return 0;
    pool->has_thread = false;
    sem_destroy(&pool->wake);
    return err_set(err, -code, "pool %s: no thread for growing in the background: %s", pool->config.name,
                   strerror(code));
}

void slab_thread_close(struct pool *pool)
{
    if (!pool->has_thread)
        return;
    SLAB_STORE(&pool->stop, true);
    sem_post(&pool->wake);
    pthread_join(pool->thread, NULL);
    sem_destroy(&pool->wake);
}
