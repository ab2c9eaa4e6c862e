// SPDX-License-Identifier: Apache-2.0
// Growing at the trigger, giving back with hysteresis, and the thread that does both. See pools/slab_pool.h.
#include "pools/slab_pool.h"

#include "base/clock.h"
#include "pools/expand.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum {
    ROWS_AHEAD = 32,                // rows faulted in beyond those in use
    SPARE_ROWS = 4,                 // magazines made for so many threads beyond those there are
    MAGAZINES_SHARE = 32,           // magazines have at most this part of the objects' memory ...
    MAGAZINES_MIN = 32,             // ... unless there are so few
    GIVE_BACK_BYTES_MIN = 64 << 10, // less lying free is left alone,
    GIVE_BACK_SHARE = 64,           // and so is less than this part of what is owned
};

// What was in use counts as needed for so long; the thread looks as often.
#define HOLD_NS (200 * NS_PER_MS)

// Rows are taken back for want of objects at most so often.
#define RECLAIM_EVERY_NS NS_PER_MS

static int64_t at_least(int64_t value, int64_t limit)
{
    return value > limit ? value : limit;
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

// --- under the grow lock --------------------------------------------------------------------------------

static void set_trigger(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), max = pool->config.max;
    int64_t trigger = INT64_MAX;
    if (!max || owned < max)
        trigger = at_least(expand_trigger(owned, pool->config.expand_at_percent), 1);
    SLAB_STORE(&pool->trigger, trigger);
}

// For what is owned and for the threads there are, and a few more of them.
static int64_t magazines_wanted(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), capacity = pool->depot.capacity;
    int64_t bytes = owned * (int64_t)pool->store.geometry.stride;
    int64_t bound = bytes / MAGAZINES_SHARE / (capacity * (int64_t)sizeof(void *)) + MAGAZINES_MIN;
    return at_most(owned / capacity, bound) + 2 * (thread_slot_highest() + SPARE_ROWS);
}

// 0, or -ENOMEM: then there are fewer, and objects are given to the store instead.
static int make_magazines(struct pool *pool)
{
    int threads = thread_slot_highest();
    int code = slab_depot_make(&pool->depot, magazines_wanted(pool));
    int rows = (int)at_most(threads + ROWS_AHEAD, THREAD_SLOT_ROWS);
    if (threads + SPARE_ROWS < pool->rows_ready)
        return code;
    // An addition of nothing faults the row's page in and does not disturb its owner.
    for (; pool->rows_ready < rows; pool->rows_ready++)
        SLAB_ADD(&pool->rows[pool->rows_ready].gets, 0);
    return code;
}

// owned x growth, as the contract has it. Returns how many objects it made; 0 at max and without memory.
static int64_t expand(struct pool *pool, int64_t trigger)
{
    int64_t from = SLAB_LOAD(&pool->store.owned);
    int64_t to = expand_next(from, pool->config.growth, pool->config.max);
    if (to <= from)
        return 0;
    int64_t began_ns = clock_now_ns();
    int64_t made = slab_store_grow(&pool->store, to - from);
    (void)make_magazines(pool);
    set_trigger(pool);
    int64_t ended_ns = clock_now_ns();
    if (made == 0) {
        SLAB_STORE(&pool->trigger, INT64_MAX); // next time when somebody finds nothing
        return 0;
    }
    SLAB_ADD(&pool->expansions, 1);
    SLAB_STORE(&pool->longest_expansion_ns,
               at_least(SLAB_LOAD(&pool->longest_expansion_ns), ended_ns - began_ns));
    struct pool_event event = {.kind = POOL_EVENT_EXPAND,
                               .at_ns = ended_ns,
                               .duration_ns = ended_ns - began_ns,
                               .from = from,
                               .to = from + made,
                               .trigger = trigger};
    pool_emit(&pool->config, &event);
    return made;
}

// Whoever waits for what the holder of the lock was about looks again.
static void grow_unlock(struct pool *pool)
{
    pthread_mutex_unlock(&pool->store.grow_lock);
    slab_store_announce(&pool->store);
}

static bool something_free(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->store.taken) || slab_depot_held(&pool->depot) > 0;
}

// All that is owned is in use: nothing is free, and nobody has something in hand on its way.
static bool all_in_use(struct pool *pool)
{
    return !something_free(pool) &&
           slab_account(pool).in_use - SLAB_LOAD(&pool->overflow_out) >= SLAB_LOAD(&pool->store.owned);
}

// Nothing lies in store or depot, and no more may be owned: what lies in rows comes out.
static enum slab_room reclaim_at_max(struct pool *pool)
{
    if (!SLAB_LOAD(&pool->exact)) {
        pthread_mutex_lock(&pool->store.lock);
        SLAB_STORE(&pool->exact, true);
        pthread_mutex_unlock(&pool->store.lock);
        slab_rows_reclaim(pool);
    }
    return all_in_use(pool) ? SLAB_ROOM_AT_MAX : SLAB_ROOM_FOUND;
}

// Objects in use are below the trigger: what is missing lies idle in rows. To fetch it costs some
// microseconds, and whoever works in those rows has to come for more; so not too often.
static bool reclaim_instead(struct pool *pool)
{
    int64_t now_ns = clock_now_ns();
    if (slab_account(pool).in_use >= SLAB_LOAD(&pool->trigger) ||
        now_ns - pool->reclaimed_ns < RECLAIM_EVERY_NS)
        return false;
    pool->reclaimed_ns = now_ns;
    slab_rows_reclaim(pool);
    return something_free(pool);
}

// Grows, or finds out why not.
static enum slab_room make_room(struct pool *pool)
{
    if (something_free(pool))
        return SLAB_ROOM_FOUND;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    if (pool->config.max && owned >= pool->config.max)
        return reclaim_at_max(pool);
    if (reclaim_instead(pool))
        return SLAB_ROOM_FOUND;
    if (expand(pool, owned) > 0)
        return SLAB_ROOM_MADE;
    slab_rows_reclaim(pool);
    return something_free(pool) ? SLAB_ROOM_FOUND : SLAB_ROOM_NO_MEMORY;
}

// --- giving back, under the grow lock -------------------------------------------------------------------

static void emit_shrink(struct pool *pool, int64_t from, int64_t began_ns, int64_t in_use)
{
    int64_t to = SLAB_LOAD(&pool->store.owned), now_ns = clock_now_ns();
    if (to == from)
        return;
    SLAB_ADD(&pool->shrinks, 1);
    struct pool_event event = {.kind = POOL_EVENT_SHRINK,
                               .at_ns = now_ns,
                               .duration_ns = now_ns - began_ns,
                               .from = from,
                               .to = to,
                               .trigger = in_use};
    pool_emit(&pool->config, &event);
}

// Gives back at most `surplus` objects, wherever they lie, and the magazines they needed.
static int64_t shrink(struct pool *pool, int64_t surplus, int64_t in_use)
{
    int64_t from = SLAB_LOAD(&pool->store.owned), began_ns = clock_now_ns(), bytes = 0;
    slab_rows_reclaim(pool);
    (void)slab_store_retire(&pool->store, surplus, &bytes);
    bytes += slab_depot_shrink(&pool->depot, magazines_wanted(pool));
    set_trigger(pool);
    emit_shrink(pool, from, began_ns, in_use);
    return bytes;
}

// Objects to own so that `in_use` stays below the trigger, with an eighth to spare.
static int64_t objects_for(const struct pool *pool, int64_t in_use)
{
    int64_t needed = in_use ? in_use * 100 / pool->config.expand_at_percent + 1 : 0;
    return needed + needed / 8;
}

// Gives back what was not needed lately: less than HOLD_NS ago, or since the last call, whichever is longer
// ago. `settled`: there is no more to come, however long one waits.
static int64_t give_back(struct pool *pool, bool *settled)
{
    int64_t now_ns = clock_now_ns(), owned = SLAB_LOAD(&pool->store.owned);
    int64_t in_use = slab_account(pool).in_use, floor = SLAB_LOAD(&pool->floor);
    int64_t peak =
        at_least(atomic_exchange_explicit(&pool->recent_peak, in_use, memory_order_relaxed), in_use);
    if (peak >= pool->held_peak || now_ns >= pool->held_until_ns) {
        pool->held_peak = peak;
        pool->held_until_ns = now_ns + HOLD_NS;
    }
    int64_t least = GIVE_BACK_BYTES_MIN / (int64_t)pool->store.geometry.stride;
    least = at_least(least, owned / GIVE_BACK_SHARE);
    int64_t surplus = owned - at_least(floor, objects_for(pool, pool->held_peak));
    *settled = owned - at_least(floor, objects_for(pool, in_use)) <= least;
    if (surplus <= least)
        return 0;
    int64_t bytes = shrink(pool, surplus, in_use);
    *settled = *settled || pool->held_peak == in_use;
    return bytes;
}

static bool worth_a_sweep(struct pool *pool)
{
    int64_t spare = SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->floor);
    return spare * (int64_t)pool->store.geometry.stride > GIVE_BACK_BYTES_MIN;
}

int64_t slab_sweep(struct pool *pool)
{
    bool settled;
    SLAB_ADD(&pool->sweeps, 1);
    // Whoever grows just now has no use for a sweep.
    if (!worth_a_sweep(pool) || pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return 0;
    int64_t bytes = give_back(pool, &settled);
    grow_unlock(pool);
    return bytes;
}

int64_t slab_trim(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t bytes = shrink(pool, INT64_MAX, slab_account(pool).in_use);
    grow_unlock(pool);
    return bytes;
}

int slab_preheat(struct pool *pool, int64_t count)
{
    int code = 0;
    pthread_mutex_lock(&pool->store.grow_lock);
    if (pool->config.max && count > pool->config.max - SLAB_LOAD(&pool->store.owned)) {
        code = -ERANGE;
    } else {
        int64_t made = slab_store_grow(&pool->store, count), bytes = 0;
        code = make_magazines(pool);
        if (made < count || code < 0) {
            (void)slab_store_retire(&pool->store, made, &bytes);
            code = -ENOMEM;
        } else {
            SLAB_ADD(&pool->floor, count);
        }
        set_trigger(pool);
    }
    grow_unlock(pool);
    return code;
}

void slab_memory(struct pool *pool, struct pool_stats *stats)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    size_t page = pool->store.geometry.page_bytes;
    int64_t rows = at_least(pool->rows_ready, thread_slot_highest() + 1);
    size_t bytes = offsetof(struct pool, rows) + (size_t)rows * sizeof(struct slab_row);
    bytes = (bytes + page - 1) / page * page + (size_t)pool->store.resident_pages * page +
            pool->store.slab_room * sizeof *pool->store.slabs;
    stats->owned = SLAB_LOAD(&pool->store.owned);
    stats->bytes_owned = (int64_t)bytes + slab_depot_bytes(&pool->depot);
    stats->overhead_bytes = stats->bytes_owned - stats->owned * (int64_t)pool->object_bytes;
    grow_unlock(pool);
}

// --- the thread -----------------------------------------------------------------------------------------

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
    pace->every_ns = at_least(at_most(since_ns / 64, LOOK_EVERY_MAX_NS), LOOK_EVERY_MIN_NS);
    pace->until_ns = now_ns + at_least(at_most(since_ns * 4, LOOK_FOR_MAX_NS), LOOK_FOR_MIN_NS);
}

static void wake(struct pool *pool, _Atomic bool *flag)
{
    if (pool->has_thread && !atomic_exchange_explicit(flag, true, memory_order_relaxed))
        sem_post(&pool->wake);
}

// Like wake(), unless the thread will look by itself. Both sides set their flag before they read the other's,
// in the one order of all such operations: one of them at least sees it.
static void wake_or_leave(struct pool *pool, _Atomic bool *flag)
{
    if (!SLAB_LOAD(flag) && !atomic_exchange_explicit(flag, true, memory_order_seq_cst) &&
        !atomic_load_explicit(&pool->looks, memory_order_seq_cst))
        sem_post(&pool->wake);
}

static void sleep_until(struct pool *pool, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    (void)sem_clockwait(&pool->wake, CLOCK_MONOTONIC, &until);
}

// `shrinks`: something may have to be given back when HOLD_NS are over.
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
        sleep_until(pool, now_ns + HOLD_NS);
    else
        (void)sem_wait(&pool->wake);
}

// Objects in use reached the trigger; so much is made that they are below it again.
static void grow_in_background(struct pool *pool, struct pace *pace)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t in_use = SLAB_LOAD(&pool->wanted_at);
    while (in_use >= SLAB_LOAD(&pool->trigger) && expand(pool, in_use) > 0) {
        in_use = slab_account(pool).in_use;
        pace_grew(pace);
    }
    grow_unlock(pool);
}

// Somebody found nothing, and waits for the announcement.
static void make_objects(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    (void)make_room(pool);
    grow_unlock(pool);
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
    int64_t shrink_ns = 0; // when to look what can be given back; 0 for never
    while (!SLAB_LOAD(&pool->stop)) {
        wait_for_work(pool, &pace, shrink_ns != 0);
        if (wanted(&pool->wanted_objects))
            make_objects(pool);
        if (wanted(&pool->wanted_growth))
            grow_in_background(pool, &pace);
        if (wanted(&pool->wanted_magazines)) {
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)make_magazines(pool);
            grow_unlock(pool);
        }
        int64_t now_ns = clock_now_ns();
        if (wanted(&pool->wanted_shrink) || (shrink_ns && now_ns >= shrink_ns)) {
            bool settled = true;
            pthread_mutex_lock(&pool->store.grow_lock);
            (void)give_back(pool, &settled);
            grow_unlock(pool);
            shrink_ns = settled ? 0 : now_ns + HOLD_NS;
        }
    }
    return NULL;
}

int slab_grow_open(struct pool *pool, struct err *err)
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

void slab_grow_close(struct pool *pool)
{
    if (!pool->has_thread)
        return;
    SLAB_STORE(&pool->stop, true);
    sem_post(&pool->wake);
    pthread_join(pool->thread, NULL);
    sem_destroy(&pool->wake);
}

// --- for gets and puts ----------------------------------------------------------------------------------

bool slab_want_growth(struct pool *pool, int64_t in_use)
{
    if (pool->has_thread) {
        if (!SLAB_LOAD(&pool->wanted_growth))
            SLAB_STORE(&pool->wanted_at, in_use);
        wake_or_leave(pool, &pool->wanted_growth);
        return false;
    }
    // When another thread grows or gives back, the trigger is looked at again at the next exchange.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return false;
    bool grew = in_use >= SLAB_LOAD(&pool->trigger) && expand(pool, in_use) > 0;
    grow_unlock(pool);
    return grew;
}

void slab_want_shrink(struct pool *pool)
{
    wake(pool, &pool->wanted_shrink);
}

void slab_want_magazines(struct pool *pool)
{
    wake(pool, &pool->wanted_magazines);
    if (pool->has_thread || pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return;
    (void)make_magazines(pool);
    grow_unlock(pool);
}

// At max and in exact mode there is nothing to wait for: no lock is needed to say so.
static bool is_at_max(struct pool *pool)
{
    return pool->config.max && SLAB_LOAD(&pool->exact) && SLAB_LOAD(&pool->store.owned) >= pool->config.max &&
           all_in_use(pool);
}

// Waits until something is published, or whoever is about it ended without. True when something lies free.
static bool wait_for_objects(struct pool *pool, uint64_t generation)
{
    struct slab_store *store = &pool->store;
    pthread_mutex_lock(&store->lock);
    while (store->generation == generation && SLAB_LOAD(&store->owned) <= SLAB_LOAD(&store->taken))
        pthread_cond_wait(&store->published, &store->lock);
    bool free = SLAB_LOAD(&store->owned) > SLAB_LOAD(&store->taken);
    pthread_mutex_unlock(&store->lock);
    return free;
}

static uint64_t generation_of(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    uint64_t generation = pool->store.generation;
    pthread_mutex_unlock(&pool->store.lock);
    return generation;
}

enum slab_room slab_make_room(struct pool *pool)
{
    if (is_at_max(pool))
        return SLAB_ROOM_AT_MAX;
    bool may_grow = !pool->config.max || SLAB_LOAD(&pool->store.owned) < pool->config.max;
    uint64_t generation = generation_of(pool);
    if (pool->has_thread && may_grow) {
        wake(pool, &pool->wanted_objects);
        if (wait_for_objects(pool, generation))
            return SLAB_ROOM_MADE;
        generation = generation_of(pool);
    }
    // The generation was read first: whoever has the lock now announces after that.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return wait_for_objects(pool, generation) ? SLAB_ROOM_MADE : SLAB_ROOM_FOUND;
    enum slab_room room = make_room(pool);
    grow_unlock(pool);
    return room;
}
