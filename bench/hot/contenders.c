// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "bench/hot/hot_bench.h"
#include "pools/hot/hot.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

// --- the hot pool

static int open_resource(void *context, const char *host, int64_t until_ns, void **resource)
{
    struct backend_connection *connection = NULL;
    (void)host;
    int code = backend_open(context, until_ns, &connection);
    *resource = connection;
    return code;
}

static void close_resource(void *context, void *resource)
{
    (void)context;
    backend_close(resource);
}

static bool is_healthy(void *context, void *resource)
{
    (void)context;
    return backend_works(resource);
}

static int hot_pool_open(void **pool, struct backend *backend, const struct bench_limits *limits)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    struct hot_pool *opened;
    config.resource = (struct hot_resource){
        .open = open_resource, .close = close_resource, .healthy = is_healthy, .context = backend};
    config.total_max = config.idle_max = config.host_max = limits->most;
    config.openers = limits->most; // as many as the callers that open in the plain pool
    config.open_timeout_ns = limits->open_timeout_ns;
    int code = hot_open(&opened, &config, NULL);
    if (code < 0)
        return code;
    *pool = opened;
    return hot_warm(opened, "backend", limits->least, HOT_FOREVER, NULL);
}

static int hot_pool_take(void *pool, int64_t timeout_ns, void **handle,
                         struct backend_connection **connection)
{
    struct hot_connection *taken;
    int code = hot_checkout(pool, "backend", timeout_ns, &taken, NULL);
    if (code < 0)
        return code;
    *handle = taken;
    *connection = hot_resource_of(taken);
    return 0;
}

static void hot_pool_give(void *pool, void *handle, bool works)
{
    hot_return(pool, handle, works ? HOT_WORKS : HOT_BROKEN);
}

static void hot_pool_counts(void *pool, struct bench_counts *counts)
{
    struct hot_stats stats;
    hot_stats(pool, &stats);
    *counts = (struct bench_counts){.total = stats.idle + stats.in_use + stats.checking,
                                    .active = stats.in_use,
                                    .idle = stats.idle,
                                    .waiting = stats.waiting};
}

static void hot_pool_close(void *pool)
{
    (void)!hot_close(pool, HOT_FOREVER);
}

static const struct hot_contender hot = {.name = "hot",
                                         .summary = "pools/hot: waiters in order, the pool's threads open",
                                         .open = hot_pool_open,
                                         .take = hot_pool_take,
                                         .give = hot_pool_give,
                                         .counts = hot_pool_counts,
                                         .close = hot_pool_close};

// --- a pool whose callers open: the plain design, for comparison

struct plain {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct backend *backend;
    struct bench_limits limits;
    int total, opening, idle, waiting; // total: with connections being opened
    struct backend_connection *stack[];
};

static int plain_fill(struct plain *plain)
{
    for (; plain->total < plain->limits.least; plain->total++) {
        int code = backend_open(plain->backend, INT64_MAX, &plain->stack[plain->idle]);
        if (code < 0)
            return code;
        plain->idle++;
    }
    return 0;
}

static int plain_open(void **pool, struct backend *backend, const struct bench_limits *limits)
{
    struct plain *plain = calloc(1, sizeof *plain + (size_t)limits->most * sizeof plain->stack[0]);
    pthread_condattr_t attributes;
    if (!plain)
        return -ENOMEM;
    plain->backend = backend;
    plain->limits = *limits;
    pthread_mutex_init(&plain->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&plain->freed, &attributes);
    pthread_condattr_destroy(&attributes);
    *pool = plain;
    return plain_fill(plain);
}

static int plain_await(struct plain *plain, int64_t until_ns)
{
    struct timespec until = clock_deadline(until_ns);
    plain->waiting++;
    int code = pthread_cond_timedwait(&plain->freed, &plain->lock, &until);
    plain->waiting--;
    return code == ETIMEDOUT && plain->idle == 0 ? -ETIMEDOUT : 0;
}

static int plain_connect(struct plain *plain, int64_t until_ns, struct backend_connection **connection)
{
    plain->total++;
    plain->opening++;
    pthread_mutex_unlock(&plain->lock);
    int code = backend_open(plain->backend, until_ns, connection);
    pthread_mutex_lock(&plain->lock);
    plain->opening--;
    if (code < 0) {
        plain->total--;
        pthread_cond_signal(&plain->freed);
    }
    return code;
}

static int plain_take(void *pool, int64_t timeout_ns, void **handle, struct backend_connection **connection)
{
    struct plain *plain = pool;
    int64_t until_ns = clock_now_ns() + timeout_ns;
    int code = 0;
    pthread_mutex_lock(&plain->lock);
    while (plain->idle == 0 && plain->total == plain->limits.most && code == 0)
        code = plain_await(plain, until_ns);
    if (code == 0 && plain->idle > 0)
        *connection = plain->stack[--plain->idle];
    else if (code == 0)
        code = plain_connect(plain, until_ns, connection);
    pthread_mutex_unlock(&plain->lock);
    *handle = *connection;
    return code;
}

static void plain_give(void *pool, void *handle, bool works)
{
    struct plain *plain = pool;
    pthread_mutex_lock(&plain->lock);
    if (works)
        plain->stack[plain->idle++] = handle;
    else
        plain->total--;
    pthread_cond_signal(&plain->freed);
    pthread_mutex_unlock(&plain->lock);
    if (!works)
        backend_close(handle);
}

static void plain_counts(void *pool, struct bench_counts *counts)
{
    struct plain *plain = pool;
    pthread_mutex_lock(&plain->lock);
    int open = plain->total - plain->opening;
    *counts = (struct bench_counts){.total = open,
                                    .active = open - plain->idle,
                                    .idle = plain->idle,
                                    .waiting = plain->waiting + plain->opening};
    pthread_mutex_unlock(&plain->lock);
}

static void plain_close(void *pool)
{
    struct plain *plain = pool;
    while (plain->idle > 0)
        backend_close(plain->stack[--plain->idle]);
    pthread_cond_destroy(&plain->freed);
    pthread_mutex_destroy(&plain->lock);
    free(plain);
}

static const struct hot_contender caller_opens = {
    .name = "caller-opens",
    .summary = "a lock, a stack and a condition; who finds nothing idle opens, and waits for that alone",
    .open = plain_open,
    .take = plain_take,
    .give = plain_give,
    .counts = plain_counts,
    .close = plain_close};

const struct hot_contender *const hot_contenders[] = {&hot, &caller_opens, NULL};
