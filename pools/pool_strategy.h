// SPDX-License-Identifier: Apache-2.0
// The interface that a strategy's file implements. Read pools/pool.h first, then pools/strategies/malloc.c,
// the shortest real one.
//
// A strategy's pool begins with a struct pool_base, which pools/pool.c fills in after `open` succeeded.
// Until then its memory is zero, except base.get and base.put: open() may put functions there that suit the
// config better than the strategy's own (pool.c keeps them). Required: open (or open_as), get, put, stats, close. The
// others may be NULL; then pool.c acts for them (checked once, in pool.c, against `caps`).
//
// Constructed objects (POOL_CAP_CONSTRUCTS): pools/shared/object.h has the calls. pool.c runs `reset` before
// the strategy's put. A strategy with the flag calls construct and destruct, and never writes to a free
// object of such a pool.
//
// A fast path that bypasses pool_get and pool_put (an inlined one) must fall back to them: `open` closes it
// when config.reset is set, and `drain` closes it.
#ifndef POOLMARK_POOLS_POOL_STRATEGY_H
#define POOLMARK_POOLS_POOL_STRATEGY_H

#include "pools/pool.h"
#include "pools/shared/thread_slot.h"

#include <stdatomic.h>

typedef void *pool_get_call(struct pool *pool);
typedef void pool_put_call(struct pool *pool, void *object);

struct pool_row;   // pools/pool_inline.h
struct pool_check; // checked builds: which objects are out (pools/pool_check.h)

struct pool_base {
    // pool_get and pool_put call these: the strategy's functions, or the wrappers of pool.c.
    // Relaxed: drain exchanges them; a call that still uses the old one counts as made before the drain.
    _Atomic(pool_get_call *) get;
    _Atomic(pool_put_call *) put;
    const struct pool_strategy *strategy;
    pool_get_call *plain_get;           // the strategy's, for this config
    _Atomic(pool_put_call *) plain_put; // a strategy's drain may exchange it
    struct pool_config
        config; // as asked for, name copied; size objects by the config that open() gets, not by this one
    atomic_bool draining;
    atomic_bool told_refusal;          // the first refusal of a draining pool was reported
    bool forked;                       // this is a child of fork: what other threads did is unknown
    _Atomic int64_t refused, failed;   // gets that pool.c refused and failed, added to the strategy's
    _Atomic int64_t drain_puts;        // without a drain of the strategy: puts since the last trim
    _Atomic int64_t peak_bytes_owned;  // as far as pool_stats saw it; a strategy of ours knows better
    _Atomic int64_t max;               // 0: unbounded; config.max as pool_resize left it, for statistics
    struct pool_base *next, *previous; // all pools, for fork (pools/pool_fork.h)
    struct thread_slot_watch watch;    // tells the strategy of threads that exit
    struct pool_check *check;          // NULL outside checked builds
    int64_t spin_rounds;               // POOLMARK_HANDICAP_GET: additional work of each get; 0 otherwise
};

struct pool_beside {
    int64_t strays;         // objects in use that the allocator made singly, and not among those owned
    int64_t rounding_bytes; // what the allocator adds to the pool's own blocks
};

struct pool_strategy {
    const char *name, *summary;
    unsigned caps; // of enum pool_cap

    // Makes the pool with `initial` objects; the config was checked. -ENOMEM with everything undone.
    int (*open)(struct pool **pool, const struct pool_config *config, struct err *err);
    // Instead of open, for a strategy that is made while the program runs: is told which one it opens.
    int (*open_as)(const struct pool_strategy *strategy, struct pool **pool, const struct pool_config *config,
                   struct err *err);
    void *(*get)(struct pool *pool);
    void (*put)(struct pool *pool, void *object);
    void (*stats)(struct pool *pool, struct pool_stats *stats);
    void (*close)(struct pool *pool);

    int (*preheat)(struct pool *pool, int64_t count);    // POOL_CAP_PREHEATS
    void *(*get_bytes)(struct pool *pool, size_t bytes); // POOL_CAP_SIZED
    int64_t (*sweep)(struct pool *pool);                 // POOL_CAP_SWEEPS
    int64_t (*trim)(struct pool *pool);                  // POOL_CAP_SHRINKS; gives back all that it can

    // POOL_CAP_RESIZES. `max` is in bounds. The strategy makes this thread-safe: it sets its bound and calls
    // pool_base_tell_max before it releases its lock, so that of two calls at once the same one is in force
    // and reported. A drain may have started since pool.c looked.
    int (*resize)(struct pool *pool, int64_t max);
    // From now on: no growth, and objects that come back are given back. pool.c refuses gets that come
    // through pool_get. Returns bytes given back. After the last put and a pool_sweep the pool owns nothing.
    // NULL: pool.c calls trim instead, at the drain, after every 64 puts, and at each sweep. So a strategy that keeps
    // free objects has a drain, or a trim that gives back every free one. With both NULL it keeps none, as malloc.
    int64_t (*drain)(struct pool *pool);

    // A thread exits while it still has its slot, and so its rows. Called on that thread, from open to the
    // beginning of pool_close, with the register of slots locked (pools/shared/thread_slot.h): it must not call
    // the program's functions. May be NULL.
    void (*thread_exits)(struct pool *pool, int slot);

    // POOL_CAP_FORKS; any may be NULL. prepare takes every lock of the pool, so that no change is half made
    // when the child is copied. parent releases them. child makes new ones (its one thread holds none) and
    // gives up what only threads that it does not have would finish: growth under way, gets that wait for
    // memory, the pool's own thread. The register of threads is held before any pool's prepare
    // (pools/shared/thread_slot.h), so no thread can exit meanwhile. A prepare must not allocate.
    void (*fork_prepare)(struct pool *pool);
    void (*fork_parent)(struct pool *pool);
    void (*fork_child)(struct pool *pool);

    // What statistics leave out. NULL: strays are what is in use beyond what is owned, and there is no more.
    void (*beside)(struct pool *pool, struct pool_beside *beside);

    // The rows for the fast path of pools/pool_inline.h, or NULL: none for this pool.
    struct pool_row *(*inline_rows)(struct pool *pool);

    bool (*owns)(struct pool *pool,
                 const void *object);    // is it memory of this pool, overflow aside? checked builds
    bool (*is_valid)(struct pool *pool); // invariants; called by checked builds and tests
};

// Memory for objects comes from here, so that tests can make the n-th request fail. Alignment: 16 bytes for
// malloc, `alignment` (a power of two) for aligned. Thread-safe.
void *pool_memory_alloc(size_t bytes);
void *pool_memory_alloc_aligned(size_t alignment, size_t bytes);
void pool_memory_free(void *block);
// The bytes that the allocator gave for a block, with the size that glibc keeps before it. At least those asked for.
size_t pool_memory_block_bytes(void *block);
void *pool_memory_map(size_t bytes, size_t alignment); // anonymous pages, zero; NULL when there are none
void pool_memory_unmap(void *block, size_t bytes);
// Backs pages of a map that hold nothing yet with memory; whole pages. 0, or -ENOMEM with only some of them
// backed.
int pool_memory_populate(void *pages, size_t bytes) __attribute__((warn_unused_result));

// False: more than this machine's memory and swap together. For who makes many objects piece by piece: the system
// grants each piece, and ends a process when there is nothing left.
bool pool_memory_is_conceivable(int64_t bytes) __attribute__((warn_unused_result));

// From now on `told` is called after each map and before each of these is given back, on the thread that does it,
// which may hold a pool's lock: it may not call into a pool. NULL: nobody is told. For programs that count their pages
// by address. Before the first pool is opened.
typedef void pool_map_told(void *block, size_t bytes, bool is_mapped);
void pool_memory_tell_maps(pool_map_told *told);

// Called around fork, after the locks of all pools were taken.
void pool_memory_fork_prepare(void);
void pool_memory_fork_parent(void);
void pool_memory_fork_child(void);

// Tests only: lets `after` requests pass, then fails one (with `stay`, each one after it too); negative: off.
// Returns the number of requests since the last call.
int64_t pool_memory_fail_after(int64_t after, bool stay);

// For accounts of memory; the pool's own objects in use are those in use without these. Any thread.
struct pool_beside pool_beside(struct pool *pool, const struct pool_stats *stats); // `stats`: of a moment ago

// Fills in `base` of a pool that open() made, so that pool_get and pool_put work on it. Copies `config`, but
// not its name.
void pool_base_fill(struct pool *pool, const struct pool_strategy *strategy,
                    const struct pool_config *config);

static inline int pool_strategy_open(const struct pool_strategy *strategy, struct pool **pool,
                                     const struct pool_config *config, struct err *err)
{
    return strategy->open_as ? strategy->open_as(strategy, pool, config, err)
                             : strategy->open(pool, config, err);
}

// For statistics only.
static inline void pool_base_tell_max(struct pool_base *base, int64_t max)
{
    atomic_store_explicit(&base->max, max, memory_order_relaxed);
}

// Does the pool keep the contents of free objects?
static inline bool pool_keeps_state(const struct pool_config *config)
{
    return config->construct || config->destruct || config->reset;
}

// Hands an event to the config's listener, if there is one.
void pool_emit(const struct pool_config *config, const struct pool_event *event);

#endif
