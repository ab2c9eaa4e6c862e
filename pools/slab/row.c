// SPDX-License-Identifier: Apache-2.0
// What a get or put does when the loaded magazine does not serve it. See pools/slab/pool.h.
#include "pools/slab/pool.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SPINS_BEFORE_YIELD = 64,
    BATCH_MIN = 8,      // objects from the store at once, when little is left there
    ROWS_ADDED_UP = 64, // up to so many rows are added up at each exchange; with more rows, the more seldom
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
    return (size_t)(SLAB_LOAD(&row->top) - row->bottom);
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
    row->bottom = bottom;
    SLAB_STORE(&row->top, magazine ? bottom + fill : NULL);
}

// --- accounting -----------------------------------------------------------------------------------------

// All gets before any put: an object that is got after we looked and put before we look counts as put alone,
// so that `in_use` is never more than there were, and the peak never higher than it was.
struct slab_account slab_account(struct pool *pool)
{
    struct slab_account account = {.given = SLAB_LOAD(&pool->single_gets)};
    int highest = thread_slot_ever();
    for (int slot = 1; slot <= highest; slot++)
        account.given += SLAB_LOAD(&pool->rows[slot].gets);
    atomic_thread_fence(memory_order_acquire); // what is read below is read later
    account.put = SLAB_LOAD(&pool->single_puts);
    for (int slot = 1; slot <= highest; slot++)
        account.put += SLAB_LOAD(&pool->rows[slot].puts);
    account.in_use = account.given > account.put ? account.given - account.put : 0;
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

// Adding up many rows at each exchange would cost more than the exchange.
static bool worth_adding_up(struct slab_row *row)
{
    int highest = thread_slot_ever();
    return highest <= ROWS_ADDED_UP ||
           (uint64_t)SLAB_LOAD(&row->gets) % (unsigned)(highest / ROWS_ADDED_UP + 1) == 0;
}

// What the thread made is in no cache here, nor are its pages' addresses; nor is what open made, when more is
// in use than ever was. So then the get before the magazine's last sends for the next one, and the exchange
// need not wait. Only in pools with a thread: who grows inline waits for more than that.
static bool next_is_far(struct pool *pool, const struct slab_row *row)
{
    return pool->has_thread && (row->climbs || bell_looks(&pool->bell));
}

static void fetch_next_magazine(struct pool *pool, const struct slab_row *row)
{
    if (row->previous_fill > 0)
        return;
    slab_depot_prefetch(&pool->depot);
    if (row->previous)
        __builtin_prefetch((const void *)&pool->depot.next[row->previous - 1], 1);
}

// Opens the row's traps, as far as they may be; its lock is held. Returns objects in use when they reached
// the trigger, or 0.
static int64_t row_arm(struct pool *pool, struct slab_row *row)
{
    row->climbs = false;
    if (!row->loaded || SLAB_LOAD(&pool->exact)) {
        row_close(row);
        return 0;
    }
    void **low = row->bottom, **high = row->bottom + pool->depot.capacity, **top = SLAB_LOAD(&row->top);
    int64_t reached = 0;
    if (worth_adding_up(row)) {
        int64_t in_use = slab_account(pool).in_use;
        slab_note_peak(pool, in_use);
        int64_t to_peak = SLAB_LOAD(&pool->peak) - in_use, to_trigger = SLAB_LOAD(&pool->trigger) - in_use;
        row->climbs = to_peak <= 0; // each get makes a new peak: the first put shall note it
        if (row->climbs)
            high = row->bottom;
        else if (to_peak < top - low)
            low = top - to_peak;
        if (to_trigger <= 0)
            reached = in_use;
        else if (to_trigger <= top - low)
            low = top - (to_trigger - 1); // the get that reaches it comes to us
    }
    if (low == row->bottom && top - low > 1 && next_is_far(pool, row))
        low++; // the last but one: see fetch_next_magazine()
    SLAB_STORE(&row->low, low);
    SLAB_STORE(&row->high, high);
    return reached;
}

// --- exchanges, with the row lock held ------------------------------------------------------------------

static void swap_magazines(struct pool *pool, struct slab_row *row)
{
    uint32_t previous = row->previous, previous_fill = row->previous_fill;
    row->previous = row->loaded;
    row->previous_fill = (uint32_t)row_fill(row);
    row_set_loaded(pool, row, previous, previous_fill);
}

// A thread that starts takes little, and the more the longer it goes on, so that threads that come and go do
// not leave the others without.
static void load_from_store(struct pool *pool, struct slab_row *row)
{
    if (!row->loaded)
        row_set_loaded(pool, row, slab_depot_pop(&pool->depot, &pool->depot.empty), 0);
    if (!row->loaded)
        return;
    row->batch = row->batch ? row->batch * 2 : BATCH_MIN;
    if (row->batch > pool->depot.capacity)
        row->batch = pool->depot.capacity;
    void **rounds = slab_magazine_rounds(&pool->depot, row->loaded);
    row_set_loaded(pool, row, row->loaded, slab_store_take(&pool->store, rounds, row->batch));
}

static void load_from_depot(struct pool *pool, struct slab_row *row)
{
    uint32_t magazine = slab_depot_pop(&pool->depot, &pool->depot.full);
    if (!magazine)
        return;
    if (row->previous)
        slab_depot_push(&pool->depot, &pool->depot.empty, row->previous);
    row->previous = row->loaded;
    row->previous_fill = 0;
    row_set_loaded(pool, row, magazine, pool->depot.capacity);
}

// The loaded magazine has no rounds: gets one that has, from nearby first. It may find none.
static void row_load(struct pool *pool, struct slab_row *row)
{
    if (row->previous_fill > 0) {
        swap_magazines(pool, row);
        return;
    }
    bool starts = row->batch < pool->depot.capacity;
    if (starts)
        load_from_store(pool, row);
    if (row_fill(row) == 0)
        load_from_depot(pool, row);
    if (row_fill(row) == 0 && !starts)
        load_from_store(pool, row);
}

// There is no loaded magazine, or no room in it: gets one with room. It may find none.
static void row_unload(struct pool *pool, struct slab_row *row)
{
    uint32_t capacity = pool->depot.capacity;
    if (row->previous && row->previous_fill < capacity) {
        swap_magazines(pool, row);
        return;
    }
    uint32_t empty = slab_depot_pop(&pool->depot, &pool->depot.empty);
    if (!empty && row->loaded) {
        // The depot has no room for another full one: the objects go home, and the magazine stays.
        slab_store_give(&pool->store, row->bottom, capacity);
        row_set_loaded(pool, row, row->loaded, 0);
        return;
    }
    if (row->previous)
        slab_depot_push(&pool->depot, &pool->depot.full, row->previous);
    row->previous = row->loaded;
    row->previous_fill = row->loaded ? capacity : 0;
    row_set_loaded(pool, row, empty, 0);
}

// --- the slow halves ------------------------------------------------------------------------------------

static void *row_get(struct pool *pool, struct slab_row *row)
{
    void *object = NULL;
    row_lock(row);
    bool exact = SLAB_LOAD(&pool->exact);
    if (!exact && row_fill(row) == 0)
        row_load(pool, row);
    if (!exact && row_fill(row) > 0) {
        void **top = SLAB_LOAD(&row->top) - 1;
        object = *top;
        SLAB_STORE(&row->top, top);
        SLAB_STORE(&row->gets, SLAB_LOAD(&row->gets) + 1);
        if (top == row->bottom + 1 && next_is_far(pool, row))
            fetch_next_magazine(pool, row);
    }
    bool lacks_magazine = !row->loaded && !exact;
    int64_t reached = row_arm(pool, row);
    row_unlock(row);
    if (reached && object && slab_want_growth(pool, reached))
        SLAB_ADD(&pool->misses, 1);
    if (lacks_magazine)
        slab_want_magazines(pool);
    return object;
}

static bool row_put(struct pool *pool, struct slab_row *row, void *object)
{
    bool done = false;
    row_lock(row);
    bool exact = SLAB_LOAD(&pool->exact);
    if (row->climbs)
        slab_note_peak(pool, slab_account(pool).in_use);
    if (!exact && (!row->loaded || row_fill(row) == pool->depot.capacity))
        row_unload(pool, row);
    if (!exact && row->loaded) {
        void **top = SLAB_LOAD(&row->top);
        *top = object;
        SLAB_STORE(&row->top, top + 1);
        SLAB_STORE(&row->puts, SLAB_LOAD(&row->puts) + 1);
        done = true;
    }
    bool lacks_magazine = !row->loaded && !exact;
    (void)row_arm(pool, row);
    row_unlock(row);
    if (lacks_magazine)
        slab_want_magazines(pool);
    return done;
}

void *slab_get_slow(struct pool *pool)
{
    int slot = thread_slot();
    void *object = slot ? row_get(pool, &pool->rows[slot]) : NULL;
    return object ? object : slab_get_single(pool);
}

void slab_put_slow(struct pool *pool, void *object)
{
    int slot = thread_slot();
    if (slab_is_overflow(object) || !slot || !row_put(pool, &pool->rows[slot], object))
        slab_put_single(pool, object);
    slab_consider_shrink(pool);
}

// --- taking rows back -----------------------------------------------------------------------------------

static void magazine_empty(struct pool *pool, uint32_t magazine, size_t fill)
{
    if (!magazine)
        return;
    if (fill)
        slab_store_give(&pool->store, slab_magazine_rounds(&pool->depot, magazine), fill);
    slab_depot_push(&pool->depot, &pool->depot.empty, magazine);
}

// The row lock is held, and the owner is not in the hot path.
static void row_empty(struct pool *pool, struct slab_row *row)
{
    magazine_empty(pool, row->loaded, row_fill(row));
    magazine_empty(pool, row->previous, row->previous_fill);
    row->previous = row->previous_fill = row->batch = 0;
    row->climbs = false;
    row_set_loaded(pool, row, 0, 0);
    row_close(row);
}

void slab_row_thread_exits(void *context, int slot)
{
    struct pool *pool = context;
    struct slab_row *row = &pool->rows[slot];
    row_lock(row);
    row_empty(pool, row);
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
    // took it earlier is counted in thread_slot_ever().
    barrier_everywhere();
    int highest = pool->can_reclaim ? thread_slot_ever() : 0;
    for (int slot = 1; slot <= highest; slot++) {
        row_lock(&pool->rows[slot]);
        row_close(&pool->rows[slot]);
    }
    barrier_everywhere();
    for (int slot = 1; slot <= highest; slot++) {
        wait_until_left(&pool->rows[slot]);
        row_empty(pool, &pool->rows[slot]);
        row_unlock(&pool->rows[slot]);
    }
    uint32_t magazine;
    while ((magazine = slab_depot_pop(&pool->depot, &pool->depot.full)))
        magazine_empty(pool, magazine, pool->depot.capacity);
}

bool slab_rows_are_valid(struct pool *pool)
{
    uint32_t capacity = pool->depot.capacity;
    for (int slot = 0; slot <= thread_slot_ever(); slot++) {
        struct slab_row *row = &pool->rows[slot];
        if (SLAB_LOAD(&row->busy) || SLAB_LOAD(&row->lock) || row->previous_fill > capacity)
            return false;
        if (row->loaded ? row_fill(row) > capacity : SLAB_LOAD(&row->top) != NULL)
            return false;
        if (row->loaded && row->loaded == row->previous)
            return false;
    }
    return true;
}
