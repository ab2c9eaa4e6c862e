// SPDX-License-Identifier: Apache-2.0
// The contract that every pool strategy keeps, so that strategies can be exchanged and are measured alike.
//
// A pool hands out objects of one size. A strategy is one file that exports one `const struct
// pool_strategy`, listed in the array of pools/pool.c. The calls below check arguments and capability flags;
// then they make one indirect call. Checked builds (CHECK=1) also check that an object put was got from this
// pool and was not put already.
//
// Threads: any thread may call pool_get, pool_put, pool_stats and pool_sweep at any time between open and
// close. An object may be put by another thread than the one that got it. open, preheat and close belong to
// the owner: no other thread may use the pool during open and close. Threads that used it may exit at any time,
// also during close. No call blocks on I/O.
//
//     struct pool_config config = POOL_CONFIG_DEFAULTS;
//     config.name = "connections"; config.object_bytes = 3072; config.initial = 1024; config.max = 100000;
//     struct pool *pool;
//     if (pool_open(&pool, pool_strategy_find("expand"), &config, &err) < 0) ...
//     void *object = pool_get(pool);  // contents undefined, aligned to 16 bytes; NULL: refused or no memory
//     pool_put(pool, object);
//     pool_close(pool);               // every object must be back; checked builds abort otherwise
//
// Constructed objects, as in Bonwick's object cache (`construct` is in the config):
//   - An object is constructed once, when memory becomes an object of the pool; with POOL_CAP_AS_NEEDED, in
//     the first get of it at the latest.
//   - Its state survives put and get: a get returns it as the last put left it. `reset` runs in each put,
//     before anything else.
//   - It is destructed before its memory goes back: on shrinking, trimming, draining and closing, and in the
//     put of an object that malloc served.
//   - If construct fails, it leaves its object as it was. The get fails (counted as failed), or the open or
//     preheat fails (-ENOMEM, undone).
//   - While the pool's own thread or a preheat constructs an object, a get at `max` may find none.
//   - `malloc` constructs in each get and destructs in each put, as does a strategy without
//     POOL_CAP_CONSTRUCTS.
//   - The three functions run on any thread that gets, puts, grows, sweeps or closes, several at once on
//     distinct objects, never with a lock held. They must not call into the pool that calls them.
//   - With any of the three, all objects have object_bytes: pool_get_bytes gives nothing larger.
//
// One thread: only one thread at a time may use a pool opened with POOL_THREADS_ONE. Its strategy leaves out,
// where it can, the locks and atomic operations that guard against other threads. Such a pool is a point of
// reference: it shows what they cost. A fork counts as a use: the child could find a call half done.
//
// Locks: strategies that lock spin briefly and then sleep on a futex, so a thread of high priority waits for
// the holder and not for a time slice. With lock_inherits_priority the holder inherits the priority of its
// waiters, for programs with real-time threads of several priorities.
//
// Signals: no call is async-signal-safe. A handler that interrupts a get, and calls get itself, may wait for
// a lock for ever.
//
// fork: the child may use every pool whose strategy has POOL_CAP_FORKS. It has its own copy of all objects.
// Objects that the parent's other threads had, or were just getting or putting, stay in use in the child for
// ever. Its in_use counts each of them, so the child can have the other owned ones; checked builds ignore
// them at close. A pool that grows in the background grows inline in the child. Do not fork in a listener,
// construct, destruct or reset. A child made by vfork, or by clone without fork's handlers, must not use a
// pool.
//
// Terms:
//     owned      objects whose memory the pool has, in use or not, without overflow objects
//     in use     objects got and not put, overflow objects included
//     hit        a get served from memory that the pool already owned
//     miss       a get that had to allocate: it made objects of the pool; or malloc served it, because the pool's own
//                thread, or another get, had not made them yet (`expand`). Such an object is not owned, and goes back
//                to malloc when it is put. Until then it counts against `max` as one of the pool's
//     overflow   an object past `max`, served by malloc: when it was got, `max` objects were in use that are not
//                overflow (of `fixed`: all that it made)
//     refused    a get that gave NULL because of `max`
//     gets = hits + misses + overflow gets + refused + failed
//
// So hits + misses, overflow and refused follow from the order of gets and puts alone, and not from when objects were
// made: initial 1000, max 2000, 4000 gets are 2000 overflow. While misses that malloc served are out, the pool may
// have as many free objects that no get may have. Exceptions: a resize, preheat or drain under way; what is said of
// `construct` above; `slab` where membarrier fails.
#ifndef POOLMARK_POOLS_POOL_H
#define POOLMARK_POOLS_POOL_H

#include "base/err_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pool; // opaque: begins with a struct pool_base, see pools/pool_strategy.h

enum pool_overflow {
    POOL_OVERFLOW_HEAP,   // past `max`: serve with malloc, count it
    POOL_OVERFLOW_REFUSE, // past `max`: get gives NULL, count it
};

enum pool_growth {
    POOL_GROW_INLINE,     // the get that reaches the trigger makes the new objects
    POOL_GROW_BACKGROUND, // the pool's own thread makes them; gets go on meanwhile
    POOL_GROW_DEFAULT,    // in the background where the strategy can and a thread can be started; else inline
};

enum pool_growth_rule {
    POOL_RULE_FACTOR,   // by the factor `growth`
    POOL_RULE_ADAPTIVE, // by the load seen (pools/shared/growth_load.h), by `growth` at most
};

enum pool_threads {
    POOL_THREADS_MANY, // any thread may call at any time
    POOL_THREADS_ONE,  // one thread at a time, see above
};

enum pool_cap {
    POOL_CAP_GROWS = 1 << 0,      // expands by itself; `initial`, `max`, `expand_at`, `growth` mean something
    POOL_CAP_BACKGROUND = 1 << 1, // can grow in the background
    POOL_CAP_PREHEATS = 1 << 2,   // keeps what preheat made
    POOL_CAP_BOUNDED = 1 << 3,    // keeps to `max`, with either overflow policy
    POOL_CAP_SHRINKS = 1 << 4,    // gives memory back by itself or on sweep
    POOL_CAP_SWEEPS = 1 << 5,     // needs pool_sweep now and then
    POOL_CAP_SIZED = 1 << 6,      // pool_get_bytes serves other sizes than object_bytes
    POOL_CAP_SHARES = 1 << 7,     // `null`: gives the same object to everybody; benchmarks only
    POOL_CAP_CONSTRUCTS = 1 << 8, // constructs once and not in each get
    POOL_CAP_RESIZES = 1 << 9,    // pool_resize works
    POOL_CAP_FORKS = 1 << 10,     // still works in a child of fork, whatever other threads did meanwhile
    // An expansion only raises how many objects may be owned, which takes no time. Memory comes when it is
    // needed.
    POOL_CAP_AS_NEEDED = 1 << 11,
    POOL_CAP_ADAPTS = 1 << 12, // knows POOL_RULE_ADAPTIVE
};

enum pool_event_kind { POOL_EVENT_EXPAND, POOL_EVENT_SHRINK, POOL_EVENT_REFUSE };

// The listener gets an event on the thread that expands, shrinks or refuses, during the act. Several refusals
// in a row are one event. The pool may have a lock then: a listener must not wait for a thread that may be in
// a call of the pool.
struct pool_event {
    enum pool_event_kind kind;
    int64_t at_ns;       // CLOCK_MONOTONIC when it ended
    int64_t duration_ns; // how long it took; of an expansion made in pieces, all pieces together
    int64_t from, to;    // objects owned before and after
    int64_t trigger;     // objects in use that started it
};
typedef void pool_listener(void *context, const char *pool_name, const struct pool_event *event);

struct pool_config {
    const char *name;      // for events and statistics; copied
    size_t object_bytes;   // 1 to POOL_OBJECT_BYTES_MAX
    int64_t initial;       // objects made by open; 0 for none; at most POOL_COUNT_MAX
    int64_t max;           // most objects owned; 0 for unbounded
    int expand_at_percent; // an expansion starts when so much of what is owned is in use (rounded down)
    double growth;         // an expansion makes owned x growth (rounded down), at least one more, at most max
    enum pool_growth growth_mode;
    enum pool_overflow overflow;
    bool touch;              // preheat faults the pages in (one write a page)
    int64_t idle_ns;         // `blocks`: a free block expires after so long; 0 for the strategy's default
    pool_listener *listener; // may be NULL; must not call into any pool
    void *listener_context;
    int (*construct)(void *object_context, void *object); // 0 or -errno; this and the next may be NULL
    void (*destruct)(void *object_context, void *object);
    void (*reset)(void *object_context, void *object); // in each put
    void *object_context;
    enum pool_threads threads;   // POOL_THREADS_ONE does not go with background growth
    bool lock_inherits_priority; // see above; costs some nanoseconds for each lock
    enum pool_growth_rule growth_rule;
};

#define POOL_OBJECT_BYTES_MAX ((size_t)1 << 20)
#define POOL_COUNT_MAX (INT64_C(1) << 32)
// Every field, in order: C++ warns of those that are missing.
#define POOL_CONFIG_DEFAULTS                                                                                 \
    {                                                                                                        \
        .name = "pool", .object_bytes = 0, .initial = 0, .max = 0, .expand_at_percent = 80, .growth = 1.5,   \
        .growth_mode = POOL_GROW_DEFAULT, .overflow = POOL_OVERFLOW_HEAP, .touch = true, .idle_ns = 0,       \
        .listener = NULL, .listener_context = NULL, .construct = NULL, .destruct = NULL, .reset = NULL,      \
        .object_context = NULL, .threads = POOL_THREADS_MANY, .lock_inherits_priority = false,               \
        .growth_rule = POOL_RULE_FACTOR                                                                      \
    }

// All counts since open. An expansion may be made in pieces (pools/shared/growth.h). Then
// longest_expansion_ns is the longest piece: the longest that one get waited. bytes_owned is all memory the
// pool took for itself, bookkeeping included, overflow not; overhead_bytes is its part that is not object
// memory. bytes_allocated is the sum of all memory ever taken for objects, overflow included, whether it was
// given back or not. `locked_rows`: a strategy whose fast path works without locks had to fall back to locks
// (slab, when membarrier(2) is refused).
//
// peak_in_use is never above the most objects really in use at once, and never below in_use. It is exact
// with one thread, and always for `fixed`, `expand` and `blocks`. Of `malloc` and `sync` it may be too low by 32
// for each thread that uses the pool; of `slab` by a magazine for each (8 to 256 objects, pools/slab/depot.h),
// and with more than 16 threads by several.
//
// peak_bytes_owned is the most of bytes_owned, whether a pool_stats saw it or not. Of `malloc` it is computed
// from peak_in_use. Of `sync` it is noted before memory goes back, so it leaves out what came and went within
// one sweep. Of a strategy from a shared library it is the most that a pool_stats saw.
struct pool_stats {
    int64_t gets, puts, hits, misses, overflow, refused, failed;
    int64_t expansions, shrinks, sweeps;
    int64_t owned, in_use, peak_in_use;
    int64_t bytes_owned, overhead_bytes;
    int64_t bytes_allocated, peak_bytes_owned;
    int64_t longest_expansion_ns;
    int64_t max; // as pool_resize left it
    bool locked_rows, draining;
    bool unknown; // the strategy keeps no statistics (pools/pool_plugin.h): the counts say nothing
};

struct pool_strategy;

// The strategy of that name, or NULL. pool_strategies() lists all, NULL-terminated, `null` first.
const struct pool_strategy *pool_strategy_find(const char *name);
const struct pool_strategy *const *pool_strategies(void);
const char *pool_strategy_name(const struct pool_strategy *strategy);
const char *pool_strategy_summary(const struct pool_strategy *strategy); // one line
unsigned pool_strategy_caps(const struct pool_strategy *strategy);       // of enum pool_cap

// Removes from `config` what the strategy cannot do (initial, max, refusal, background growth), so that one
// configuration fits every strategy. pool_open refuses such fields. Returns how many fields were changed.
int pool_config_fit(const struct pool_strategy *strategy, struct pool_config *config);

// Opens a pool and preheats `initial`. -EINVAL: a field of the config is out of bounds, or the strategy
// cannot do it; `err` names the field. -EAGAIN: growth_mode is background, and no thread can be had. -ENOMEM:
// no memory. After an error everything is undone.
int pool_open(struct pool **pool, const struct pool_strategy *strategy, const struct pool_config *config,
              struct err *err) __attribute__((warn_unused_result));

// Makes `count` objects ready in addition to those owned. 0; -ENOMEM with everything undone; -ENOTSUP without
// POOL_CAP_PREHEATS; -ERANGE past `max`. Objects of an expansion that no thread has begun to make are not owned:
// at the bound the preheat makes its own instead of them.
int pool_preheat(struct pool *pool, int64_t count) __attribute__((warn_unused_result));

void *pool_get(struct pool *pool) __attribute__((warn_unused_result));
void pool_put(struct pool *pool, void *object); // NULL is ignored

// Gives at least `bytes` with POOL_CAP_SIZED; without it, NULL unless bytes <= object_bytes. Put with
// pool_put.
void *pool_get_bytes(struct pool *pool, size_t bytes) __attribute__((warn_unused_result));

// Periodic work: sync's victim sweep, blocks' expiry, slab's giving back. Any thread may call it; cheap when
// there is nothing to do. Returns bytes given back to the heap or the system.
int64_t pool_sweep(struct pool *pool);

// Gives back as much as possible, at once. Returns bytes given back. No call for a busy pool: the objects are made
// again. `slab` and `blocks` work by pieces, in pool_resize, pool_drain and pool_sweep as well: another thread's get or
// put waits for one of them, 0.1 to 0.3 ms of processor time (`slab`) or 64 blocks (`blocks`), or longer where the
// thread that gives back has no processor. In return that thread waits for those that need an object (`slab`), for a
// second in all if they get no processor.
int64_t pool_trim(struct pool *pool);

// Sets another `max` (0: unbounded) while the pool is used. When more is owned, free objects go back at
// once, and objects in use go back when they are put, as far as the strategy can give back: single objects,
// or the batches they were made in (`fixed`, `expand`). A batch goes where at least as many are too many as it
// has, and all of it is back. What open made is one batch, as is each preheat and each piece of an expansion: a
// pool that made nothing since open gives nothing back, and only its bound is lower. Another thread's get or put
// waits while 2048 free objects are sorted, some 50 us of processor time. Until all has gone back the pool owns
// more than `max`, but gets beyond `max` objects in use are overflow or refused. pool_stats tells the bound in force, pool_config_of the one asked for at
// open. 0; -ENOTSUP without POOL_CAP_RESIZES; -ERANGE: out of bounds; -ECANCELED: draining; -ENOMEM: the
// bound is set, but `fixed` could not make again what an earlier resize gave back.
int pool_resize(struct pool *pool, int64_t max) __attribute__((warn_unused_result));

// Ends the pool while others still use it. From now on every get is refused (and counted so), nothing grows,
// preheat and resize return -ECANCELED, and memory goes back as objects come back. An object kept by a put
// that was under way goes back with the next pool_sweep. pool_close comes later. Returns bytes given back at
// once. May be called again. `null` keeps its one object.
int64_t pool_drain(struct pool *pool);

// While others work, each count is right at some instant of the call. Exact while no thread works.
void pool_stats(struct pool *pool, struct pool_stats *stats);

const struct pool_strategy *pool_strategy_of(const struct pool *pool);
// As asked for, except that POOL_GROW_DEFAULT is replaced by the mode chosen at open.
const struct pool_config *pool_config_of(const struct pool *pool);

// Gives back all memory. Objects still out are invalid afterwards, except overflow objects, which leak.
// Checked builds name the pool and abort when any object is out. NULL is allowed.
void pool_close(struct pool *pool);

#ifdef __cplusplus
}
#endif

#endif
