// SPDX-License-Identifier: Apache-2.0
// What a get or put does when the loaded magazine does not serve it. See pools/slab_pool.h.
#include "pools/slab_pool.h"

#include "base/clock.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SPINS_BEFORE_YIELD = 64,
    BATCH_MIN = 8,      // objects from the store at once, when little is left there
    ROWS_ADDED_UP = 64, // up to so many rows are added up at each exchange; with more rows, the more seldom
    SHRINK_BYTES_MIN = 256 << 10, // what has to lie free before the thread is woken
};

// --- row locks ------------------------------------------------------------------------------------------

// Held for an exchange by the owner, or while rows are taken back. Acquire: what the last holder did is seen.
static void row_lock(struct slab_row *row)
{
    for (int spins = 0; atomic_exchange_explicit(&row->lock, 1, memory_order_acquire); spins++)
        if (spins >= SPINS_BEFORE_YIELD)
            sched_yield();
}

static void row_unlock(struct slab_row *row)
{
    atomic_store_explicit(&row->lock, 0, memory_order_release);
}

static size_t row_fill(struct slab_row *row)
{
    return (size_t)(SLAB_LOAD(&row->top) - SLAB_LOAD(&row->bottom));
}

// Both traps closed: the owner's next get or put comes to us.
static void row_close(struct slab_row *row)
{
    SLAB_STORE(&row->low, (void **)UINTPTR_MAX);
    SLAB_STORE(&row->high, (void **)NULL);
}

static void row_set_loaded(struct pool *pool, struct slab_row *row, uint32_t magazine, size_t fill)
{
    void **bottom = magazine ? slab_magazine_rounds(&pool->depot, magazine) : NULL;
    row->loaded = magazine;
    SLAB_STORE(&row->bottom, bottom);
    SLAB_STORE(&row->top, magazine ? bottom + fill : NULL);
}

// --- accounting -----------------------------------------------------------------------------------------

// Objects on their way between store, depot and rows are in none or in two of them. Like a sequence lock with
// many writers: acquire keeps the movement's stores behind its beginning, release before its end.
static void movement_begin(struct pool *pool)
{
    (void)atomic_fetch_add_explicit(&pool->moving, (UINT64_C(1) << 16) + 1, memory_order_acq_rel);
}

static void movement_end(struct pool *pool)
{
    (void)atomic_fetch_sub_explicit(&pool->moving, 1, memory_order_release);
}

struct slab_account slab_account(struct pool *pool)
{
    uint64_t before = atomic_load_explicit(&pool->moving, memory_order_acquire);
    struct slab_account account = {.owned = SLAB_LOAD(&pool->store.owned)};
    account.in_use =
        SLAB_LOAD(&pool->store.taken) - SLAB_LOAD(&pool->depot.held) + SLAB_LOAD(&pool->overflow_out);
    int highest = thread_slot_highest();
    for (int slot = 1; slot <= highest; slot++) {
        struct slab_row *row = &pool->rows[slot];
        // Of different magazines when an exchange comes between; then the account is not steady.
        uintptr_t top = (uintptr_t)SLAB_LOAD(&row->top), bottom = (uintptr_t)SLAB_LOAD(&row->bottom);
        account.in_use -= ((int64_t)(top - bottom)) / (int64_t)sizeof(void *);
        account.in_use -= SLAB_LOAD(&row->previous_fill);
    }
    if (account.in_use < 0)
        account.in_use = 0; // a put was seen whose get was not
    // The reads above stay before this one.
    atomic_thread_fence(memory_order_acquire);
    account.steady = SLAB_LOAD(&pool->moving) == before && (before & 0xffff) == 0;
    return account;
}

static void raise_to(_Atomic int64_t *most, int64_t value)
{
    int64_t seen = SLAB_LOAD(most);
    while (value > seen && !atomic_compare_exchange_weak_explicit(most, &seen, value, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

void slab_note_peak(struct pool *pool, int64_t in_use)
{
    raise_to(&pool->peak, in_use);
    raise_to(&pool->recent_peak, in_use);
}

int64_t slab_row_gets(struct pool *pool)
{
    int64_t gets = 0;
    for (int slot = 1; slot <= thread_slot_highest(); slot++)
        gets += SLAB_LOAD(&pool->rows[slot].gets);
    return gets;
}

// Adding up many rows at each exchange would cost more than the exchange.
static bool worth_adding_up(struct slab_row *row)
{
    int highest = thread_slot_highest();
    return highest <= ROWS_ADDED_UP ||
           (uint64_t)SLAB_LOAD(&row->gets) % (unsigned)(highest / ROWS_ADDED_UP + 1) == 0;
}

// Opens the row's traps, as far as they may be. Its lock is held; no movement of ours is under way. `put`:
// one object was just put, so that there was one more in use. Returns objects in use when they reached the
// trigger, or 0.
static int64_t row_arm(struct pool *pool, struct slab_row *row, bool put)
{
    if (!row->loaded || SLAB_LOAD(&pool->exact)) {
        row_close(row);
        return 0;
    }
    void **bottom = SLAB_LOAD(&row->bottom), **top = SLAB_LOAD(&row->top);
    void **low = bottom, **high = bottom + pool->depot.capacity;
    int64_t reached = 0;
    struct slab_account account = {0};
    if (worth_adding_up(row))
        account = slab_account(pool);
    if (account.steady) {
        slab_note_peak(pool, account.in_use + put);
        int64_t to_peak = SLAB_LOAD(&pool->peak) - account.in_use;
        int64_t to_trigger = SLAB_LOAD(&pool->trigger) - account.in_use;
        if (to_peak <= 0)
            high = bottom; // each get makes a new peak: the first put shall note it
        else if (to_peak < top - low)
            low = top - to_peak;
        if (to_trigger <= 0)
            reached = account.in_use;
        else if (to_trigger <= top - low)
            low = top - (to_trigger - 1); // the get that reaches it comes to us
    }
    SLAB_STORE(&row->low, low);
    SLAB_STORE(&row->high, high);
    return reached;
}

// --- exchanges, with the row lock held and a movement under way -----------------------------------------

static void swap_magazines(struct pool *pool, struct slab_row *row)
{
    uint32_t previous = row->previous, previous_fill = SLAB_LOAD(&row->previous_fill);
    row->previous = row->loaded;
    SLAB_STORE(&row->previous_fill, (uint32_t)row_fill(row));
    row_set_loaded(pool, row, previous, previous_fill);
}

// Few at a time when few are left, so that the next thread finds some.
static size_t batch_size(struct pool *pool)
{
    int64_t share = (SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken)) / 2;
    if (share > pool->depot.capacity)
        return pool->depot.capacity;
    return share < BATCH_MIN ? BATCH_MIN : (size_t)share;
}

// The loaded magazine has no rounds: gets one that has, from nearby first. It may find none.
static void row_load(struct pool *pool, struct slab_row *row)
{
    if (SLAB_LOAD(&row->previous_fill) > 0) {
        swap_magazines(pool, row);
        return;
    }
    uint32_t fill, magazine = slab_depot_pop_full(&pool->depot, &fill);
    if (magazine) {
        if (row->previous)
            slab_depot_push_empty(&pool->depot, row->previous);
        row->previous = row->loaded;
        row_set_loaded(pool, row, magazine, fill);
        return;
    }
    if (!row->loaded)
        row_set_loaded(pool, row, slab_depot_pop_empty(&pool->depot), 0);
    if (row->loaded) {
        void **rounds = slab_magazine_rounds(&pool->depot, row->loaded);
        row_set_loaded(pool, row, row->loaded, slab_store_take(&pool->store, rounds, batch_size(pool)));
    }
}

// There is no loaded magazine, or no room in it: gets one with room. It may find none.
static void row_unload(struct pool *pool, struct slab_row *row)
{
    uint32_t capacity = pool->depot.capacity;
    if (row->previous && SLAB_LOAD(&row->previous_fill) < capacity) {
        swap_magazines(pool, row);
        return;
    }
    uint32_t empty = slab_depot_pop_empty(&pool->depot);
    if (!empty && row->loaded) {
        // The depot has no room for another full one: the objects go home, and the magazine stays.
        slab_store_give(&pool->store, slab_magazine_rounds(&pool->depot, row->loaded), capacity);
        row_set_loaded(pool, row, row->loaded, 0);
        return;
    }
    if (row->previous)
        slab_depot_push_full(&pool->depot, row->previous, capacity);
    row->previous = row->loaded;
    SLAB_STORE(&row->previous_fill, row->loaded ? capacity : 0);
    row_set_loaded(pool, row, empty, 0);
}

// --- one object at a time -------------------------------------------------------------------------------

static void *take_single(struct pool *pool)
{
    void *object = NULL;
    movement_begin(pool);
    if (slab_store_take(&pool->store, &object, 1) == 0) {
        uint32_t fill, magazine = slab_depot_pop_full(&pool->depot, &fill);
        if (magazine) {
            void **rounds = slab_magazine_rounds(&pool->depot, magazine);
            object = rounds[fill - 1];
            slab_store_give(&pool->store, rounds, fill - 1);
            slab_depot_push_empty(&pool->depot, magazine);
        }
    }
    movement_end(pool);
    return object;
}

// Past `max`, in exact mode. NULL with `*retry` set: something is free again, or exact mode ended.
static void *take_overflow(struct pool *pool, bool *retry)
{
    if (pool->config.overflow == POOL_OVERFLOW_REFUSE) {
        SLAB_ADD(&pool->refused, 1);
        return NULL;
    }
    // Counted before it exists, under the lock that ending exact mode takes: a thread that puts it must not
    // do so in the hot path.
    pthread_mutex_lock(&pool->store.lock);
    *retry = !SLAB_LOAD(&pool->exact) || SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->store.taken);
    if (!*retry)
        SLAB_ADD(&pool->overflow_out, 1);
    pthread_mutex_unlock(&pool->store.lock);
    if (*retry)
        return NULL;
    void *object = pool_memory_alloc(pool->object_bytes);
    SLAB_ADD(object ? &pool->overflow : &pool->failed, 1);
    if (!object)
        SLAB_ADD(&pool->overflow_out, -1);
    return object;
}

static void emit_refusal(struct pool *pool)
{
    if (atomic_exchange_explicit(&pool->refusing, true, memory_order_relaxed))
        return;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = owned, .to = owned, .trigger = owned};
    pool_emit(&pool->config, &event);
}

// An object came from somewhere past the rows: what row_arm() does for the others.
static void note_single(struct pool *pool)
{
    struct slab_account account = slab_account(pool);
    if (!account.steady)
        return;
    slab_note_peak(pool, account.in_use);
    if (account.in_use >= SLAB_LOAD(&pool->trigger))
        slab_want_growth(pool, account.in_use);
}

static void *get_single(struct pool *pool)
{
    bool missed = false, retry = true;
    void *object = NULL;
    while (retry && !(object = take_single(pool))) {
        switch (slab_make_room(pool)) {
        case SLAB_ROOM_FOUND:
            break;
        case SLAB_ROOM_MADE:
            missed = true;
            break;
        case SLAB_ROOM_AT_MAX:
            retry = false;
            object = take_overflow(pool, &retry);
            if (object)
                note_single(pool);
            else if (!retry && pool->config.overflow == POOL_OVERFLOW_REFUSE)
                emit_refusal(pool);
            if (!retry)
                return object;
            break;
        case SLAB_ROOM_NO_MEMORY:
            SLAB_ADD(&pool->failed, 1);
            return NULL;
        }
    }
    SLAB_ADD(&pool->single_gets, 1);
    if (missed)
        SLAB_ADD(&pool->misses, 1);
    note_single(pool);
    return object;
}

// Back to magazines when a quarter is free again and no overflow object is out.
static void leave_exact(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    int64_t owned = SLAB_LOAD(&pool->store.owned), free = owned - SLAB_LOAD(&pool->store.taken);
    // Relaxed: who reads false late goes one object at a time once more, which is always right.
    if (pool->can_reclaim && SLAB_LOAD(&pool->overflow_out) == 0 && free * 4 > owned)
        SLAB_STORE(&pool->exact, false);
    pthread_mutex_unlock(&pool->store.lock);
}

static bool put_overflow(struct pool *pool, void *object)
{
    // Whoever has an overflow object got it after it was counted.
    if (SLAB_LOAD(&pool->overflow_out) == 0 || slab_store_owns(&pool->store, object))
        return false;
    pool_memory_free(object);
    SLAB_ADD(&pool->overflow_out, -1);
    return true;
}

static void put_single(struct pool *pool, void *object)
{
    if (!put_overflow(pool, object)) {
        movement_begin(pool);
        slab_store_give(&pool->store, &object, 1);
        movement_end(pool);
    }
    SLAB_STORE(&pool->refusing, false);
    if (SLAB_LOAD(&pool->exact))
        leave_exact(pool);
}

// --- the slow halves ------------------------------------------------------------------------------------

static void *row_get(struct pool *pool, struct slab_row *row)
{
    void *object = NULL;
    row_lock(row);
    bool exact = SLAB_LOAD(&pool->exact);
    if (!exact) {
        movement_begin(pool);
        if (row_fill(row) == 0)
            row_load(pool, row);
        if (row_fill(row) > 0) {
            void **top = SLAB_LOAD(&row->top) - 1;
            object = *top;
            SLAB_STORE(&row->top, top);
            SLAB_STORE(&row->gets, SLAB_LOAD(&row->gets) + 1);
        }
        movement_end(pool);
    }
    bool lacks_magazine = !row->loaded && !exact;
    int64_t reached = row_arm(pool, row, false);
    row_unlock(row);
    if (reached && object)
        slab_want_growth(pool, reached);
    if (lacks_magazine)
        slab_want_magazines(pool);
    return object;
}

static bool row_put(struct pool *pool, struct slab_row *row, void *object)
{
    bool done = false, exact;
    row_lock(row);
    exact = SLAB_LOAD(&pool->exact);
    if (!exact) {
        movement_begin(pool);
        if (!row->loaded || row_fill(row) == pool->depot.capacity)
            row_unload(pool, row);
        if (row->loaded) {
            void **top = SLAB_LOAD(&row->top);
            *top = object;
            SLAB_STORE(&row->top, top + 1);
            done = true;
        }
        movement_end(pool);
    }
    bool lacks_magazine = !row->loaded && !exact;
    (void)row_arm(pool, row, done);
    row_unlock(row);
    if (lacks_magazine)
        slab_want_magazines(pool);
    return done;
}

static void consider_shrink(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    int64_t free = owned - SLAB_LOAD(&pool->store.taken) + SLAB_LOAD(&pool->depot.held);
    if (free > owned / 2 && owned > SLAB_LOAD(&pool->floor) &&
        free * (int64_t)pool->store.geometry.stride > SHRINK_BYTES_MIN)
        slab_want_shrink(pool);
}

void *slab_get_slow(struct pool *pool)
{
    int slot = thread_slot();
    void *object = slot ? row_get(pool, &pool->rows[slot]) : NULL;
    return object ? object : get_single(pool);
}

void slab_put_slow(struct pool *pool, void *object)
{
    int slot = thread_slot();
    if (!slot || !row_put(pool, &pool->rows[slot], object))
        put_single(pool, object);
    consider_shrink(pool);
}

// --- taking rows back -----------------------------------------------------------------------------------

static void hand_over(struct pool *pool, uint32_t magazine, size_t fill)
{
    if (magazine && fill)
        slab_depot_push_full(&pool->depot, magazine, (uint32_t)fill);
    else if (magazine)
        slab_depot_push_empty(&pool->depot, magazine);
}

// The row lock is held, a movement is under way, and the owner is not in the hot path.
static void row_empty(struct pool *pool, struct slab_row *row)
{
    hand_over(pool, row->loaded, row_fill(row));
    hand_over(pool, row->previous, SLAB_LOAD(&row->previous_fill));
    row->previous = 0;
    SLAB_STORE(&row->previous_fill, 0);
    row_set_loaded(pool, row, 0, 0);
    row_close(row);
}

void slab_row_thread_exits(void *context, int slot)
{
    struct pool *pool = context;
    struct slab_row *row = &pool->rows[slot];
    row_lock(row);
    if (row->loaded || row->previous) {
        movement_begin(pool);
        row_empty(pool, row);
        movement_end(pool);
    }
    row_unlock(row);
}

// Every thread of the process has passed a full barrier when it returns.
static void barrier_everywhere(void)
{
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void wait_until_left(struct slab_row *row)
{
#ifdef SLAB_BUSY_IS_LOCK
    slab_row_enter(row);
    slab_row_leave(row);
#else
    // Acquire pairs with slab_row_leave(). The owner has a few instructions to go, unless it was preempted.
    for (int spins = 0; atomic_load_explicit(&row->busy, memory_order_acquire); spins++)
        if (spins >= SPINS_BEFORE_YIELD)
            sched_yield();
#endif
}

void slab_rows_reclaim(struct pool *pool)
{
    // A thread that took its slot after this barrier sees what the caller wrote before (`exact`); one that
    // took it earlier is counted in thread_slot_highest().
    barrier_everywhere();
    int highest = pool->can_reclaim ? thread_slot_highest() : 0;
    for (int slot = 1; slot <= highest; slot++) {
        row_lock(&pool->rows[slot]);
        row_close(&pool->rows[slot]);
    }
    barrier_everywhere();
    movement_begin(pool);
    for (int slot = 1; slot <= highest; slot++) {
        wait_until_left(&pool->rows[slot]);
        row_empty(pool, &pool->rows[slot]);
        row_unlock(&pool->rows[slot]);
    }
    uint32_t fill, magazine;
    while ((magazine = slab_depot_pop_full(&pool->depot, &fill))) {
        slab_store_give(&pool->store, slab_magazine_rounds(&pool->depot, magazine), fill);
        slab_depot_push_empty(&pool->depot, magazine);
    }
    movement_end(pool);
}

bool slab_rows_are_valid(struct pool *pool)
{
    uint32_t capacity = pool->depot.capacity;
    for (int slot = 0; slot <= thread_slot_highest(); slot++) {
        struct slab_row *row = &pool->rows[slot];
        if (SLAB_LOAD(&row->busy) || SLAB_LOAD(&row->lock) || SLAB_LOAD(&row->previous_fill) > capacity)
            return false;
        if (row->loaded ? row_fill(row) > capacity : SLAB_LOAD(&row->top) != NULL)
            return false;
        if (row->loaded && row->loaded == row->previous)
            return false;
    }
    return true;
}
