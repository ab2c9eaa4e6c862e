// SPDX-License-Identifier: Apache-2.0
// A world for hot pools: time that passes when a test says so, and a backend that opens, fails, hangs and
// notices what is done wrong (a connection that two have, one that is closed twice or while in use).
#ifndef POOLMARK_TESTS_HOT_WORLD_H
#define POOLMARK_TESTS_HOT_WORLD_H

#include "pools/hot/hot.h"

#include <pthread.h>
#include <stdatomic.h>

struct hot_world_wait;

struct hot_world {
    // Time. `waits` is guarded by the mutex of the pool.
    _Atomic int64_t now_ns;
    _Atomic(pthread_mutex_t *) mutex;
    struct hot_world_wait *waits;
    struct hot_clock clock;

    // The backend.
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t let_go;
    int fail_code;          // opens fail with it; 0: they succeed
    const char *hangs_host; // opens of hosts of this pattern hang until the world changes
    int lets;               // so many opens go through all the same
    bool all_unhealthy;
    int64_t calls, opened, closed, failed, hanging, asked;
    int64_t wrong; // see above
    int64_t memory_bytes;
};

struct hot_world_connection {
    atomic_int users;
    bool unhealthy; // the world's lock
    int64_t number; // in the order of opening, from 1
};

void hot_world_init(struct hot_world *world);
void hot_world_destroy(struct hot_world *world); // asserts that all is closed, and nothing was wrong
// The defaults on this world: its clock and backend, no thread that sweeps.
struct hot_config hot_world_config(struct hot_world *world);
void hot_world_pass(struct hot_world *world, int64_t ns);
void hot_world_hang(struct hot_world *world, const char *host); // NULL: nothing hangs any more
void hot_world_let(struct hot_world *world, int opens);         // of those that hang
void hot_world_fail(struct hot_world *world, int code);
int64_t hot_world_read(struct hot_world *world, const int64_t *count); // one of the backend's

// Of a connection that is checked out: uses it (two at once are wrong), or has it get ill.
void hot_world_use(struct hot_world *world, struct hot_connection *connection);
void hot_world_make_ill(struct hot_world *world, struct hot_connection *connection);
int64_t hot_world_number(struct hot_connection *connection);

// Waits until a field of the statistics is `value`.
#define HOT_AWAIT(pool, field, value)                                                                        \
    do {                                                                                                     \
        struct hot_stats await_stats;                                                                        \
        int64_t await_guard_ns = hot_await_guard_ns();                                                       \
        do                                                                                                   \
            hot_stats(pool, &await_stats);                                                                   \
        while (await_stats.field != (value) && hot_await_goes_on(await_guard_ns));                           \
        assert_int_equal(await_stats.field, value);                                                          \
    } while (0)
int64_t hot_await_guard_ns(void);
bool hot_await_goes_on(int64_t guard_ns); // yields; false past the guard

// A thread that checks out, tells, and returns when it is told to.
struct hot_user {
    struct hot_pool *pool;
    const char *host;
    int64_t timeout_ns;
    struct hot_connection *connection;
    int code;
    struct err err;
    atomic_bool done;
    pthread_t thread;
};
void hot_user_start(struct hot_user *user, struct hot_pool *pool, const char *host, int64_t timeout_ns);
int hot_user_join(struct hot_user *user); // its code

#endif
