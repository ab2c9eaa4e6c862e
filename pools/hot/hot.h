// SPDX-License-Identifier: Apache-2.0
// A pool of live client connections, kept for reuse. A table of functions (open, close, healthy) defines
// what a connection is: a paho client, a raw socket, anything.
//
//     struct hot_pool *pool;
//     struct hot_connection *connection;
//     struct err err;
//     struct hot_config config = HOT_CONFIG_DEFAULTS;
//     config.resource = (struct hot_resource){.open = connect_to, .close = disconnect, .healthy = is_open};
//     if (hot_open(&pool, &config, &err) < 0) ...
//     if (hot_checkout(pool, "127.0.0.1:1883", 500000000, &connection, &err) < 0) ... // waits 500 ms at most
//     bool works = publish(hot_resource_of(connection));
//     hot_return(pool, connection, works ? HOT_WORKS : HOT_BROKEN);
//
// C11 and C++ (there HOT_CONFIG_DEFAULTS takes C++20, or GCC or Clang). It is source to compile along:
// docs/hot-pool.md has the command.
//
// Bounds. At most total_max connections exist at once, host_max of them to one host: idle, in use, being
// opened, checked or closed. A connection that is being closed counts until its close has returned. An open
// that takes longer than open_timeout_ns is overdue and no longer counts. When it ends after all, its connection is kept if
// there is room, and closed otherwise. At most idle_max are idle; beyond that the one used longest ago is
// closed.
//
// Waiting. A checkout takes the idle connection of its host that was used last. If there is none, it waits
// in the order of arrival. It gets the first connection that is returned, or that is opened for the waiters.
// No checkout overtakes a waiter for the same host. At total_max the pool looks at the longest waiter of all
// hosts: when that host has no open under way, the next free connection is closed to make room for it.
//
// Opening. Threads of the pool open connections (at most `openers` threads), never a caller, and never under
// the pool's lock. While a checkout waits, at least one open is under way, if the bounds permit. There are
// more in two cases: the queue will not be served before the open ends (connections needed = waiting x time
// in use / time to open), or it has waited for as long as an open takes. Extra opens begin with one, and
// double each time that new connections found others still waiting. An open that is no longer needed when a
// thread gets to it is not made. While no thread is free for it, its request is dropped at once.
//
// Openers. The first open to a host may take any free opener. A further one is begun only if the host then
// has no more openers than are left free. A host with an overdue open has two at most. So opens that hang
// leave openers to others, until more hosts hang than half of `openers`.
//
// Failing. After a failed open the host pauses; the pause doubles from retry_ns to retry_max_ns. Then one
// open at a time is tried. An overdue open is a failed one (-ETIMEDOUT), from its own deadline on; without
// the pool's thread (sweep_ns 0) from the next hot_sweep on. Opens under way together are one failure. Waiters go on waiting for the next trial or a return, until their deadlines. With
// fail_fast all of them get the error at once, and a new checkout tries at once.
//
// Ending. A connection ends when it is returned broken or is not healthy, after idle_ns without use, after
// its lifetime, for lack of room, under memory pressure, and at the drain. Its lifetime is lifetime_ns less
// a random share of up to lifetime_jitter_percent; in use, it ends when it is returned.
//
// Memory. When memory exceeds pressure_percent of memory_max_bytes, the oldest pressure_drop_percent of the
// connections end (those in use: when they are returned), and all idle ones that are not healthy. Those that
// end for pressure are not replaced: their host keeps fewer, until hot_warm is called again.
//
// Threads: any thread may make any call at any time between hot_open and hot_close. hot_close ends checkouts that
// wait, and waits for calls that are under way; none may begin after it was called. One thread holds a
// connection between checkout and return; another thread may return it. Functions of the resource are called
// on several threads at once, but never two at once for the same connection, and never with a lock held.
// open, close and healthy may block; but healthy and close delay their caller: the checkout that checks, the
// sweep that closes. They must not call into the pool. Not for signal handlers. A child of fork must not use
// the pool.
//
// Errors: 0 or -errno. Times: nanoseconds of `clock`; CLOCK_MONOTONIC unless another clock is given.
#ifndef POOLMARK_POOLS_HOT_HOT_H
#define POOLMARK_POOLS_HOT_HOT_H

#include "base/err.h"
#include "pools/hot/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hot_pool;
struct hot_connection;

struct hot_resource {
    // Opens a connection to `host` and stores it in `resource`. Should end by until_ns. 0 or -errno.
    int (*open)(void *context, const char *host, int64_t until_ns, void **resource);
    void (*close)(void *context, void *resource);
    bool (*healthy)(void *context, void *resource); // may be NULL: then all are healthy
    int64_t (*memory_bytes)(void *context);         // may be NULL: then connections x connection_bytes
    void *context;
};

// Everything is copied by hot_open. Entries of the lists are patterns (fnmatch(3)); NULL ends a list.
struct hot_config {
    struct hot_resource resource;
    int total_max, idle_max, host_max; // 1, 0, 1 to HOT_COUNT_MAX
    int openers;                       // threads that open; 1 to HOT_COUNT_MAX; made as they are needed
    int64_t open_timeout_ns;           // see above; also sets until_ns of open
    int64_t retry_ns, retry_max_ns;    // pause after a failed open
    bool fail_fast;                    // see above
    int64_t idle_ns;                   // longest time without use; 0: no bound
    int64_t lifetime_ns;               // 0: no bound
    int lifetime_jitter_percent;       // 0 to 100
    int64_t check_after_ns;            // a checkout checks one idle for so long; 0: always; < 0: never
    int64_t check_every_ns;            // a sweep checks one not used or checked for so long; 0: never
    int64_t sweep_ns;          // interval of the pool's own sweeps; 0: no thread, the program calls hot_sweep
    int64_t memory_max_bytes;  // 0: none
    int64_t connection_bytes;  // memory of one connection, without memory_bytes; not 0 with a bound
    int pressure_percent;      // 1 to 100
    int pressure_drop_percent; // 1 to 100; rounded up
    const char *const *allow;  // NULL: every host
    const char *const *deny;   // has priority over `allow`; may be NULL
    uint64_t seed;             // of lifetimes
    const struct hot_clock *clock; // NULL: CLOCK_MONOTONIC; must outlive the pool
};

enum { HOT_COUNT_MAX = 1 << 20 };
#define HOT_FOREVER INT64_MAX
#define HOT_CONFIG_DEFAULTS                                                                                  \
    {                                                                                                        \
        .total_max = 100, .idle_max = 20, .host_max = 10, .openers = 16, .open_timeout_ns = 10000000000,     \
        .retry_ns = 10000000, .retry_max_ns = 1000000000, .idle_ns = 90000000000,                            \
        .lifetime_ns = 1800000000000, .lifetime_jitter_percent = 10, .check_after_ns = 500000000,            \
        .check_every_ns = 30000000000, .sweep_ns = 1000000000, .connection_bytes = 16384,                    \
        .pressure_percent = 80, .pressure_drop_percent = 20, .seed = 1                                       \
    }

enum hot_condition { HOT_WORKS, HOT_BROKEN };

// Why a connection ended.
enum hot_reason {
    HOT_END_IDLE,
    HOT_END_LIFETIME,
    HOT_END_UNHEALTHY,
    HOT_END_BROKEN,
    HOT_END_SURPLUS,  // beyond idle_max
    HOT_END_ROOM,     // a connection to another host needed its place
    HOT_END_PRESSURE, // of memory
    HOT_END_DRAIN,
    HOT_END_LATE, // its open ended after open_timeout_ns, and there was no room
    HOT_REASONS
};
const char *hot_reason_name(enum hot_reason reason);

// All at one instant. total = idle + in_use + opening + checking + closing. checkouts counts the ended ones:
// checkouts = reused + fresh + timeouts + refused.
struct hot_stats {
    int64_t total, idle, in_use, opening, checking, closing;
    int64_t overdue; // opens beyond open_timeout_ns that have not ended
    int64_t waiting, hosts;
    int64_t checkouts;
    int64_t reused;   // got a connection that had been used before
    int64_t fresh;    // got one that had not
    int64_t timeouts; // ended without one at their deadline
    int64_t refused;  // by the lists, the drain, fail_fast or lack of memory
    int64_t created;
    int64_t open_failures;       // opens that failed, or became overdue
    int64_t closed[HOT_REASONS]; // counted when the end was decided
    int64_t peak_total, peak_waiting;
    int64_t longest_wait_ns; // of checkouts that ended, with or without a connection
    double reuse_percent;    // reused / (reused + fresh); 0 without checkouts
};

// -EINVAL: a field is out of bounds, and `err` names it; -ENOMEM, -EAGAIN: everything undone.
int hot_open(struct hot_pool **pool, const struct hot_config *config, struct err *err)
    __attribute__((warn_unused_result));

// Waits at most timeout_ns (HOT_FOREVER: no bound; 0: takes an idle connection or nothing, and opens
// nothing). -ETIMEDOUT; -EACCES: the lists do not allow the host; -ECANCELED: draining; -ENOMEM; with
// fail_fast, the error of open.
int hot_checkout(struct hot_pool *pool, const char *host, int64_t timeout_ns,
                 struct hot_connection **connection, struct err *err) __attribute__((warn_unused_result));

// Call it once for each checkout. Checked builds (CHECK=1) abort when the connection is not checked out.
void hot_return(struct hot_pool *pool, struct hot_connection *connection, enum hot_condition condition);

// For a connection that is checked out.
void *hot_resource_of(const struct hot_connection *connection);
const char *hot_host_of(const struct hot_connection *connection);
int64_t hot_uses_of(const struct hot_connection *connection); // earlier checkouts: 0 for a fresh one

// From now on the pool keeps `count` connections to the host: it opens them, replaces those that end, and
// exempts them from idle_ns. 0 stops that. Waits at most timeout_ns until they are open; -ETIMEDOUT: the
// pool goes on trying. -ERANGE: above host_max; or with what other hosts keep above idle_max or total_max.
// Nothing is changed then. -EACCES; -ECANCELED: draining; -ENOMEM: also under memory pressure; with
// fail_fast, the error of open.
int hot_warm(struct hot_pool *pool, const char *host, int count, int64_t timeout_ns, struct err *err)
    __attribute__((warn_unused_result));

// Periodic work: closes what ended, ends what is too old, checks, retries. The pool's own thread does it
// unless sweep_ns is 0. Returns the number of connections closed.
int64_t hot_sweep(struct hot_pool *pool);

// Applies memory pressure at once, for a caller that notices pressure elsewhere. Returns how many
// connections ended, or will end when they are returned.
int64_t hot_relieve(struct hot_pool *pool);

void hot_stats(struct hot_pool *pool, struct hot_stats *stats);

// Ends the pool: checkouts get nothing any more, waiters get -ECANCELED, idle connections are closed, and
// those in use are closed when they are returned. Waits at most timeout_ns until none is left. 0;
// -ETIMEDOUT: some are left. May be called again.
int hot_drain(struct hot_pool *pool, int64_t timeout_ns) __attribute__((warn_unused_result));

// Drains, and frees the pool when all its connections, opens, closes and calls have ended. -ETIMEDOUT: something
// has not ended (a connection was not returned, an open hangs), and the pool is in the state after
// hot_drain. NULL: 0.
int hot_close(struct hot_pool *pool, int64_t timeout_ns) __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
