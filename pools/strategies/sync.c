// SPDX-License-Identifier: Apache-2.0
// sync: in the style of Go's sync.Pool (Go's src/sync/pool.go). Each thread has a place for one private
// object, and a list. A put fills the place first, then the list. A get takes from there, last in first out.
// A thread without objects takes the oldest of another thread's list. If no thread has one, the get
// allocates. A sweep frees the objects that the sweep before set aside (the victims), and sets aside all
// objects that are free now. So an object is freed when two sweeps in a row found it unused; until then a
// get can take a victim.
//
// Any thread may sweep at any time. Go sweeps while the world is stopped. Here the owner and a sweep both
// empty the private place by an atomic exchange. Each row's lists have a lock, for which only thieves and
// sweeps ever contend. So a lone get and put cost one atomic exchange together. A thread that exits leaves
// its row to the next thread in its slot. Meanwhile other threads steal from it, and sweeps empty it. A set
// holds the rows with objects to steal, so a miss costs the same whether two threads ever used the pool or a
// thousand.
#include "base/clock.h"
#include "pools/shared/counters.h"
#include "pools/shared/object.h"
#include "pools/shared/pool_lock.h"
#include "pools/shared/row_set.h"
#include "pools/strategies/sync_list.h"

#include <errno.h>
#include <stdalign.h>

enum { PAGE_BYTES = 4096 };

// The part of one thread. Row 0 is shared by all threads without a slot: they share its lists and have no
// private object.
struct row {
    alignas(128) _Atomic(void *) private_object; // stored by the owner, taken by the owner or by a sweep
    _Atomic int64_t made;  // objects allocated here; written like pools/shared/counters.h's counts
    struct pool_lock lock; // guards the rest
    struct sync_list free, victims;
    _Atomic(void *) private_victim; // the private object of the previous generation
};

struct pool {
    struct pool_base base;
    size_t object_bytes; // constant, as are config and rows
    struct pool_config config;
    struct row *rows; // THREAD_SLOT_ROWS, mapped: a row costs memory once its slot is in use
    struct counters counters;

    // Rows whose lists may have objects; changed under the row's lock. A thread that finds a list empty
    // removes it.
    alignas(64) struct row_set with_free, with_victims;

    alignas(64) struct pool_lock sweeping; // only tried, never awaited: two sweeps at once count as one
    atomic_int wants_all; // a trim or drain found a sweep under way: it goes on until nothing is free
    _Atomic int64_t freed, sweeps, shrinks;
    _Atomic int64_t peak_bytes, peak_overhead; // before something was freed; otherwise they only rise
};

static void *peek(_Atomic(void *) *place)
{
    // Relaxed: tells only whether there is an object; the take orders.
    return atomic_load_explicit(place, memory_order_relaxed);
}

// Acquire: all that was written to the object before its put is visible.
static void *take_private(struct row *row)
{
    return peek(&row->private_object)
               ? atomic_exchange_explicit(&row->private_object, NULL, memory_order_acquire)
               : NULL;
}

// The newest of the thread's own list.
static void *take_own(struct row *row)
{
    if (sync_list_looks_empty(&row->free))
        return NULL;
    pool_lock_acquire(&row->lock);
    void *object = sync_list_pop_newest(&row->free);
    pool_lock_release(&row->lock);
    return object;
}

static void *steal_from(struct pool *pool, int slot)
{
    struct row *row = &pool->rows[slot];
    pool_lock_acquire(&row->lock);
    void *object = sync_list_pop_oldest(&row->free);
    if (!object)
        row_set_remove(&pool->with_free, slot);
    pool_lock_release(&row->lock);
    return object;
}

// The oldest object of another thread's list; begins with the next thread, and skips empty lists.
static void *steal(struct pool *pool, int slot)
{
    struct row_set_walk walk;
    void *object = NULL;
    int at = row_set_first(&pool->with_free, &walk, slot + 1);
    for (; at >= 0 && !object; at = row_set_next(&pool->with_free, &walk))
        object = steal_from(pool, at);
    return object;
}

static void *take_victim_of(struct pool *pool, int slot)
{
    struct row *row = &pool->rows[slot];
    pool_lock_acquire(&row->lock);
    void *object = peek(&row->private_victim);
    if (object)
        atomic_store_explicit(&row->private_victim, NULL, memory_order_relaxed); // the lock orders
    else
        object = sync_list_pop_oldest(&row->victims);
    if (!object)
        row_set_remove(&pool->with_victims, slot);
    pool_lock_release(&row->lock);
    return object;
}

static void *take_victim(struct pool *pool, int slot)
{
    struct row_set_walk walk;
    void *object = NULL;
    int at = row_set_first(&pool->with_victims, &walk, slot);
    for (; at >= 0 && !object; at = row_set_next(&pool->with_victims, &walk))
        object = take_victim_of(pool, at);
    return object;
}

static void *make_object(struct pool *pool, int slot)
{
    void *object = pool_memory_alloc(pool->object_bytes);
    if (object && object_construct(&pool->config, object) < 0) {
        pool_memory_free(object);
        object = NULL;
    }
    if (!object) {
        counters_failed(&pool->counters, slot);
        return NULL;
    }
    counters_add(&pool->rows[slot].made, slot);
    counters_take(&pool->counters, slot);
    counters_miss(&pool->counters, slot);
    return object;
}

static void *hand_out(struct pool *pool, int slot, void *object)
{
    counters_take(&pool->counters, slot);
    unpoison(object, pool->object_bytes);
    object_keeps_state(&pool->config, object, pool->object_bytes);
    return object;
}

static __attribute__((noinline)) void *get_slowly(struct pool *pool, int slot)
{
    void *object = take_own(&pool->rows[slot]);
    if (!object)
        object = steal(pool, slot);
    if (!object)
        object = take_victim(pool, slot);
    return object ? hand_out(pool, slot, object) : make_object(pool, slot);
}

static void *sync_get(struct pool *pool)
{
    int slot = thread_slot();
    void *object = take_private(&pool->rows[slot]);
    return __builtin_expect(object != NULL, 1) ? hand_out(pool, slot, object) : get_slowly(pool, slot);
}

static void free_object(struct pool *pool, void *object)
{
    object_destruct(&pool->config, object, pool->object_bytes);
    pool_memory_free(object);
}

// Release: see `owned`.
static void count_freed(struct pool *pool, int64_t objects)
{
    atomic_fetch_add_explicit(&pool->freed, objects, memory_order_release);
}

// False when there is no room.
static bool push_locked(struct pool *pool, int slot, void *object)
{
    if (!sync_list_push(&pool->rows[slot].free, object))
        return false;
    row_set_add(&pool->with_free, slot);
    return true;
}

// False when there is no room and no memory for more.
static bool push_with_more_room(struct pool *pool, int slot, void *object)
{
    struct row *row = &pool->rows[slot];
    bool pushed = false;
    while (!pushed) {
        pool_lock_acquire(&row->lock);
        size_t room = row->free.room ? row->free.room * 2 : SYNC_LIST_ROOM_AT_FIRST;
        pool_lock_release(&row->lock);
        void **places = pool_memory_alloc(room * sizeof *places), **unused = places;
        if (!places)
            return false;
        pool_lock_acquire(&row->lock);
        if (room > row->free.room) // otherwise a thread that shares the row was faster
            unused = sync_list_move_to(&row->free, places, room);
        pushed = push_locked(pool, slot, object);
        pool_lock_release(&row->lock);
        pool_memory_free(unused);
    }
    return true;
}

static __attribute__((noinline)) void put_on_list(struct pool *pool, int slot, void *object)
{
    struct row *row = &pool->rows[slot];
    pool_lock_acquire(&row->lock);
    bool pushed = push_locked(pool, slot, object);
    pool_lock_release(&row->lock);
    if (pushed || push_with_more_room(pool, slot, object))
        return;
    free_object(pool, object);
    count_freed(pool, 1);
}

static void sync_put(struct pool *pool, void *object)
{
    int slot = thread_slot();
    struct row *row = &pool->rows[slot];
    counters_put(&pool->counters, slot);
    poison(object, pool->object_bytes);
    // Only the owner fills the place, so a place seen empty stays empty. Release: see take_private.
    if (__builtin_expect(slot != 0 && !peek(&row->private_object), 1))
        atomic_store_explicit(&row->private_object, object, memory_order_release);
    else
        put_on_list(pool, slot, object);
}

// For a pool of one thread: no other thread takes its private object, so no exchange is needed.
static void *sync_get_alone(struct pool *pool)
{
    int slot = thread_slot();
    struct row *row = &pool->rows[slot];
    void *object = peek(&row->private_object);
    if (__builtin_expect(!object, 0))
        return get_slowly(pool, slot);
    atomic_store_explicit(&row->private_object, NULL, memory_order_relaxed);
    return hand_out(pool, slot, object);
}

// What was freed is read first: so it was made before, and the difference is never negative. It may include
// objects freed meanwhile. The acquire pairs with count_freed's release.
static int64_t owned(struct pool *pool)
{
    int64_t freed = atomic_load_explicit(&pool->freed, memory_order_acquire), made = 0;
    for (int slot = 0; slot <= thread_slot_ever(); slot++)
        made += counters_load(&pool->rows[slot].made);
    return made - freed;
}

static int64_t overhead_bytes(struct pool *pool)
{
    size_t places = 0;
    int64_t rows = thread_slot_ever() + 1;
    for (int slot = 0; slot < rows; slot++) {
        struct row *row = &pool->rows[slot];
        pool_lock_acquire(&row->lock);
        places += row->free.room + row->victims.room;
        pool_lock_release(&row->lock);
    }
    int64_t row_bytes = (rows * (int64_t)sizeof(struct row) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    return (int64_t)(sizeof *pool + places * sizeof(void *)) + row_bytes + counters_bytes(&pool->counters);
}

// Called before memory goes back.
static void note_bytes(struct pool *pool)
{
    int64_t overhead = overhead_bytes(pool);
    counters_raise(&pool->peak_bytes, owned(pool) * (int64_t)pool->object_bytes + overhead);
    counters_raise(&pool->peak_overhead, overhead);
}

static int64_t free_list(struct pool *pool, struct sync_list *list)
{
    int64_t freed = 0;
    for (void *object; (object = sync_list_pop_oldest(list)); freed++)
        free_object(pool, object);
    pool_memory_free(list->places);
    return freed;
}

// Advances one row by one generation. Returns the number of objects freed.
static int64_t sweep_row(struct pool *pool, int slot)
{
    struct row *row = &pool->rows[slot];
    struct sync_list old = {0};
    pool_lock_acquire(&row->lock);
    sync_list_hand_over(&row->victims, &old);
    sync_list_hand_over(&row->free, &row->victims);
    void *old_private = peek(&row->private_victim), *new_private = take_private(row);
    atomic_store_explicit(&row->private_victim, new_private, memory_order_relaxed);
    row_set_remove(&pool->with_free, slot);
    if (new_private || !sync_list_looks_empty(&row->victims))
        row_set_add(&pool->with_victims, slot);
    else
        row_set_remove(&pool->with_victims, slot);
    pool_lock_release(&row->lock);
    if (old_private)
        free_object(pool, old_private);
    return free_list(pool, &old) + (old_private != NULL);
}

static int64_t sweep_rows(struct pool *pool)
{
    int64_t freed = 0;
    for (int slot = 0; slot <= thread_slot_ever(); slot++)
        freed += sweep_row(pool, slot);
    return freed;
}

// Advances all rows by `generations`. Returns bytes freed.
static int64_t sweep_locked(struct pool *pool, int generations)
{
    int64_t start = clock_now_ns(), before = owned(pool), freed = 0;
    note_bytes(pool);
    for (int i = 0; i < generations; i++)
        freed += sweep_rows(pool);
    struct pool_event event = {.kind = POOL_EVENT_SHRINK, .from = before, .to = before - freed};
    event.at_ns = clock_now_ns();
    event.duration_ns = event.at_ns - start;
    if (freed) {
        event.trigger = counters_in_use(&pool->counters);
        note_bytes(pool); // what other threads made meanwhile
        count_freed(pool, freed);
        atomic_fetch_add_explicit(&pool->shrinks, 1, memory_order_relaxed);
        pool_emit(&pool->base.config, &event);
    }
    return freed * (int64_t)pool->object_bytes;
}

// All that is free, when wanted, and one generation otherwise. Who wants all says so and then tries the lock; who has
// the lock releases it and then looks. Both change `wants_all`, so one of them sees what the other did.
static int64_t sweep(struct pool *pool)
{
    int64_t bytes = 0;
    do {
        if (!pool_lock_try(&pool->sweeping))
            break;
        bytes += sweep_locked(pool, atomic_exchange(&pool->wants_all, 0) ? 2 : 1);
        pool_lock_release(&pool->sweeping);
    } while (atomic_fetch_add(&pool->wants_all, 0));
    return bytes;
}

static int64_t sweep_all(struct pool *pool)
{
    (void)atomic_exchange(&pool->wants_all, 1);
    return sweep(pool);
}

static int64_t sync_sweep(struct pool *pool)
{
    atomic_fetch_add_explicit(&pool->sweeps, 1, memory_order_relaxed);
    return sweep(pool);
}

static int64_t sync_trim(struct pool *pool)
{
    return sweep_all(pool);
}

// Replaces sync_put in a drain.
static void put_draining(struct pool *pool, void *object)
{
    counters_put(&pool->counters, thread_slot());
    free_object(pool, object);
    count_freed(pool, 1);
}

// An object kept by a put that was under way goes back with the next sweep.
static int64_t sync_drain(struct pool *pool)
{
    atomic_store_explicit(&pool->base.plain_put, put_draining, memory_order_relaxed);
    return sweep_all(pool);
}

static void sync_stats(struct pool *pool, struct pool_stats *stats)
{
    counters_read(&pool->counters, stats);
    stats->owned = owned(pool);
    stats->sweeps = counters_load(&pool->sweeps);
    stats->shrinks = counters_load(&pool->shrinks);
    stats->overhead_bytes = overhead_bytes(pool);
    counters_raise(&pool->peak_overhead, stats->overhead_bytes);
    stats->bytes_owned = stats->owned * (int64_t)pool->object_bytes + stats->overhead_bytes;
    stats->peak_bytes_owned = counters_load(&pool->peak_bytes);
    stats->bytes_allocated =
        stats->misses * (int64_t)pool->object_bytes + counters_load(&pool->peak_overhead);
}

static int sync_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config, .object_bytes = config->object_bytes};
    pool->rows = pool_memory_map(THREAD_SLOT_ROWS * sizeof *pool->rows, PAGE_BYTES);
    if (!pool->rows)
        goto fail_rows;
    if (counters_open(&pool->counters) < 0)
        goto fail_counters;
    for (int slot = 0; config->lock_inherits_priority && slot < THREAD_SLOT_ROWS; slot++)
        pool_lock_init(&pool->rows[slot].lock, true);
    if (config->threads == POOL_THREADS_ONE)
        atomic_init(&pool->base.get, sync_get_alone);
    *opened = pool;
    return 0;

fail_counters:
    pool_memory_unmap(pool->rows, THREAD_SLOT_ROWS * sizeof *pool->rows);
fail_rows:
    pool_memory_free(pool);
    return -ENOMEM;
}

static void sync_close(struct pool *pool)
{
    for (int generation = 0; generation < 2; generation++)
        sweep_rows(pool);
    counters_close(&pool->counters);
    pool_memory_unmap(pool->rows, THREAD_SLOT_ROWS * sizeof *pool->rows);
    pool_memory_free(pool);
}

static int64_t available(struct pool *pool)
{
    int64_t count = 0;
    for (int slot = 0; slot <= thread_slot_ever(); slot++) {
        struct row *row = &pool->rows[slot];
        count += (peek(&row->private_object) != NULL) + (peek(&row->private_victim) != NULL);
        count += (int64_t)(sync_list_count(&row->free) + sync_list_count(&row->victims));
    }
    return count;
}

// No thread takes a slot or exits between the three functions, so thread_slot_ever() does not change. Not
// `sweeping`: its holder calls the program's destruct, which may wait for a slot, or for the thread that forks.
static void sync_fork_prepare(struct pool *pool)
{
    for (int slot = 0; slot <= thread_slot_ever(); slot++)
        pool_lock_acquire(&pool->rows[slot].lock);
}

static void sync_fork_parent(struct pool *pool)
{
    for (int slot = 0; slot <= thread_slot_ever(); slot++)
        pool_lock_release(&pool->rows[slot].lock);
}

// An object that another thread was about to get, put or free is in use in the child for ever.
static void sync_fork_child(struct pool *pool)
{
    for (int slot = 0; slot <= thread_slot_ever(); slot++)
        pool_lock_make_free(&pool->rows[slot].lock);
    pool_lock_make_free(&pool->sweeping);
    counters_fork_child(&pool->counters);
    counters_correct(&pool->counters, owned(pool) - available(pool) - counters_in_use(&pool->counters));
}

// Free objects plus objects in use are the objects owned. Only while no other thread uses the pool.
static bool sync_is_valid(struct pool *pool)
{
    return available(pool) + counters_in_use(&pool->counters) == owned(pool);
}

static void sync_thread_exits(struct pool *pool, int slot)
{
    counters_thread_exits(&pool->counters, slot);
}

const struct pool_strategy pool_strategy_sync = {
    .name = "sync",
    .summary = "sync.Pool-style: per-thread private object and list, stealing, two generations of victims",
    .caps = POOL_CAP_SHRINKS | POOL_CAP_SWEEPS | POOL_CAP_CONSTRUCTS | POOL_CAP_FORKS,
    .open = sync_open,
    .get = sync_get,
    .put = sync_put,
    .stats = sync_stats,
    .close = sync_close,
    .thread_exits = sync_thread_exits,
    .sweep = sync_sweep,
    .trim = sync_trim,
    .drain = sync_drain,
    .fork_prepare = sync_fork_prepare,
    .fork_parent = sync_fork_parent,
    .fork_child = sync_fork_child,
    .is_valid = sync_is_valid,
};
