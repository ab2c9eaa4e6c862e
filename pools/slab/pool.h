// SPDX-License-Identifier: Apache-2.0
// Strategy `slab`, as its own files see it. Each layer has a file of its own:
//
//   slab.c            the strategy: get and put out of the own magazine, open, close, statistics
//   row.c  what the own magazine does not serve; taking rows back from their threads
//   single.c  one object at a time, for those without a magazine and at the bound
//   magazine.h  the depot, where threads exchange magazines whole
//   store.h  the slabs, where objects lie that are in no magazine
//   pages.h  the memory of the slabs
//   grow.c  making objects
//   give_back.c  giving memory back
//   thread.c  both in the background
//
// A row is what one thread works on: its slot's (pools/thread_slot.h). In the common case get and put are a
// comparison and a move of `top`, with no atomic operation that locks:
//
//     bottom <= low <= top <= high <= bottom + capacity
//     get takes while top > low; put gives while top < high; anything else is row.c's business
//
// `low` and `high` are traps. They stand at the ends of the magazine, or nearer, where something is to be
// noticed: low where objects in use would reach the growth trigger or a new peak; high at the bottom while
// each get makes a new peak, so that the first put notes how high it was. So peak and trigger are exact with
// one thread at no cost in the hot path. With several threads they are looked at when a magazine is exchanged
// or a trap is hit, and may be off by what the others moved since. In `exact` mode, and in rows without a
// magazine, both traps are closed.
//
// Anyone may take a row back from its thread, which the bound, trim and giving back need: a thread that sits
// idle on free objects must not make another be refused. Row lock, traps closed, membarrier(2), wait for
// `busy` to be 0: whoever was in the hot path has left it, and whoever comes is caught in a trap and waits
// for the row lock.
//
// Accounting. Each row counts the gets and puts its owner made there, and so no get or put counts anything
// shared: in use = gets - puts, added up over the rows and over what went past them.
//
// Exact mode, bounded pools only: when every object that may be owned is, and none lies in store or depot,
// rows are taken back and emptied, and from then on each get and put goes through the store one object at a
// time, until enough is free again and no overflow object is out. So never more than `max` are in use besides
// overflow, nobody is refused while an object is free, and an overflow object never gets into a magazine.
#ifndef POOLMARK_POOLS_SLAB_POOL_H
#define POOLMARK_POOLS_SLAB_POOL_H

#include "pools/bell.h"
#include "pools/pool_strategy.h"
#include "pools/slab/magazine.h"
#include "pools/slab/store.h"
#include "pools/thread_slot.h"

// Two cache lines: processors fetch neighbouring lines in pairs. `top` to `busy` are what the hot path
// touches.
struct slab_row {
    alignas(128) _Atomic(void **) top; // the owner writes; whoever holds the row lock of a row at rest, too
    _Atomic(void **) low, high;        // the owner writes; anyone closes them, with the row lock
    _Atomic int64_t gets, puts;        // that this row served
    _Atomic int busy;                  // 1: the owner is in the hot path
    _Atomic int lock;                  // 1: taken; guards all that follows, and moving the row's magazines
    void **bottom;                     // of the loaded magazine
    uint32_t loaded, previous;         // magazines; 0 for none
    bool climbs;                       // each get makes a new peak, see above
    uint32_t previous_fill;            // its rounds
    uint32_t batch;                    // objects to take from the store next time: 0, then more each time
};

// Exact while nobody works, each count right at some instant otherwise.
struct slab_account {
    int64_t given, put; // objects
    int64_t in_use;     // overflow among them
};

struct pool {
    struct pool_base base; // pool.c's; written after open, so not for the pool's own thread
    struct pool_config config;
    struct slab_store store;
    struct slab_depot depot;
    size_t object_bytes;
    bool can_reclaim; // membarrier works here; otherwise a bounded pool is always in exact mode

    // Relaxed where nothing else is said: counts, or hints that are checked again under a lock.
    _Atomic bool exact;                       // goes up and down under the store's lock
    _Atomic int64_t overflow_out;             // overflow objects in use; goes up under the store's lock
    _Atomic int64_t peak;                     // most in use
    _Atomic int64_t recent_peak;              // most in use since giving back was last considered
    _Atomic int64_t trigger;                  // objects in use that set growth off; INT64_MAX: nothing does
    _Atomic int64_t single_gets, single_puts; // past the rows, overflow among them
    _Atomic int64_t misses, overflow, refused, failed;
    _Atomic int64_t expansions, shrinks, sweeps, longest_expansion_ns;
    _Atomic bool refusing;            // the last get that found nothing was refused
    _Atomic int64_t floor;            // objects made by open and preheat: giving back leaves as many
    int64_t reclaimed_ns;             // when rows were last taken back for want of objects; grow lock
    int64_t held_peak, held_until_ns; // what was in use lately, see slab_give_back(); grow lock
    _Atomic int rows_ready;           // rows faulted in; written under the grow lock

    // The background thread; there when growth_mode is background.
    bool has_thread;
    pthread_t thread;
    struct bell bell;              // rung when a trigger was reached; knocked when a flag goes up
    _Atomic int64_t wanted_at;     // objects in use when it was rung
    _Atomic bool wanted_objects;   // somebody found nothing, and waits
    _Atomic bool wanted_shrink;    // much lies free
    _Atomic bool wanted_magazines; // somebody found none
    _Atomic bool stop;
    struct thread_slot_watch watch; // flushes the rows of threads that exit

    struct slab_row rows[THREAD_SLOT_ROWS];
};

#define SLAB_LOAD(at) atomic_load_explicit(at, memory_order_relaxed)
#define SLAB_STORE(at, value) atomic_store_explicit(at, value, memory_order_relaxed)
#define SLAB_ADD(at, value) ((void)atomic_fetch_add_explicit(at, value, memory_order_relaxed))

// The hot path's side of taking a row back. The other side's membarrier stands for the fence that would be
// due between `busy` and the traps; the compiler is kept from moving one over the other. ThreadSanitizer
// knows no membarrier: for it, `busy` is a lock.
#ifdef __SANITIZE_THREAD__
#define SLAB_BUSY_IS_LOCK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLAB_BUSY_IS_LOCK 1
#endif
#endif

static inline void slab_row_enter(struct slab_row *row)
{
#ifdef SLAB_BUSY_IS_LOCK
    while (atomic_exchange_explicit(&row->busy, 1, memory_order_acquire))
        ;
#else
    SLAB_STORE(&row->busy, 1);
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

// Release: who sees 0 sees what was done in the row.
static inline void slab_row_leave(struct slab_row *row)
{
    atomic_store_explicit(&row->busy, 0, memory_order_release);
}

// Overflow objects are told from the pool's own by their address alone: ours lie at whole cache lines, they
// lie beside them. So no put of one ever gets as far as a magazine, whatever the pool is about meanwhile.
enum { SLAB_LINE_BYTES = 64, SLAB_OVERFLOW_BYTES = 16 }; // past a cache line's start; as aligned as malloc's

static inline bool slab_is_overflow(const void *object)
{
    return (uintptr_t)object % SLAB_LINE_BYTES != 0;
}

// --- row.c -----------------------------------------------------------------------------------------

void *slab_get_slow(struct pool *pool);
void slab_put_slow(struct pool *pool, void *object);
void slab_row_thread_exits(void *pool, int slot);

// Under the grow lock. Takes all rows back, and gives their objects and the depot's to the store.
void slab_rows_reclaim(struct pool *pool);

struct slab_account slab_account(struct pool *pool);
void slab_note_peak(struct pool *pool, int64_t in_use);
bool slab_rows_are_valid(struct pool *pool); // while nobody works

// --- single.c --------------------------------------------------------------------------------------

// One object past the rows: for threads without a slot, in exact mode, when there is no magazine, and when
// objects have to be made first.
void *slab_get_single(struct pool *pool);
void slab_put_single(struct pool *pool, void *object);

// --- grow.c ----------------------------------------------------------------------------------------

int slab_preheat(struct pool *pool, int64_t count);
// The trigger was reached: grows here, and returns true, or wakes the thread.
bool slab_want_growth(struct pool *pool, int64_t in_use);
void slab_want_magazines(struct pool *pool); // there was none: makes some here, or wakes the thread

enum slab_room {
    SLAB_ROOM_FOUND,  // something is free after all
    SLAB_ROOM_MADE,   // the pool grew
    SLAB_ROOM_AT_MAX, // all that may be owned is in use; exact mode is on
    SLAB_ROOM_NO_MEMORY,
};

// The store and the depot were empty: makes room, or waits until the thread did.
enum slab_room slab_make_room(struct pool *pool);

// The following under the grow lock.
enum slab_room slab_make_room_locked(struct pool *pool);
int64_t slab_expand(struct pool *pool, int64_t trigger); // returns objects made; 0 at max and without memory
void slab_set_trigger(struct pool *pool);                // after `owned` changed
int64_t slab_magazines_wanted(struct pool *pool);
int slab_make_magazines(struct pool *pool); // for what is owned and who is there; -ENOMEM: fewer
void slab_fill_magazines(struct pool *pool);

// Lets go of the grow lock, and whoever waits for what its holder was about looks again.
void slab_grow_unlock(struct pool *pool);

// --- give_back.c -----------------------------------------------------------------------------------

// What was in use counts as needed for so long; the thread looks as often.
#define SLAB_HOLD_NS (INT64_C(200) * 1000 * 1000)

int64_t slab_give_back(struct pool *pool, bool *settled); // under the grow lock
void slab_consider_shrink(struct pool *pool);             // after puts: wakes the thread when much lies free
int64_t slab_sweep(struct pool *pool);
int64_t slab_trim(struct pool *pool);
void slab_memory(struct pool *pool, struct pool_stats *stats); // owned, bytes_owned, overhead_bytes

// --- thread.c --------------------------------------------------------------------------------------

int slab_thread_open(struct pool *pool, struct err *err); // starts it, if there is to be one
void slab_thread_close(struct pool *pool);
void slab_thread_wake(struct pool *pool, _Atomic bool *flag); // flag: one of the wanted_ ones; puts it up

static inline int64_t slab_more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t slab_less(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
