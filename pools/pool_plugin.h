// SPDX-License-Identifier: Apache-2.0
// A pool strategy of your own, as a shared library that Poolmark loads while it runs. This header is all that
// the library needs: it links nothing of Poolmark.
//
//     struct pool {
//         struct poolmark_head head; // Poolmark's, first
//         ...                        // yours
//     };
//     const struct poolmark_strategy_v1 poolmark_strategy_v1 = {
//         .abi = POOLMARK_STRATEGY_ABI, .bytes = sizeof(struct poolmark_strategy_v1),
//         .name = "mine", .version = "1.0", .summary = "a stack of free objects under a mutex",
//         .open = mine_open, .get = mine_get, .put = mine_put, .close = mine_close};
//
//     cc -O2 -fPIC -shared -o mine.so mine.c $(pkg-config --cflags poolmark)
//     poolmark-bench --check-pool ./mine.so      does it keep the contract?
//     poolmark bench --pool ./mine.so            beside the others
//     poolmark-broker --pool ./mine.so           under clients
//
// examples/stack-pool.c is a whole one. pool.h says what each call promises, and what the counts mean.
//
// Calls are direct: pool_get jumps to your `get`, as it does to one of Poolmark's own.
//
// Threads: any thread may call get, put, get_bytes, stats and sweep at any time between open and close, and an
// object may be put by another thread than the one that got it. open and close are called by one thread while
// no other uses the pool. Start no thread before open.
//
// Versions: this is version 1. `bytes` is the size of the struct that the library was compiled with. A later
// header may have more fields at the end of a struct; a field of zero means the same as no field.
#ifndef POOLMARK_POOLS_POOL_PLUGIN_H
#define POOLMARK_POOLS_POOL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POOLMARK_STRATEGY_ABI 1u

struct pool; // defined by the library; it begins with a poolmark_head

// Room for Poolmark's own fields. It is filled in after `open`; the library does not touch it.
struct poolmark_head {
    void *reserved[128];
};

// What a strategy can do. A function that belongs to a flag is there exactly when the flag is set.
enum poolmark_can {
    POOLMARK_CAN_GROW = 1 << 0, // expands by itself; `initial`, `expand_at_percent`, `growth` mean something
    POOLMARK_CAN_BACKGROUND = 1 << 1, // can expand on a thread of its own
    POOLMARK_CAN_PREHEAT = 1 << 2,    // makes objects ahead: `initial`, and the function preheat
    POOLMARK_CAN_BOUND = 1 << 3,      // keeps to `max`, whether gets past it go to the heap or are refused
    POOLMARK_CAN_SHRINK = 1 << 4,     // gives memory back: the function trim
    POOLMARK_CAN_SWEEP = 1 << 5,      // wants the function sweep called now and then
    POOLMARK_CAN_SIZE = 1 << 6,       // serves other sizes than object_bytes: the function get_bytes
    POOLMARK_CAN_CONSTRUCT = 1 << 7,  // constructs an object once and not in each get
};

// How `owned` grows, for a strategy that can grow. With the factor, forecasts of memory know what is in reserve.
enum poolmark_growth {
    POOLMARK_GROWTH_OWN,    // as objects are needed, or by a rule of its own
    POOLMARK_GROWTH_FACTOR, // at expand_at_percent in use: owned x growth, at least one more, at most max
};

enum poolmark_event_kind { POOLMARK_EVENT_EXPAND, POOLMARK_EVENT_SHRINK, POOLMARK_EVENT_REFUSE };

struct poolmark_event_v1 {
    int kind;            // of enum poolmark_event_kind; of refusals in a row only the first is an event
    int64_t at_ns;       // CLOCK_MONOTONIC when it ended; 0: now
    int64_t duration_ns; // how long it took
    int64_t from, to;    // objects owned before and after
    int64_t trigger;     // objects in use that started it
};

struct poolmark_config_v1 {
    size_t bytes;     // of this struct, as Poolmark knows it
    const char *name; // lives as long as the pool
    size_t object_bytes;
    int64_t initial;       // objects made by open; 0 without CAN_PREHEAT
    int64_t max;           // most objects owned; 0: unbounded; 0 without CAN_BOUND
    int expand_at_percent; // 1 to 100
    double growth;         // 1 to 1000
    int in_background;     // 1: expand on a thread of your own; 0 without CAN_BACKGROUND
    int refuses;           // past max: 1: get gives NULL, 0: malloc serves
    int touch;             // 1: pages of objects made ahead are written to once
    int one_thread;        // 1: one thread at a time uses the pool
    int64_t idle_ns;       // objects unused for so long may expire; 0: as you like
    // NULL without CAN_CONSTRUCT. Each may be NULL by itself. With one of them set, a free object is never
    // written to: its state is there in the next get. construct returns 0 or a negative errno, and then the get
    // gives NULL and counts as failed.
    int (*construct)(void *object_context, void *object);
    void (*destruct)(void *object_context, void *object);
    void *object_context;
    // Tells of an expansion, a shrink or a refusal: on the thread that does it, with no lock held, and not before
    // open has returned.
    void (*tell)(struct pool *pool, const struct poolmark_event_v1 *event);
};

// Counts since open; all of them. gets = hits + misses + overflow + refused + failed.
struct poolmark_stats_v1 {
    int64_t gets, puts, hits, misses, overflow, refused, failed;
    int64_t expansions, shrinks, sweeps;
    int64_t owned, in_use, peak_in_use;
    int64_t bytes_owned,
        overhead_bytes;      // all memory taken, its part that is not objects; overflow in neither
    int64_t bytes_allocated; // ever taken for objects, overflow included
    int64_t longest_expansion_ns;
};

struct poolmark_strategy_v1 {
    uint32_t abi;        // POOLMARK_STRATEGY_ABI
    uint32_t bytes;      // sizeof(struct poolmark_strategy_v1)
    const char *name;    // a-z, 0-9 and _, a letter first, at most 31; no name of Poolmark's own
    const char *version; // for records, at most 31 characters without blanks; NULL: none
    const char *summary; // one line, at most 120 characters
    uint32_t can;        // of enum poolmark_can
    uint32_t growth;     // of enum poolmark_growth

    // 0 and the pool, at an address that is a multiple of 16. -ENOMEM: no memory. -EAGAIN: no thread could be
    // started; Poolmark may try without. Another negative errno: it cannot; `why` may get a reason, on one line.
    // After an error everything is undone.
    int (*open)(struct pool **pool, const struct poolmark_config_v1 *config, char *why, size_t why_bytes);
    void *(*get)(struct pool *pool);              // aligned to 16 bytes; NULL: refused, or no memory
    void (*put)(struct pool *pool, void *object); // never NULL
    void (*close)(struct pool *pool); // frees the pool too; objects still out are invalid after it

    // NULL: it keeps no statistics. Every figure that would follow from them is then null, not zero.
    void (*stats)(struct pool *pool, struct poolmark_stats_v1 *stats);

    int (*preheat)(struct pool *pool,
                   int64_t count); // more objects; 0, -ENOMEM with all undone, -ERANGE past max
    void *(*get_bytes)(struct pool *pool, size_t bytes);
    int64_t (*sweep)(struct pool *pool); // bytes given back; cheap when there is nothing to do
    int64_t (*trim)(struct pool *pool);  // the same, as much as possible, at once
};

// The library defines this, and exports it even when it is compiled with -fvisibility=hidden.
#ifdef __GNUC__
__attribute__((visibility("default")))
#endif
extern const struct poolmark_strategy_v1 poolmark_strategy_v1;

#ifdef __cplusplus
}
#endif

#endif
