// SPDX-License-Identifier: Apache-2.0
// The pool contract: what every strategy does, so that one can stand for another and all are measured alike.
//
// A pool hands out objects of one size. A strategy is one file that exports one `const struct pool_strategy`,
// listed in pools/pool.c's array. The calls below check arguments, capability flags and (in checked builds,
// CHECK=1) that what is put was got from this pool and not put already; then they make one indirect call.
//
// Threads: pool_get, pool_put, pool_stats and pool_sweep may be called by any thread at any time between open
// and close; an object may be put by another thread than the one that got it. open, preheat and close are the
// owner's: nobody else may be in the pool at open and close. None blocks on I/O.
//
//     struct pool_config config = POOL_CONFIG_DEFAULTS;
//     config.name = "connections"; config.object_bytes = 3072; config.initial = 1024; config.max = 100000;
//     struct pool *pool;
//     if (pool_open(&pool, pool_strategy_find("expand"), &config, &err) < 0) ...
//     void *object = pool_get(pool);      // contents undefined, aligned to 16 bytes; NULL: refused or out of
//     memory pool_put(pool, object); pool_close(pool);                   // every object is back by then
//     (checked builds abort when not)
//
// Glossary. owned: objects whose memory the pool has, in use or not, overflow not among them. in use: got and
// not put, overflow among them. hit: a get served from memory the pool already owned. miss: a get that had to
// allocate (an expansion, or malloc). overflow: an object past `max`, served by malloc. refused: a get that
// gave NULL because of `max`. So gets = hits + misses + overflow gets + refused + failed.
#ifndef POOLMARK_POOLS_POOL_H
#define POOLMARK_POOLS_POOL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool; // opaque: begins with a struct pool_base, see pools/pool_strategy.h

enum pool_overflow {
    POOL_OVERFLOW_HEAP,   // past `max`: serve with malloc, count it
    POOL_OVERFLOW_REFUSE, // past `max`: get gives NULL, count it
};

enum pool_growth {
    POOL_GROW_INLINE,     // the get that reaches the trigger makes the new objects
    POOL_GROW_BACKGROUND, // a thread of the pool's own makes them; gets go on meanwhile
};

enum pool_cap {
    POOL_CAP_GROWS = 1 << 0,      // expands by itself; `initial`, `max`, `expand_at`, `growth` mean something
    POOL_CAP_BACKGROUND = 1 << 1, // can grow in the background
    POOL_CAP_PREHEATS = 1 << 2,   // keeps what preheat made
    POOL_CAP_BOUNDED = 1 << 3,    // keeps to `max`, with either overflow policy
    POOL_CAP_SHRINKS = 1 << 4,    // gives memory back by itself or on sweep
    POOL_CAP_SWEEPS = 1 << 5,     // wants pool_sweep called now and then
    POOL_CAP_SIZED = 1 << 6,      // pool_get_bytes serves other sizes than object_bytes
    POOL_CAP_SHARES = 1 << 7,     // `null`: gives the same object to everybody; benchmarks only
};

enum pool_event_kind { POOL_EVENT_EXPAND, POOL_EVENT_SHRINK, POOL_EVENT_REFUSE };

// Handed to the listener while it happens, on the thread that does it; a refusal once a run of refusals, not
// each.
struct pool_event {
    enum pool_event_kind kind;
    int64_t at_ns;       // CLOCK_MONOTONIC when it ended
    int64_t duration_ns; // how long it took
    int64_t from, to;    // objects owned before and after
    int64_t trigger;     // objects in use that set it off
};
typedef void pool_listener(void *context, const char *pool_name, const struct pool_event *event);

struct pool_config {
    const char *name;      // for events and statistics; copied
    size_t object_bytes;   // 1 to POOL_OBJECT_BYTES_MAX
    int64_t initial;       // objects made by open; 0 for none; at most POOL_COUNT_MAX
    int64_t max;           // most objects owned; 0 for unbounded
    int expand_at_percent; // objects in use, of those owned, that set an expansion off (integer part)
    double growth;         // owned x growth, integer part, at least one more, at most max
    enum pool_growth growth_mode;
    enum pool_overflow overflow;
    bool touch;              // preheat faults the pages in (one write a page)
    int64_t idle_ns;         // blocks: unused for so long is expired; 0 for the strategy's default
    pool_listener *listener; // may be NULL; must not call into the pool
    void *listener_context;
};

#define POOL_OBJECT_BYTES_MAX ((size_t)1 << 20)
#define POOL_COUNT_MAX (INT64_C(1) << 32)
#define POOL_CONFIG_DEFAULTS                                                                                 \
    {                                                                                                        \
        .name = "pool", .expand_at_percent = 80, .growth = 1.5, .growth_mode = POOL_GROW_INLINE,             \
        .overflow = POOL_OVERFLOW_HEAP, .touch = true                                                        \
    }

// All counts since open. bytes_owned is everything the pool took for itself, its own bookkeeping included,
// overflow not; `overhead_bytes` of it is not object memory.
struct pool_stats {
    int64_t gets, puts, hits, misses, overflow, refused, failed;
    int64_t expansions, shrinks, sweeps;
    int64_t owned, in_use, peak_in_use;
    int64_t bytes_owned, overhead_bytes;
    int64_t longest_expansion_ns;
};

struct pool_strategy;

// The strategy of that name, or NULL. pool_strategies() lists all, NULL-terminated, `null` first.
const struct pool_strategy *pool_strategy_find(const char *name);
const struct pool_strategy *const *pool_strategies(void);
const char *pool_strategy_name(const struct pool_strategy *strategy);
const char *pool_strategy_summary(const struct pool_strategy *strategy); // one line
unsigned pool_strategy_caps(const struct pool_strategy *strategy);       // of enum pool_cap

// Takes out of `config` what the strategy cannot do (initial, max, refusal, background growth), so that one
// configuration can be tried with every strategy; returns how many fields were changed. pool_open refuses
// them instead.
int pool_config_fit(const struct pool_strategy *strategy, struct pool_config *config);

// Opens a pool and preheats `initial`. -EINVAL: a field of the config is out of bounds or asks for what the
// strategy cannot do, and `err` names it; -ENOMEM: everything undone.
int pool_open(struct pool **pool, const struct pool_strategy *strategy, const struct pool_config *config,
              struct err *err) __attribute__((warn_unused_result));

// Makes `count` more objects ready beyond those owned. 0; -ENOMEM with everything undone; -ENOTSUP without
// POOL_CAP_PREHEATS; -ERANGE past `max`.
int pool_preheat(struct pool *pool, int64_t count) __attribute__((warn_unused_result));

void *pool_get(struct pool *pool) __attribute__((warn_unused_result));
void pool_put(struct pool *pool, void *object); // NULL is ignored

// At least `bytes`, for strategies with POOL_CAP_SIZED; for the others NULL unless bytes <= object_bytes.
// Put with pool_put.
void *pool_get_bytes(struct pool *pool, size_t bytes) __attribute__((warn_unused_result));

// What has to be done now and then: sync's victim sweep, blocks' expiry, slab's giving back. Anyone may call
// it; cheap when there is nothing to do. Returns bytes given back to the heap or the system.
int64_t pool_sweep(struct pool *pool);

// Gives back all that can be, at once. Returns bytes given back.
int64_t pool_trim(struct pool *pool);

// Consistent enough while others work: each count is right at some instant of the call; exact when nobody
// does.
void pool_stats(struct pool *pool, struct pool_stats *stats);

const struct pool_strategy *pool_strategy_of(const struct pool *pool);
const struct pool_config *pool_config_of(const struct pool *pool);

// Hands back all memory; objects still out are invalid afterwards, save overflow objects, which leak (checked
// builds name the pool and abort when any object is out). NULL is allowed.
void pool_close(struct pool *pool);

#endif
