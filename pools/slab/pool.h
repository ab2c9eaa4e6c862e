// SPDX-License-Identifier: Apache-2.0
// Strategy `slab`, internal header: five layers. Calls go downward only; no two files call each other. A
// lower layer returns its requests to a higher one (struct slab_wish).
//
//   slab.c                the strategy: get and put in the thread's own magazine, open, close, statistics
//   policy_fork.c         what a child of fork finds
//   policy_thread.c       growing, giving back and making huge pages in the background
//   policy_slow.c         gets and puts that the fast path does not serve; overflow
//   policy_give_back.c    giving memory back
//   policy_grow.c         making objects in pieces, and what happens when no object is free
//   policy_construct.c    constructing objects, and destructing all of them
//   policy_surplus.c      releasing the grow lock; what then has to go back
//   cache_reclaim.c       taking rows back from their threads
//   cache_row.c           exchanges between a row and the layers below
//   cache_account.c       which threads use the pool, and how many objects are in use
//   depot.h, .c           where threads exchange whole magazines
//   store.h, .c           the slabs with the objects that are in no magazine; taking and giving
//   store_grow.c          how the store makes objects, and huge pages of full slabs
//   store_retire.c        how it gives memory back
//   store_lists.h, .c     which slabs it has
//   pages.h, .c           the memory of the slabs
//
// Each thread works on one row, that of its slot (pools/shared/thread_slot.h). In the common case get and put
// compare and move `top`, without a locked instruction (pools/pool_inline.h):
//
//     bottom <= low <= top <= high <= bottom + capacity
//     get takes while top > low; put gives while top < high; policy_slow.c handles everything else
//
// `low` and `high` are traps. They are at the ends of the magazine, or nearer when a get or put there has to
// be noticed. `low` is where the objects in use would reach the growth trigger or a new peak. `high` is at
// the bottom while each get reaches a new peak, so that the first put notes the peak. So with one thread,
// peak and trigger are exact and cost the fast path nothing. With several threads they are checked when a
// magazine is exchanged or a trap is hit, and may be off by what the other threads moved since.
//
// Row states, written under the row lock:
//
//   closed   Both traps are closed. The holder of the row lock may work in the row; the owner, when it needs
//            something, waits.
//   exposed  The owner may be in the fast path. Any thread may close the row: take its lock, close the traps,
//            call membarrier(2), and wait until `busy` is 0. Then an owner that was in the fast path has left
//            it, and one that enters it meets a trap.
//
// When membarrier fails, the row stays exposed with closed traps. Then only its owner may touch it, and
// closes it at its next slow get or put, or at its exit. So a thread that stays idle from then on keeps its
// row's objects, two magazines at most. No other barrier can replace membarrier. mprotect(2) is no barrier
// where processors learn of a change without an interrupt (arm64, AMD). Visiting each processor fails within
// a cpuset.
//
// Where membarrier does not work, or stops working, rows stay closed: the owner works under the row lock
// (`fenced`).
//
// A free object is in one of these places: the store; the depot; a row that `holds`, whose bit is set in
// `holding` before it takes anything; or on its way between store and depot, under the store's lock or the
// grow lock. `moves` counts objects that come to a place where a search may already have looked: a row that
// begins to hold, and rounds that leave a row. A search (policy_grow.c, at the bound) that finds nothing
// while `moves` stays the same proves that at one instant nothing was free. Nothing is free until `moves`
// changes: the next get is refused by comparing two numbers. tests/model/ explores this protocol
// exhaustively.
//
// A pool can own more than its limit after the limit was lowered or a drain began. Then it keeps its rows closed
// and empty: an object that is put goes back to its slab, and its memory to the system. A get may have a free
// one while fewer than the limit are out of the store. Retiring takes the grow lock. A thread that finds that lock
// taken leaves the object to its holder, which looks for such objects after each release (policy_surplus.c).
//
// Giving back (policy_give_back.c) goes by pieces, a slab at most. Between two the thread releases the grow lock,
// destructs what it retired, and waits until threads that need an object were served. So a get waits for a piece.
// While a thread is at that (`giving`), the others leave surplus and destructing to it.
//
// Constructed objects. Objects in a magazine, row or depot are constructed; new ones in the store are raw. A
// get that finds no constructed object takes one raw object and constructs it. That object is in use
// already, but not counted yet. Otherwise open and preheat construct, and the pool's thread where there is no
// bound: one object at a time, because an object they hold cannot be found by a get at the bound. An object is destructed when it leaves: it is
// retired, and no longer owned, but its place and pages are kept until it is destructed. These functions are
// called with no lock held. So the thread that releases the grow lock after objects were retired destructs
// them (policy_surplus.c).
//
// Overflow objects do not begin at a cache line, the pool's own objects do: so a put can tell them apart.
//
// Accounting. Each row counts the gets and puts that its owner made there, so no get or put writes a shared
// count. In use = gets - puts, summed over the rows of live threads, plus the sums left by threads that
// ended.
#ifndef POOLMARK_POOLS_SLAB_POOL_H
#define POOLMARK_POOLS_SLAB_POOL_H

#include "pools/shared/bell.h"
#include "pools/shared/growth_load.h"
#include "pools/pool_inline.h"
#include "pools/shared/pool_lock.h"
#include "pools/pool_strategy.h"
#include "pools/slab/depot.h"
#include "pools/slab/store.h"
#include "pools/shared/thread_slot.h"

struct slab_row {
    alignas(POOL_INLINE_ROW_BYTES) struct pool_row hot; // top to busy
    struct pool_lock lock;                              // guards all that follows, and exchanges
    uint32_t loaded, previous;                          // magazines; 0 for none
    void **bottom;                                      // of the loaded magazine
    void **low, **high;     // the traps, as set or as they would be if the row were exposed
    uint32_t previous_fill; // rounds in `previous`
    uint32_t batch;         // objects to take from the store next time; starts at 0 and grows
    bool exposed;           // see above
    bool holds;             // its bit in `holding` is set; otherwise it has no rounds
    bool listed;            // in `live`
    bool climbs;            // each get reaches a new peak, see above
    uint16_t patience;      // times to go without a magazine after it was taken back for others
    uint16_t without;       // times left to go without one
    uint16_t exchanges;     // number of exchanges
};
_Static_assert(sizeof(struct slab_row) == POOL_INLINE_ROW_BYTES, "rows are found by their number");

// Exact while no thread works; otherwise each count is right at some instant.
struct slab_account {
    int64_t given, put; // objects
    int64_t in_use;     // overflow included; never more than at some instant of the call
};

enum { SLAB_MAP_WORDS = THREAD_SLOT_ROWS / 64 };

struct pool {
    struct pool_base base; // belongs to pool.c, which writes it after open: not for the pool's thread
    struct pool_config config;
    struct slab_store store;
    struct slab_depot depot;
    size_t object_bytes;

    // Relaxed unless stated otherwise: counts, or hints that are checked again under a lock.
    bool one;              // POOL_THREADS_ONE
    _Atomic int64_t limit; // bound on objects owned: max, INT64_MAX without, 0 in a drain; grow lock
    bool drained;          // for good; grow lock
    _Atomic int
        giving; // threads that give memory back, the grow lock released between pieces; written under it
    _Atomic bool fenced;           // membarrier works, so rows may be exposed; becomes false once, for good
    _Atomic int64_t barrier_fails; // calls of membarrier that failed
    _Atomic int64_t overflow_out;  // overflow objects in use
    _Atomic int64_t peak;          // most in use
    _Atomic int64_t recent_peak;   // most in use since giving back was last considered
    _Atomic int64_t peak_bytes;    // most of slab_bytes(): noted whenever they rose
    _Atomic int64_t trigger;       // objects in use that start growth; INT64_MAX: never
    _Atomic int64_t
        target; // objects to own before the pool expands again; made as they are needed; grow lock
    _Atomic int64_t single_gets, single_puts; // served outside the rows, overflow included
    _Atomic int64_t misses, overflow, refused, failed;
    _Atomic int64_t expansions, shrinks, sweeps, longest_expansion_ns;
    _Atomic bool refusing;         // the last get that found nothing was refused
    _Atomic int64_t floor;         // objects made by open and preheat: giving back keeps this many
    struct growth_load load, flow; // POOL_RULE_ADAPTIVE: at expansions; out of store and depot; grow lock
    _Atomic int64_t ahead;         // POOL_RULE_ADAPTIVE: objects to have free by the flow; 0: not known
    bool unreached; // the last taking back of rows left some alone, since the barrier had failed; grow lock
    int64_t reclaimed_ns;             // when rows were last taken back to get objects; grow lock
    int64_t held_peak, held_until_ns; // recent use, see slab_give_back(); grow lock

    // The search at the bound, see above. Default memory order: it is rare.
    alignas(128) _Atomic uint64_t moves;
    _Atomic uint64_t none_since;              // `moves` as of the last search that found nothing; grow lock
    _Atomic uint64_t holding[SLAB_MAP_WORDS]; // a bit for each row

    // Threads in the pool. `live_lock` guards writing; readers check `live_changes`, which is odd during a
    // change.
    pthread_mutex_t live_lock;
    _Atomic uint32_t live_changes;
    _Atomic int live_count;
    _Atomic uint16_t live[THREAD_SLOT_ROWS];
    _Atomic int64_t gone_gets, gone_puts; // of threads that ended
    _Atomic int highest_row;              // ever used: `rows` has memory up to here

    // The background thread; only with growth_mode background, and not in a child of fork.
    bool has_thread;
    pthread_t thread;
    struct bell bell;              // notifies the thread: rung at a trigger, knocked when a flag is set
    _Atomic int64_t wanted_at;     // objects in use at the notification
    _Atomic bool wanted_shrink;    // many objects are free
    _Atomic bool wanted_magazines; // a row found none
    _Atomic bool stop;
    int fork_rows; // number of rows locked for a fork

    struct slab_row rows[THREAD_SLOT_ROWS];
};

#define SLAB_LOAD(at) atomic_load_explicit(at, memory_order_relaxed)
#define SLAB_STORE(at, value) atomic_store_explicit(at, value, memory_order_relaxed)
#define SLAB_ADD(at, value) ((void)atomic_fetch_add_explicit(at, value, memory_order_relaxed))

// The same for fields of the public header, in a form that C and C++ know.
#define ROW_LOAD(at) __atomic_load_n(at, __ATOMIC_RELAXED)
#define ROW_STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

enum {
    SLAB_OVERFLOW_BYTES = 16
}; // offset of overflow objects from the start of a cache line; as aligned as those of malloc

static inline bool slab_is_overflow(const void *object)
{
    return (uintptr_t)object % POOL_INLINE_LINE_BYTES != 0;
}

// --- cache_account.c -----------------------------------------------------------------------------------

int slab_account_open(struct pool *pool) __attribute__((warn_unused_result));
void slab_account_close(struct pool *pool);
struct slab_account slab_account(struct pool *pool);
void slab_note_peak(struct pool *pool, int64_t in_use);
int64_t slab_bytes(struct pool *pool); // owned, bookkeeping included; takes no lock
void slab_note_bytes(struct pool *pool);
void slab_row_enlist(struct pool *pool, struct slab_row *row); // its thread joins the pool; row lock
void slab_row_strike(struct pool *pool, struct slab_row *row); // its thread ends; row lock

// Should this thread add the rows up now? With few rows always; with many, only at some values of `turn`, so
// that the number of rows added per turn is bounded.
bool slab_worth_adding_up(struct pool *pool, int64_t turn);

// A search may find something where nothing was before: see `moves`.
static inline void slab_note_move(struct pool *pool)
{
    atomic_fetch_add(&pool->moves, 1);
}

// Nothing is free: a search found so, and nothing moved since. Never true without `max`.
static inline bool slab_known_empty(struct pool *pool)
{
    return atomic_load(&pool->none_since) == atomic_load(&pool->moves);
}

// The pool owns more than its limit, see above.
static inline bool slab_is_over(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->limit);
}

static inline int64_t slab_free(struct pool *pool) // in the store
{
    return SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken);
}

// Under the store's lock. May a get have an object of the store? Always, unless the pool owns more than its limit:
// then as long as fewer than that are elsewhere, so that the others can go back.
static inline bool slab_may_take_locked(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.taken) < SLAB_LOAD(&pool->limit);
}

// --- cache_row.c ---------------------------------------------------------------------------------------

// What a row requests from the layers above; zero before the call.
struct slab_wish {
    int64_t reached; // objects in use when the trigger was reached; 0: not reached
    bool magazine;   // no magazine was available
};

// NULL and false: no object there, or no magazine.
void *slab_row_get(struct pool *pool, struct slab_row *row, struct slab_wish *wish);
bool slab_row_put(struct pool *pool, struct slab_row *row, void *object, struct slab_wish *wish);
void slab_row_begin(struct pool *pool, struct slab_row *row); // called by the owner: locks and closes the row
void slab_row_lock(struct slab_row *row);
void slab_row_unlock(struct slab_row *row);
void slab_row_close_traps(struct slab_row *row);
size_t slab_row_empty(struct pool *pool,
                      struct slab_row *row); // needs a closed row and its lock; returns the objects taken out
bool slab_rows_are_valid(struct pool *pool); // while no other thread works

// --- cache_reclaim.c -----------------------------------------------------------------------------------

bool slab_barrier_register(void); // once a process: does membarrier work?

// Under the grow lock. Takes rows back and gives their objects to the store; returns how many. `moves`:
// NULL, or where to store that count as of when all these rows were closed and empty. Then the rows go
// without a magazine for a while, since another thread needed objects.
int64_t slab_rows_reclaim(struct pool *pool, uint64_t *moves);
bool slab_depot_drain_some(
    struct pool *pool); // the same of some magazines of the depot; false: it had no more
void slab_row_thread_exits(struct pool *pool, int slot);

// --- policy_grow.c -------------------------------------------------------------------------------------

int slab_preheat(struct pool *pool, int64_t count);
void slab_want_growth(struct pool *pool, int64_t in_use); // the trigger was reached
void slab_want_magazines(struct pool *pool);  // there was none: makes some here, or notifies the thread
void slab_consider_growth(struct pool *pool); // after gets: notifies the thread when few are free

enum slab_room {
    SLAB_ROOM_FOUND,  // something is free after all
    SLAB_ROOM_MADE,   // the pool grew
    SLAB_ROOM_AT_MAX, // all that may be owned is in use
    SLAB_ROOM_NO_MEMORY,
};

// The store and the depot were empty: makes room, or waits until another thread did.
enum slab_room slab_make_room(struct pool *pool);

// The next functions need the grow lock.
bool slab_expand(struct pool *pool, int64_t trigger); // raises the target; false at max
void slab_top_up(struct pool *pool);                  // the pool's thread: makes objects ahead of need
void slab_set_trigger(struct pool *pool);             // after `target` changed
int64_t slab_magazines_wanted(struct pool *pool);
int slab_make_magazines(struct pool *pool); // for the objects owned and the threads there are; -ENOMEM: fewer
void slab_fill_magazines(struct pool *pool);

void slab_wake(struct pool *pool, _Atomic bool *flag); // sets a wanted_ flag and notifies the thread

// --- policy_slow.c -------------------------------------------------------------------------------------

void *slab_get_slow(struct pool *pool);
void slab_put_slow(struct pool *pool, void *object);

// --- policy_construct.c --------------------------------------------------------------------------------

// With no lock held. slab_construct: of a raw object that was taken; on -errno it went back raw.
int slab_construct(struct pool *pool, void *object) __attribute__((warn_unused_result));
int slab_construct_some(struct pool *pool, int64_t count) __attribute__((warn_unused_result)); // if there are
void slab_destruct_all(struct pool *pool);                                                     // at close

// --- policy_surplus.c ----------------------------------------------------------------------------------

// With no lock held. Gives back free objects beyond the limit, and destructs those that were retired, unless another
// thread is giving back. Returns bytes given back. slab_grow_unlock releases the grow lock first.
int64_t slab_settle(struct pool *pool);
int64_t slab_grow_unlock(struct pool *pool);
// The part of slab_settle that calls none of the program's functions: for fork and for threads that exit.
bool slab_retire_surplus(struct pool *pool, int64_t *bytes);
// Destructs retired objects, whichever thread gives back. False: there is none that no other thread destructs.
bool slab_destruct_leavers(struct pool *pool, int64_t *bytes);

// --- policy_give_back.c --------------------------------------------------------------------------------

// Objects in use count as needed for this long afterwards; the thread checks as often.
#define SLAB_HOLD_NS (INT64_C(200) * 1000 * 1000)

int64_t slab_give_back(struct pool *pool, bool *settled); // under the grow lock, which it releases in between
void slab_consider_shrink(struct pool *pool);             // after puts: notifies the thread if many are free
int slab_resize(struct pool *pool, int64_t max);
int64_t slab_drain(struct pool *pool);
int64_t slab_sweep(struct pool *pool);
int64_t slab_trim(struct pool *pool);
void slab_memory(struct pool *pool, struct pool_stats *stats); // owned, and all that ends in _bytes

// --- policy_fork.c -------------------------------------------------------------------------------------

void slab_fork_prepare(struct pool *pool);
void slab_fork_parent(struct pool *pool);
void slab_fork_child(struct pool *pool);

// --- policy_thread.c -----------------------------------------------------------------------------------

int slab_thread_open(struct pool *pool) __attribute__((warn_unused_result)); // if the config wants one
void slab_thread_close(struct pool *pool);
int64_t slab_next_collapse(int64_t now_ns,
                           int64_t took_ns); // when to make another huge page, after one took so long

static inline int64_t slab_more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t slab_less(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
