// SPDX-License-Identifier: Apache-2.0
// Strategy `slab`, as its own files see it: five layers. Calls go downward only, and a file calls none that
// calls it; what a lower layer wants of a higher one it returns (struct slab_wish).
//
//   slab.c                the strategy: get and put out of the own magazine, open, close, statistics
//   policy_fork.c         what a child of fork finds
//   policy_thread.c       growing, giving back and making huge pages in the background
//   policy_slow.c         gets and puts that the hot path does not serve; overflow
//   policy_give_back.c    giving memory back
//   policy_grow.c         making objects, by pieces, and what happens when there is none
//   policy_construct.c    constructing and destructing objects
//   cache_reclaim.c       taking rows back from their threads
//   cache_row.c           exchanges between a row and what lies below
//   cache_account.c       who takes part, and how many objects are in use
//   depot.h, .c           where threads exchange magazines whole
//   store.h, .c           the slabs, where objects lie that are in no magazine; taking and giving
//   store_grow.c          how the store makes objects, and huge pages of full slabs
//   store_retire.c        how it gives memory back
//   store_lists.h, .c     which slabs it has
//   pages.h, .c           the memory of the slabs
//
// A row is what one thread works on: its slot's (pools/shared/thread_slot.h). In the common case get and put
// are a comparison and a move of `top`, with no atomic operation that locks (pools/pool_inline.h):
//
//     bottom <= low <= top <= high <= bottom + capacity
//     get takes while top > low; put gives while top < high; anything else is policy_slow.c's business
//
// `low` and `high` are traps. They stand at the ends of the magazine, or nearer, where something is to be
// noticed: low where objects in use would reach the growth trigger or a new peak; high at the bottom while
// each get makes a new peak, so that the first put notes how high it was. So peak and trigger are exact with
// one thread at no cost in the hot path. With several threads they are looked at when a magazine is exchanged
// or a trap is hit, and may be off by what the others moved since.
//
// Row states, written under the row lock:
//
//   closed   Both traps are closed. Whoever has the row lock may work in it; its owner, coming for something,
//            waits.
//   exposed  Its owner may be in the hot path. Anyone may close it: row lock, traps closed, membarrier(2),
//            until `busy` is 0. Who was in the hot path has left it, and who comes is caught in a trap.
//
// When membarrier fails, the row stays exposed with closed traps, and nobody touches it but its owner, who
// closes it by coming for something or by its exit. So a thread that stays idle from then on keeps what its
// row has, two magazines at most. No other barrier could be had in its place: mprotect(2) is none where
// processors are told of a change without an interrupt (arm64, AMD), and visiting each processor fails within
// a cpuset.
//
// Where membarrier does not work, or stops to, rows stay closed: the owner works under the row lock
// (`fenced`).
//
// Where a free object can be: in the store; in the depot; in a row that `holds`, whose bit is set in
// `holding` before it takes anything; on its way between store and depot, under the store's lock or the grow
// lock. `moves` counts what comes to lie where a search may already have looked: a row that begins to hold,
// and rounds that leave a row. A search (policy_grow.c, at the bound) that finds nothing, while `moves` stays
// the same, proves that at one instant nothing was free; until `moves` changes nothing is, and the next get
// is refused by comparing two numbers. tests/model/ explores this protocol to its end.
//
// A pool that owns more than its limit, since that was lowered or the pool drains, has no free objects and
// keeps its rows closed: what is put goes home, and its memory with it.
//
// Constructed objects. What lies in a magazine, row or depot is constructed; what is new in the store is raw.
// A get that finds nothing constructed takes one raw object and constructs it: it is in use by then, save
// that it is not counted yet. Beside gets only open and preheat construct, one object at a time, for one in
// their hands is out of reach at the bound. An object is destructed when it leaves: retired, and so owned no
// more, while its place and pages are kept until it is done. Each function is called by who holds no lock; so
// whoever lets go of the grow lock after something was retired destructs it.
//
// Overflow objects lie beside a cache line's start, ours at one: a put needs no more to tell them.
//
// Accounting. Each row counts the gets and puts its owner made there, and so no get or put counts anything
// shared: in use = gets - puts, added up over the rows of threads that live, and what those that ended left.
#ifndef POOLMARK_POOLS_SLAB_POOL_H
#define POOLMARK_POOLS_SLAB_POOL_H

#include "pools/shared/bell.h"
#include "pools/pool_inline.h"
#include "pools/shared/pool_lock.h"
#include "pools/pool_strategy.h"
#include "pools/slab/depot.h"
#include "pools/slab/store.h"
#include "pools/shared/thread_slot.h"

struct slab_row {
    alignas(POOL_INLINE_ROW_BYTES) struct pool_row hot; // top to busy
    struct pool_lock lock;                              // guards all that follows, and moving the magazines
    uint32_t loaded, previous;                          // magazines; 0 for none
    void **bottom;                                      // of the loaded magazine
    void **low, **high;     // the traps, as they are or would be if it were exposed
    uint32_t previous_fill; // its rounds
    uint32_t batch;         // objects to take from the store next time: 0, then more each time
    bool exposed;           // see above
    bool holds;             // its bit in `holding`; without it, it has no rounds
    bool listed;            // in `live`
    bool climbs;            // each get makes a new peak, see above
    uint16_t patience;      // how often it goes without a magazine after it was taken back for others
    uint16_t without;       // so often still
    uint16_t exchanges;     // counts them
};
_Static_assert(sizeof(struct slab_row) == POOL_INLINE_ROW_BYTES, "rows are found by their number");

// Exact while nobody works, each count right at some instant otherwise.
struct slab_account {
    int64_t given, put; // objects
    int64_t in_use;     // overflow among them; never more than there were at one instant of the call
};

enum { SLAB_MAP_WORDS = THREAD_SLOT_ROWS / 64 };

struct pool {
    struct pool_base base; // pool.c's; written after open, so not for the pool's own thread
    struct pool_config config;
    struct slab_store store;
    struct slab_depot depot;
    size_t object_bytes;

    // Relaxed where nothing else is said: counts, or hints that are checked again under a lock.
    bool one;                      // one thread at a time is in the pool
    _Atomic int64_t limit;         // most objects to own: max, INT64_MAX without, 0 while draining; grow lock
    bool drained;                  // for good; grow lock
    _Atomic bool fenced;           // membarrier works: rows may be exposed; falls once, for good
    _Atomic int64_t barrier_fails; // calls of membarrier that failed
    _Atomic int64_t overflow_out;  // overflow objects in use
    _Atomic int64_t peak;          // most in use
    _Atomic int64_t recent_peak;   // most in use since giving back was last considered
    _Atomic int64_t trigger;       // objects in use that set growth off; INT64_MAX: nothing does
    _Atomic int64_t
        target; // objects to own before the pool expands again; made as they are needed; grow lock
    _Atomic int64_t single_gets, single_puts; // past the rows, overflow among them
    _Atomic int64_t misses, overflow, refused, failed;
    _Atomic int64_t expansions, shrinks, sweeps, longest_expansion_ns;
    _Atomic bool refusing; // the last get that found nothing was refused
    _Atomic int64_t floor; // objects made by open and preheat: giving back leaves as many
    bool unreached; // for want of a barrier rows were left alone when they were last taken back; grow lock
    int64_t reclaimed_ns;             // when rows were last taken back for want of objects; grow lock
    int64_t held_peak, held_until_ns; // what was in use lately, see slab_give_back(); grow lock

    // The search at the bound, see above. Default order: rare.
    alignas(128) _Atomic uint64_t moves;
    _Atomic uint64_t none_since;              // `moves` when a search found nothing; grow lock
    _Atomic uint64_t holding[SLAB_MAP_WORDS]; // a bit a row

    // Threads that take part. `live_lock` guards writing; who reads looks at `live_changes`, odd during a
    // change.
    pthread_mutex_t live_lock;
    _Atomic uint32_t live_changes;
    _Atomic int live_count;
    _Atomic uint16_t live[THREAD_SLOT_ROWS];
    _Atomic int64_t gone_gets, gone_puts; // of threads that ended
    _Atomic int highest_row;              // that anyone ever had: as far as there is memory behind `rows`

    // The background thread; there when growth_mode is background and it could be started.
    bool has_thread;
    pthread_t thread;
    struct bell bell;              // rung when a trigger was reached; knocked when a flag goes up
    _Atomic int64_t wanted_at;     // objects in use when it was rung
    _Atomic bool wanted_shrink;    // much lies free
    _Atomic bool wanted_magazines; // somebody found none
    _Atomic bool stop;
    int fork_rows;                  // locked for a fork
    struct thread_slot_watch watch; // flushes the rows of threads that exit

    struct slab_row rows[THREAD_SLOT_ROWS];
};

#define SLAB_LOAD(at) atomic_load_explicit(at, memory_order_relaxed)
#define SLAB_STORE(at, value) atomic_store_explicit(at, value, memory_order_relaxed)
#define SLAB_ADD(at, value) ((void)atomic_fetch_add_explicit(at, value, memory_order_relaxed))

// The same for what stands in the public header, as C and C++ know it.
#define ROW_LOAD(at) __atomic_load_n(at, __ATOMIC_RELAXED)
#define ROW_STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

enum {
    SLAB_OVERFLOW_BYTES = 16
}; // overflow objects lie so far past a cache line's start; as aligned as malloc's

static inline bool slab_is_overflow(const void *object)
{
    return (uintptr_t)object % POOL_INLINE_LINE_BYTES != 0;
}

// --- cache_account.c -----------------------------------------------------------------------------------

int slab_account_open(struct pool *pool) __attribute__((warn_unused_result));
void slab_account_close(struct pool *pool);
struct slab_account slab_account(struct pool *pool);
void slab_note_peak(struct pool *pool, int64_t in_use);
void slab_row_enlist(struct pool *pool, struct slab_row *row); // its thread takes part; row lock
void slab_row_strike(struct pool *pool, struct slab_row *row); // it ends; row lock

// Adding up is for the few: with many threads, each `turn` of so many that they come to a bounded number of
// rows.
bool slab_worth_adding_up(struct pool *pool, int64_t turn);

// Somebody may look again where nothing was: see `moves`.
static inline void slab_note_move(struct pool *pool)
{
    atomic_fetch_add(&pool->moves, 1);
}

// Nothing is free, as a search found that nothing has changed since. Never without `max`.
static inline bool slab_known_empty(struct pool *pool)
{
    return atomic_load(&pool->none_since) == atomic_load(&pool->moves);
}

// It owns more than it may: see above.
static inline bool slab_is_over(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->limit);
}

static inline int64_t slab_free(struct pool *pool) // in the store
{
    return SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken);
}

// --- cache_row.c ---------------------------------------------------------------------------------------

// What a row wants of those above; zero before the call.
struct slab_wish {
    int64_t reached; // objects in use when they reached the trigger, 0 when they did not
    bool magazine;   // there was none
};

// NULL and false: there is nothing, or no magazine.
void *slab_row_get(struct pool *pool, struct slab_row *row, struct slab_wish *wish);
bool slab_row_put(struct pool *pool, struct slab_row *row, void *object, struct slab_wish *wish);
void slab_row_begin(struct pool *pool, struct slab_row *row); // its owner: locks and closes it
void slab_row_lock(struct slab_row *row);
void slab_row_unlock(struct slab_row *row);
void slab_row_close_traps(struct slab_row *row);
size_t slab_row_empty(struct pool *pool,
                      struct slab_row *row); // closed, row lock; returns how many objects came out
bool slab_rows_are_valid(struct pool *pool); // while nobody works

// --- cache_reclaim.c -----------------------------------------------------------------------------------

bool slab_barrier_register(void); // once a process: does membarrier work?

// Under the grow lock. Takes rows back and gives what they hold to the store: returns how many objects.
// `moves`: NULL, or where to put the count as it was when all of them were closed and empty: then rows have
// to be patient, for somebody else was in need.
int64_t slab_rows_reclaim(struct pool *pool, uint64_t *moves);
void slab_depot_drain(struct pool *pool); // the depot's objects too
void slab_row_thread_exits(void *pool, int slot);

// --- policy_grow.c -------------------------------------------------------------------------------------

int slab_preheat(struct pool *pool, int64_t count);
void slab_want_growth(struct pool *pool, int64_t in_use); // the trigger was reached
void slab_want_magazines(struct pool *pool);  // there was none: makes some here, or wakes the thread
void slab_consider_growth(struct pool *pool); // after gets: wakes the thread when little lies free

enum slab_room {
    SLAB_ROOM_FOUND,  // something is free after all
    SLAB_ROOM_MADE,   // the pool grew
    SLAB_ROOM_AT_MAX, // all that may be owned is in use
    SLAB_ROOM_NO_MEMORY,
};

// The store and the depot were empty: makes room, or waits until somebody else did.
enum slab_room slab_make_room(struct pool *pool);

// The following under the grow lock.
bool slab_expand(struct pool *pool, int64_t trigger); // raises the target; false at max
void slab_top_up(struct pool *pool);                  // the thread: makes what is likely to be needed next
void slab_set_trigger(struct pool *pool);             // after `target` changed
int64_t slab_magazines_wanted(struct pool *pool);
int slab_make_magazines(struct pool *pool); // for what is owned and who is there; -ENOMEM: fewer
void slab_fill_magazines(struct pool *pool);

void slab_wake(struct pool *pool, _Atomic bool *flag); // flag: one of the wanted_ ones; puts it up

// --- policy_slow.c -------------------------------------------------------------------------------------

void *slab_get_slow(struct pool *pool);
void slab_put_slow(struct pool *pool, void *object);

// --- policy_construct.c --------------------------------------------------------------------------------

// With no lock held. A raw object that was taken; -errno: it went back raw.
int slab_construct(struct pool *pool, void *object) __attribute__((warn_unused_result));
int slab_construct_some(struct pool *pool, int64_t count) __attribute__((warn_unused_result)); // if there are
int64_t slab_destruct_leavers(struct pool *pool); // those that were retired; returns bytes given back
void slab_destruct_all(struct pool *pool);        // at close

// --- policy_give_back.c --------------------------------------------------------------------------------

// What was in use counts as needed for so long; the thread looks as often.
#define SLAB_HOLD_NS (INT64_C(200) * 1000 * 1000)

int64_t slab_give_back(struct pool *pool, bool *settled); // under the grow lock
void slab_consider_shrink(struct pool *pool);             // after puts: wakes the thread when much lies free
void slab_return_surplus(struct pool *pool);              // after puts, when it owns more than it may
int slab_resize(struct pool *pool, int64_t max);
int64_t slab_drain(struct pool *pool);
int64_t slab_sweep(struct pool *pool);
int64_t slab_trim(struct pool *pool);
void slab_memory(struct pool *pool, struct pool_stats *stats); // owned, bytes_owned, overhead_bytes

// --- policy_fork.c -------------------------------------------------------------------------------------

void slab_fork_prepare(struct pool *pool);
void slab_fork_parent(struct pool *pool);
void slab_fork_child(struct pool *pool);

// --- policy_thread.c -----------------------------------------------------------------------------------

void slab_thread_open(struct pool *pool); // starts it, if there is to be one and one may be had
void slab_thread_close(struct pool *pool);

static inline int64_t slab_more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t slab_less(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
