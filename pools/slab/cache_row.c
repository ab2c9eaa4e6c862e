// SPDX-License-Identifier: Apache-2.0
// Gets and puts that the loaded magazine cannot serve: exchanges between the row and the layers below. See
// pools/slab/pool.h.
#include "pools/slab/pool.h"

enum {
    BATCH_MIN = 8, // objects taken from the store at once when few are left there
};

// --- locks and states -----------------------------------------------------------------------------------

// The owner holds it for an exchange; another thread, while rows are taken back.
void slab_row_lock(struct slab_row *row)
{
    pool_lock_acquire(&row->lock);
}

void slab_row_unlock(struct slab_row *row)
{
    pool_lock_release(&row->lock);
}

static size_t row_fill(const struct slab_row *row)
{
    return (size_t)(ROW_LOAD(&row->hot.top) - row->bottom);
}

// The owner's next get or put takes the slow path.
void slab_row_close_traps(struct slab_row *row)
{
    ROW_STORE(&row->hot.low, (void **)UINTPTR_MAX);
    ROW_STORE(&row->hot.high, (void **)NULL);
}

// Sets the traps: in exposed rows the fast path uses them, in the others every get and put takes the slow
// path.
static void row_set_traps(struct slab_row *row, void **low, void **high)
{
    bool serves = row->holds && row->loaded;
    row->low = serves ? low : (void **)UINTPTR_MAX;
    row->high = serves ? high : NULL;
    slab_row_close_traps(row);
    if (!row->exposed)
        return;
    ROW_STORE(&row->hot.low, low);
    ROW_STORE(&row->hot.high, high);
}

static uint64_t bit_of(const struct pool *pool, const struct slab_row *row, _Atomic uint64_t **word)
{
    size_t slot = (size_t)(row - pool->rows);
    *word = (_Atomic uint64_t *)&pool->holding[slot / 64];
    return UINT64_C(1) << (slot % 64);
}

// Called before the row takes anything: a search that does not see the bit sees that `moves` changed.
static void row_hold(struct pool *pool, struct slab_row *row)
{
    _Atomic uint64_t *word;
    uint64_t bit = bit_of(pool, row, &word);
    if (row->holds)
        return;
    row->holds = true;
    atomic_fetch_or(word, bit);
    slab_note_move(pool);
}

static void row_hold_no_more(struct pool *pool, struct slab_row *row)
{
    _Atomic uint64_t *word;
    uint64_t bit = bit_of(pool, row, &word);
    if (!row->holds)
        return;
    row->holds = false;
    atomic_fetch_and(word, ~bit);
}

static void row_set_loaded(struct pool *pool, struct slab_row *row, uint32_t magazine, size_t fill)
{
    void **bottom = magazine ? slab_magazine_rounds(&pool->depot, magazine) : NULL;
    row->loaded = magazine;
    row->bottom = bottom;
    ROW_STORE(&row->hot.top, magazine ? bottom + fill : NULL);
}

// --- traps ----------------------------------------------------------------------------------------------

// Objects made by the pool's thread are in no cache of this processor, nor are their pages' addresses. The
// same holds for objects made at open, when more are in use than ever. So the get before the magazine's last
// prefetches the next magazine, and the exchange need not wait. Only in pools with a thread: a get that
// grows inline waits longer than that.
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

// Opens the row's traps, as far as allowed; needs its lock. Returns the objects in use when the trigger was
// reached, else 0.
static int64_t row_arm(struct pool *pool, struct slab_row *row)
{
    row->climbs = false;
    // The bound fell since the owner looked, and who lowered it may not have seen this row hold anything.
    if (slab_is_over(pool) && row->holds)
        (void)slab_row_empty(pool, row);
    // A thread that clears `fenced` meanwhile finds the row exposed, and leaves it alone.
    row->exposed = row->holds && row->loaded && SLAB_LOAD(&pool->fenced) && !slab_is_over(pool);
    void **low = row->bottom, **high = row->bottom + pool->depot.capacity, **top = ROW_LOAD(&row->hot.top);
    int64_t reached = 0;
    if (slab_worth_adding_up(pool, row->exchanges++)) {
        int64_t in_use = slab_account(pool).in_use;
        slab_note_peak(pool, in_use);
        int64_t to_peak = SLAB_LOAD(&pool->peak) - in_use, to_trigger = SLAB_LOAD(&pool->trigger) - in_use;
        row->climbs = to_peak <= 0; // each get reaches a new peak; the first put notes it
        if (row->climbs)
            high = row->bottom;
        else if (to_peak < top - low)
            low = top - to_peak;
        if (to_trigger <= 0)
            reached = in_use;
        else if (to_trigger <= top - low)
            low = top - (to_trigger - 1); // the get that reaches it meets the trap
    }
    if (low == row->bottom && top - low > 1 && next_is_far(pool, row))
        low++; // the get before the last: see fetch_next_magazine()
    row_set_traps(row, low, high);
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

// A thread that starts takes little, and more the longer it goes on, so that short-lived threads leave
// enough to others. Where no more objects may be made, the remaining ones are shared.
static size_t batch_of(struct pool *pool, struct slab_row *row)
{
    row->batch = row->batch ? row->batch * 2 : BATCH_MIN;
    if (row->batch > pool->depot.capacity)
        row->batch = pool->depot.capacity;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    if (owned < SLAB_LOAD(&pool->limit))
        return row->batch;
    int64_t share = (owned - SLAB_LOAD(&pool->store.taken)) / (2 * SLAB_LOAD(&pool->live_count)) + 1;
    return (size_t)slab_less(row->batch, share);
}

static void load_from_store(struct pool *pool, struct slab_row *row)
{
    if (!row->loaded)
        row_set_loaded(pool, row, slab_depot_pop(&pool->depot, &pool->depot.empty), 0);
    if (!row->loaded)
        return;
    void **rounds = slab_magazine_rounds(&pool->depot, row->loaded);
    row_set_loaded(pool, row, row->loaded, slab_store_take(&pool->store, rounds, batch_of(pool, row)));
}

static void load_from_depot(struct pool *pool, struct slab_row *row)
{
    uint32_t magazine = slab_depot_pop_full(&pool->depot);
    if (!magazine)
        return;
    if (row->previous)
        slab_depot_push(&pool->depot, &pool->depot.empty, row->previous);
    row->previous = row->loaded;
    row->previous_fill = 0;
    row_set_loaded(pool, row, magazine, pool->depot.capacity);
}

// The loaded magazine has no rounds: gets one that has some, if there is one; nearby ones first.
static void row_load(struct pool *pool, struct slab_row *row)
{
    if (row->previous_fill > 0) {
        swap_magazines(pool, row);
        return;
    }
    row_hold(pool, row);
    bool starts = row->batch < pool->depot.capacity;
    if (starts)
        load_from_store(pool, row);
    if (row_fill(row) == 0)
        load_from_depot(pool, row);
    if (row_fill(row) == 0 && !starts)
        load_from_store(pool, row);
    if (row_fill(row) == 0)
        row_hold_no_more(pool, row);
    else
        row->patience /= 2;
}

// There is no loaded magazine, or it has no room: gets one with room, if there is one.
static void row_unload(struct pool *pool, struct slab_row *row)
{
    uint32_t capacity = pool->depot.capacity;
    if (row->previous && row->previous_fill < capacity) {
        swap_magazines(pool, row);
        return;
    }
    uint32_t empty = slab_depot_pop(&pool->depot, &pool->depot.empty);
    if (!empty && row->loaded) {
        // The depot has no room for another full one: the objects go to the store, and the magazine stays.
        slab_store_give(&pool->store, row->bottom, capacity);
        row_set_loaded(pool, row, row->loaded, 0);
        slab_note_move(pool);
        return;
    }
    if (row->previous) {
        slab_depot_push_full(&pool->depot, row->previous);
        slab_note_move(pool);
        row->patience /= 2;
    }
    row->previous = row->loaded;
    row->previous_fill = row->loaded ? capacity : 0;
    row_set_loaded(pool, row, empty, 0);
}

// --- the slow halves ------------------------------------------------------------------------------------

// The owner is here, so it is not in the fast path: the row is closed. Objects that were out of reach are
// not any more.
void slab_row_begin(struct pool *pool, struct slab_row *row)
{
    slab_row_lock(row);
    if (!row->listed)
        slab_row_enlist(pool, row);
    if (row->exposed && !SLAB_LOAD(&pool->fenced))
        slab_note_move(pool);
    row->exposed = false;
}

// The row was taken back because other threads needed objects. Then it does without a magazine for a while,
// and the longer the more often it happens. Otherwise the other threads and this one would disturb each
// other at each object.
static bool row_goes_without(struct pool *pool, struct slab_row *row)
{
    if (slab_is_over(pool))
        return true;
    if (row->without == 0 || row->holds)
        return false;
    row->without--;
    return true;
}

static void *pop(struct slab_row *row)
{
    void **top = ROW_LOAD(&row->hot.top) - 1;
    ROW_STORE(&row->hot.top, top);
    ROW_STORE(&row->hot.gets, ROW_LOAD(&row->hot.gets) + 1);
    return *top;
}

static void push(struct slab_row *row, void *object)
{
    void **top = ROW_LOAD(&row->hot.top);
    *top = object;
    ROW_STORE(&row->hot.top, top + 1);
    ROW_STORE(&row->hot.puts, ROW_LOAD(&row->hot.puts) + 1);
}

void *slab_row_get(struct pool *pool, struct slab_row *row, struct slab_wish *wish)
{
    void *object = NULL;
    slab_row_begin(pool, row);
    if (ROW_LOAD(&row->hot.top) > row->low &&
        !SLAB_LOAD(&pool->fenced)) { // serves what the fast path would have served
        object = pop(row);
        slab_row_unlock(row);
        return object;
    }
    bool without = row_goes_without(pool, row);
    if (!without && row_fill(row) == 0)
        row_load(pool, row);
    if (row_fill(row) > 0) {
        object = pop(row);
        if (row_fill(row) == 1 && next_is_far(pool, row))
            fetch_next_magazine(pool, row);
    }
    wish->magazine = !row->loaded && !without;
    wish->reached = row_arm(pool, row);
    slab_row_unlock(row);
    return object;
}

bool slab_row_put(struct pool *pool, struct slab_row *row, void *object, struct slab_wish *wish)
{
    slab_row_begin(pool, row);
    if (ROW_LOAD(&row->hot.top) < row->high && !SLAB_LOAD(&pool->fenced)) {
        push(row, object);
        slab_row_unlock(row);
        return true;
    }
    bool without = row_goes_without(pool, row), done = false;
    if (row->climbs)
        slab_note_peak(pool, slab_account(pool).in_use);
    if (!without && (!row->loaded || row_fill(row) == pool->depot.capacity))
        row_unload(pool, row);
    if (!without && row->loaded) {
        row_hold(pool, row);
        push(row, object);
        done = true;
    }
    wish->magazine = !row->loaded && !without;
    (void)row_arm(pool, row);
    slab_row_unlock(row);
    return done;
}

// --- emptying -------------------------------------------------------------------------------------------

static size_t magazine_empty(struct pool *pool, uint32_t magazine, size_t fill)
{
    if (!magazine)
        return 0;
    if (fill)
        slab_store_give(&pool->store, slab_magazine_rounds(&pool->depot, magazine), fill);
    slab_depot_push(&pool->depot, &pool->depot.empty, magazine);
    return fill;
}

size_t slab_row_empty(struct pool *pool, struct slab_row *row)
{
    size_t count = magazine_empty(pool, row->loaded, row_fill(row));
    count += magazine_empty(pool, row->previous, row->previous_fill);
    row->previous = row->previous_fill = row->batch = 0;
    row->climbs = false;
    row_set_loaded(pool, row, 0, 0);
    if (count)
        slab_note_move(pool);
    row_hold_no_more(pool, row);
    row_set_traps(row, NULL, NULL);
    return count;
}

// Every round is an object of this pool: overflow objects never get into a magazine.
static bool magazine_is_valid(const struct pool *pool, uint32_t magazine, size_t fill)
{
    void **rounds = slab_magazine_rounds(&pool->depot, magazine);
    if (fill > pool->depot.capacity)
        return false;
    for (size_t i = 0; i < fill; i++)
        if (!slab_store_owns_locked(&pool->store, rounds[i]))
            return false;
    return true;
}

static bool row_is_valid(const struct pool *pool, const struct slab_row *row)
{
    _Atomic uint64_t *word;
    uint64_t bit = bit_of(pool, row, &word);
    if (ROW_LOAD(&row->hot.busy) || SLAB_LOAD(&row->lock.held) || ((*word & bit) != 0) != row->holds)
        return false;
    if (!row->holds && (row_fill(row) || row->previous_fill))
        return false;
    if (row->exposed && !row->holds)
        return false;
    if (row->loaded && row->loaded == row->previous)
        return false;
    if (row->loaded ? !magazine_is_valid(pool, row->loaded, row_fill(row)) : ROW_LOAD(&row->hot.top) != NULL)
        return false;
    return row->previous ? magazine_is_valid(pool, row->previous, row->previous_fill)
                         : row->previous_fill == 0;
}

bool slab_rows_are_valid(struct pool *pool)
{
    bool valid = true;
    pthread_mutex_lock(&pool->store.lock);
    for (int slot = 0; slot <= SLAB_LOAD(&pool->highest_row) && valid; slot++)
        valid = row_is_valid(pool, &pool->rows[slot]);
    pthread_mutex_unlock(&pool->store.lock);
    return valid;
}
