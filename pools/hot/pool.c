// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/inside.h"

#include "base/err_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- checkout

static int wait_for_one(struct hot_pool *pool, struct hot_host *host, uint64_t ticket, int64_t until_ns,
                        struct hot_connection **connection)
{
    pthread_cond_t woken;
    int code = hot_cond_init(&woken);
    if (code < 0)
        return code;
    struct hot_waiter waiter = {.host = host, .ticket = ticket, .woken = &woken};
    hot_state_wait(&pool->state, &waiter, hot_now_ns(pool));
    hot_react(pool);
    while (waiter.answer == HOT_WAITS && hot_now_ns(pool) < until_ns)
        hot_sleep(pool, &woken, until_ns);
    // A connection handed over before this thread gave up belongs to it, even after the deadline.
    if (waiter.answer == HOT_WAITS) {
        hot_state_give_up(&pool->state, &waiter, hot_now_ns(pool));
        hot_react(pool); // its open is dropped, and others may have the room
        code = -ETIMEDOUT;
    } else if (waiter.answer == HOT_REFUSED) {
        code = waiter.code;
    }
    pthread_cond_destroy(&woken);
    *connection = waiter.connection;
    return code;
}

static int find_one(struct hot_pool *pool, struct hot_host *host, int64_t now_ns, int64_t until_ns,
                    struct hot_connection **connection)
{
    uint64_t ticket = pool->state.next_ticket++;
    bool waits = until_ns > now_ns;
    while (!pool->state.draining) {
        struct hot_connection *found = hot_state_take(&pool->state, host, ticket, now_ns);
        if (found && found->where == HOT_CHECKED) {
            bool healthy = hot_ask(pool, found);
            now_ns = hot_now_ns(pool);
            hot_state_checked(&pool->state, found, healthy, true, now_ns);
        }
        hot_react(pool);
        if (found && found->where == HOT_OUT) {
            *connection = found;
            return 0;
        }
        if (!found)
            return waits ? wait_for_one(pool, host, ticket, until_ns, connection) : -ETIMEDOUT;
    }
    return -ECANCELED;
}

static int explain(const struct hot_pool *pool, const struct hot_host *host, int code, struct err *err)
{
    const struct hot_config *config = &pool->state.config;
    const int *count = host->count;
    if (code == 0 || !err)
        return code;
    if (code != -ETIMEDOUT)
        return err_set(err, code, "no connection to %s: %s", host->name,
                       code == -ECANCELED ? "the pool is draining" : strerror(-code));
    return err_set(err, code,
                   "no connection to %s in time: of %d to it %d are in use, of %d in all %d; %d others "
                   "wait for it%s%s",
                   host->name, config->host_max, count[HOT_OUT], config->total_max,
                   pool->state.count[HOT_OUT], host->waiting,
                   host->failures ? "; the last open failed: " : "",
                   host->failures ? strerror(-host->last_code) : "");
}

static void count_checkout(struct hot_stats *stats, int code, const struct hot_connection *connection,
                           int64_t waited_ns)
{
    stats->checkouts++;
    if (code == -ETIMEDOUT)
        stats->timeouts++;
    else if (code < 0)
        stats->refused++;
    else if (connection->uses > 0)
        stats->reused++;
    else
        stats->fresh++;
    if (waited_ns > stats->longest_wait_ns)
        stats->longest_wait_ns = waited_ns;
}

int hot_checkout(struct hot_pool *pool, const char *name, int64_t timeout_ns,
                 struct hot_connection **connection, struct err *err)
{
    bool allowed = hot_state_allows(&pool->state, name);
    int64_t now_ns = hot_now_ns(pool);
    int code = -EACCES;
    *connection = NULL;
    hot_begin(pool);
    struct hot_host *host = allowed ? hot_host_hold(&pool->state, name) : NULL;
    if (host) {
        code = find_one(pool, host, now_ns, hot_clock_after(now_ns, timeout_ns), connection);
        int64_t until_ns = code < 0 ? hot_now_ns(pool) : (*connection)->out_ns;
        (void)explain(pool, host, code, err);
        count_checkout(&pool->state.stats, code, *connection, until_ns - now_ns);
        hot_host_release(host);
    } else {
        code = allowed ? -ENOMEM : -EACCES;
        count_checkout(&pool->state.stats, code, NULL, 0);
        (void)err_set(err, code, "no connection to %s: %s", name,
                      allowed ? "no memory" : "the lists of hosts do not allow it");
    }
    hot_leave(pool);
    return code;
}

// In checked builds a second return of a connection is detected, as long as the connection was not closed.
static void check_out(const struct hot_connection *connection)
{
#ifdef POOLMARK_CHECK
    if (connection->where != HOT_OUT) {
        fprintf(stderr, "hot pool: a connection to %s was returned, and is not checked out\n",
                connection->host->name);
        abort();
    }
#endif
    (void)connection;
}

void hot_return(struct hot_pool *pool, struct hot_connection *connection, enum hot_condition condition)
{
    int64_t now_ns = hot_now_ns(pool);
    hot_begin(pool);
    check_out(connection);
    hot_state_return(&pool->state, connection, condition == HOT_WORKS, now_ns);
    hot_react(pool);
    hot_leave(pool);
}

void *hot_resource_of(const struct hot_connection *connection)
{
    return connection->resource;
}

const char *hot_host_of(const struct hot_connection *connection)
{
    return connection->host->name;
}

int64_t hot_uses_of(const struct hot_connection *connection)
{
    return connection->uses;
}

// --- the rest

static int await_warmth(struct hot_pool *pool, struct hot_host *host, int count, int64_t until_ns)
{
    const struct hot_stats *stats = &pool->state.stats;
    int64_t failures = stats->open_failures, pressed = stats->closed[HOT_END_PRESSURE];
    while (hot_live(host->count) < host->keep) {
        if (pool->state.draining)
            return -ECANCELED;
        if (pool->state.config.fail_fast && host->failures > 0 && stats->open_failures > failures)
            return host->last_code;
        if (hot_now_ns(pool) >= until_ns)
            return -ETIMEDOUT;
        pool->watchers++;
        hot_sleep(pool, &pool->changed, until_ns);
        pool->watchers--;
    }
    return host->keep < count && stats->closed[HOT_END_PRESSURE] > pressed ? -ENOMEM : 0;
}

static int warm(struct hot_pool *pool, struct hot_host *host, int count, int64_t until_ns, struct err *err)
{
    const struct hot_config *config = &pool->state.config;
    if (pool->state.draining)
        return err_set(err, -ECANCELED, "%s is not warmed: the pool is draining", host->name);
    if (!hot_state_keep(&pool->state, host, count, hot_now_ns(pool)))
        return err_set(err, -ERANGE,
                       "%s is not warmed: %d connections, and %lld kept to other hosts, are past %d idle or "
                       "%d in all",
                       host->name, count, (long long)(pool->state.kept - host->keep), config->idle_max,
                       config->total_max);
    hot_react(pool);
    int code = await_warmth(pool, host, count, until_ns);
    if (code < 0)
        (void)err_set(err, code, "%s is not warm: %d of %d connections are there%s%s", host->name,
                      hot_live(host->count), count, host->failures ? "; the last open failed: " : "",
                      host->failures ? strerror(-host->last_code) : "");
    return code;
}

int hot_warm(struct hot_pool *pool, const char *name, int count, int64_t timeout_ns, struct err *err)
{
    const struct hot_config *config = &pool->state.config;
    if (!hot_state_allows(&pool->state, name))
        return err_set(err, -EACCES, "%s is not warmed: the lists of hosts do not allow it", name);
    if (count < 0 || count > config->host_max || count > config->idle_max)
        return err_set(err, -ERANGE, "%s is not warmed: %d connections are past %d a host or %d idle", name,
                       count, config->host_max, config->idle_max);
    int64_t until_ns = hot_clock_after(hot_now_ns(pool), timeout_ns);
    hot_begin(pool);
    struct hot_host *host = hot_host_hold(&pool->state, name);
    int code = host ? 0 : err_set(err, -ENOMEM, "%s is not warmed: no memory", name);
    if (host) {
        code = warm(pool, host, count, until_ns, err);
        hot_host_release(host);
    }
    hot_leave(pool);
    return code;
}

int64_t hot_sweep(struct hot_pool *pool)
{
    hot_begin(pool);
    int64_t closed = hot_sweep_locked(pool);
    hot_leave(pool);
    return closed;
}

int64_t hot_relieve(struct hot_pool *pool)
{
    hot_begin(pool);
    int64_t ended = hot_relieve_locked(pool);
    hot_leave(pool);
    return ended;
}

void hot_stats(struct hot_pool *pool, struct hot_stats *stats)
{
    hot_begin(pool);
    hot_state_stats(&pool->state, stats);
    hot_leave(pool);
}

const char *hot_reason_name(enum hot_reason reason)
{
    static const char *const names[HOT_REASONS] = {"idle", "lifetime", "unhealthy", "broken", "surplus",
                                                   "room", "pressure", "drain",     "late"};
    return names[reason];
}
