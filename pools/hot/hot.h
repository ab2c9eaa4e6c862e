// SPDX-License-Identifier: Apache-2.0
// A pool of live client connections, kept for reuse. What a connection is says a table of functions (open,
// close, healthy): a paho client, a raw socket, anything.
//
//     struct hot_config config = HOT_CONFIG_DEFAULTS;
//     config.resource = (struct hot_resource){.open = connect_to, .close = disconnect, .healthy = is_open};
//     if (hot_open(&pool, &config, &err) < 0) ...
//     if (hot_checkout(pool, "127.0.0.1:1883", 500 * NS_PER_MS, &connection, &err) < 0) ...
//     bool works = publish(hot_resource_of(connection));
//     hot_return(pool, connection, works ? HOT_WORKS : HOT_BROKEN);
//
// Bounds. At most total_max connections are there at once, host_max of them to one host: idle, in use, being
// opened, checked or closed. One that is being closed counts until its close has returned. An open that has
// taken longer than open_timeout_ns counts no more; when it ends after all, its connection is kept if there
// is room, and closed if not. At most idle_max are idle; past it the one that was used longest ago goes.
//
// Waiting. A checkout takes the idle connection of its host that was used last. When there is none it waits,
// in the order of arrival, and gets the connection that comes first: one that is returned, or one that is
// opened for the waiters. Nobody overtakes a waiter for the same host. At total_max the longest waiter of all
// counts: when his host has nothing under way, the next connection that is free makes room for him.
//
// Opening. Threads of the pool open (at most `openers`), never a caller, and never under the pool's lock. As
// long as somebody waits at least one open is under way, if bounds permit. More only when the queue will not
// be through before it comes (connections needed = waiting x time in use / time to open), or has not been for
// as long as an open takes. They begin with one; then twice as many each time that those which came found
// others still waiting.
// What was asked for and is wanted no more when a thread gets to it is not opened.
//
// Failing. After a failed open the host has a pause, which doubles from retry_ns to retry_max_ns; then one
// open at a time is tried. Waiters wait on, for the next trial or a return, until their deadlines; with
// fail_fast they all get the error at once, and a new checkout tries at once.
//
// Ending. A connection ends when it is returned broken or is not healthy, after idle_ns without use, after
// its lifetime (lifetime_ns less a random share of up to lifetime_jitter_percent; in use it ends when
// returned), for want of room, under memory pressure, and at the drain.
//
// Memory. When memory passes pressure_percent of memory_max_bytes, the oldest pressure_drop_percent of the
// connections go (of those in use: when they are returned), and all idle ones that are not healthy.
//
// Threads: every call may be made by any thread at any time between hot_open and hot_close. One thread has a
// connection between checkout and return; another may return it. Functions of the resource are called on
// several threads at once, never two at once for the same connection, never with a lock held; open, close and
// healthy may block, but healthy and close hold up whoever calls them: the checkout that checks, the sweep
// that closes. They must not call into the pool. Not for signal handlers; a child of fork must not use it.
//
// Errors: 0 or -errno. Times: nanoseconds of `clock`; CLOCK_MONOTONIC unless another is given.
#ifndef POOLMARK_POOLS_HOT_HOT_H
#define POOLMARK_POOLS_HOT_HOT_H

#include "base/err.h"
#include "pools/hot/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hot_pool;
struct hot_connection;

struct hot_resource {
    // Opens a connection to `host` and stores what it is. Should end by until_ns. 0 or -errno.
    int (*open)(void *context, const char *host, int64_t until_ns, void **resource);
    void (*close)(void *context, void *resource);
    bool (*healthy)(void *context, void *resource); // may be NULL: all are
    int64_t (*memory_bytes)(void *context);         // may be NULL: connections x connection_bytes
    void *context;
};

// Everything is copied by hot_open. Entries of the lists are patterns (fnmatch(3)); NULL ends a list.
struct hot_config {
    struct hot_resource resource;
    int total_max, idle_max, host_max; // 1, 0, 1 to HOT_COUNT_MAX
    int openers;                       // threads that open; 1 to HOT_COUNT_MAX; made as they are needed
    int64_t open_timeout_ns;           // above; also the until_ns that open is given
    int64_t retry_ns, retry_max_ns;    // pause after a failed open
    bool fail_fast;                    // above
    int64_t idle_ns;                   // longest time without use; 0: any
    int64_t lifetime_ns;               // 0: any
    int lifetime_jitter_percent;       // 0 to 100
    int64_t check_after_ns;            // checkout checks what was idle for so long; 0: always; < 0: never
    int64_t check_every_ns;            // the sweep checks what was not used or checked for so long; 0: never
    int64_t sweep_ns;          // the pool's own thread sweeps so often; 0: no such thread, hot_sweep is yours
    int64_t memory_max_bytes;  // 0: none
    int64_t connection_bytes;  // what one counts for without memory_bytes
    int pressure_percent;      // 1 to 100
    int pressure_drop_percent; // 1 to 100; rounded up
    const char *const *allow;  // NULL: every host
    const char *const *deny;   // goes before `allow`; may be NULL
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
    HOT_END_SURPLUS,  // past idle_max
    HOT_END_ROOM,     // another host needed its place
    HOT_END_PRESSURE, // of memory
    HOT_END_DRAIN,
    HOT_END_LATE, // its open ended past open_timeout_ns, and there was no room
    HOT_REASONS
};
const char *hot_reason_name(enum hot_reason reason);

// All at one instant. total = idle + in_use + opening + checking + closing. Of every checkout that was begun,
// checkouts has those that ended; checkouts = reused + fresh + timeouts + refused.
struct hot_stats {
    int64_t total, idle, in_use, opening, checking, closing;
    int64_t overdue; // opens past open_timeout_ns that did not end
    int64_t waiting, hosts;
    int64_t checkouts;
    int64_t reused;   // got a connection that had been used before
    int64_t fresh;    // got one that had not
    int64_t timeouts; // ended without one at their deadline
    int64_t refused;  // by the lists, the drain, fail_fast or want of memory
    int64_t created, open_failures;
    int64_t closed[HOT_REASONS]; // ended, from the moment that it was decided
    int64_t peak_total, peak_waiting;
    int64_t longest_wait_ns; // of checkouts that ended, with or without a connection
    double reuse_percent;    // reused / (reused + fresh); 0 when nothing was checked out
};

// -EINVAL: a field is out of bounds, `err` names it; -ENOMEM, -EAGAIN: undone.
int hot_open(struct hot_pool **pool, const struct hot_config *config, struct err *err)
    __attribute__((warn_unused_result));

// Waits timeout_ns at most (HOT_FOREVER; 0: takes what is idle or nothing, and opens nothing). -ETIMEDOUT;
// -EACCES: the lists do not allow the host; -ECANCELED: draining; -ENOMEM; with fail_fast what open gave.
int hot_checkout(struct hot_pool *pool, const char *host, int64_t timeout_ns,
                 struct hot_connection **connection, struct err *err) __attribute__((warn_unused_result));

// Once for each checkout. Checked builds (CHECK=1) abort when it is not checked out.
void hot_return(struct hot_pool *pool, struct hot_connection *connection, enum hot_condition condition);

// Of a connection that is checked out.
void *hot_resource_of(const struct hot_connection *connection);
const char *hot_host_of(const struct hot_connection *connection);
int64_t hot_uses_of(const struct hot_connection *connection); // earlier checkouts: 0 for a fresh one

// From now on the pool keeps `count` connections to the host: opens them, replaces those that end, and spares
// them from idle_ns. 0 ends that. Waits until they are there, or timeout_ns are over: -ETIMEDOUT, and the
// pool goes on trying. -ERANGE: past host_max or idle_max; -EACCES; -ECANCELED; -ENOMEM.
int hot_warm(struct hot_pool *pool, const char *host, int count, int64_t timeout_ns, struct err *err)
    __attribute__((warn_unused_result));

// What has to be done now and then: closes what ended, ends what is too old, checks, retries. The pool's own
// thread does it unless sweep_ns is 0. Returns connections closed.
int64_t hot_sweep(struct hot_pool *pool);

// What memory pressure does, at once: for whoever notices it elsewhere. Returns connections that ended or
// will when they are returned.
int64_t hot_relieve(struct hot_pool *pool);

void hot_stats(struct hot_pool *pool, struct hot_stats *stats);

// The end: no checkout gets anything any more, waiters get -ECANCELED, idle connections are closed, and those
// in use when they are returned. Waits timeout_ns at most until none is left. 0; -ETIMEDOUT: some are still
// there; may be called again.
int hot_drain(struct hot_pool *pool, int64_t timeout_ns) __attribute__((warn_unused_result));

// Drains, and frees the pool when all that it had under way has ended. -ETIMEDOUT: something has not (a
// connection was not returned, an open hangs), and the pool is as hot_drain leaves it. NULL: 0.
int hot_close(struct hot_pool *pool, int64_t timeout_ns) __attribute__((warn_unused_result));

#endif
