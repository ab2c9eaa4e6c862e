// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/state.h"

#include <errno.h>

static void expire_idle(struct hot_state *state, int64_t now_ns)
{
    struct hot_connection *connection = TAILQ_FIRST(&state->lists[HOT_IDLE]), *next;
    int64_t idle_ns = state->config.idle_ns;
    for (; connection; connection = next) {
        struct hot_host *host = connection->host;
        next = TAILQ_NEXT(connection, in_pool);
        if (connection->ends_ns <= now_ns)
            hot_end(state, connection, HOT_END_LIFETIME);
        else if (idle_ns > 0 && now_ns - connection->used_ns >= idle_ns && hot_live(host->count) > host->keep)
            hot_end(state, connection, HOT_END_IDLE);
    }
}

// An overdue open no longer counts for its waiters, so another one may be tried for them, after the pause.
static void note_overdue(struct hot_state *state, int64_t now_ns)
{
    struct hot_connection *connection;
    while ((connection = TAILQ_FIRST(&state->lists[HOT_OPENING])) &&
           now_ns - connection->began_ns >= state->config.open_timeout_ns) {
        hot_connection_move(state, connection, HOT_OVERDUE);
        hot_note_failure(state, connection->host, connection->began_ns, -ETIMEDOUT, now_ns);
    }
}

int64_t hot_state_due_ns(const struct hot_state *state)
{
    const struct hot_connection *oldest = TAILQ_FIRST(&state->lists[HOT_OPENING]);
    int64_t overdue_ns =
        oldest ? hot_clock_after(oldest->began_ns, state->config.open_timeout_ns) : INT64_MAX;
    return overdue_ns < state->retry_ns ? overdue_ns : state->retry_ns;
}

// Plans hosts whose pause is over, or that have fewer connections than they keep.
static void plan_hosts(struct hot_state *state, int64_t now_ns)
{
    state->retry_ns = INT64_MAX;
    for (int i = 0; i < HOT_BUCKETS; i++) {
        for (struct hot_host *host = state->buckets[i]; host; host = host->next) {
            if (host->blocked_ns > now_ns && host->blocked_ns < state->retry_ns)
                state->retry_ns = host->blocked_ns;
            if (host->waiting == 0)
                hot_plan(state, host, now_ns);
        }
    }
}

void hot_state_expire(struct hot_state *state, int64_t now_ns)
{
    expire_idle(state, now_ns);
    note_overdue(state, now_ns);
    hot_plan_all(state, now_ns);
    plan_hosts(state, now_ns);
    hot_hosts_forget(state, now_ns);
}

struct hot_connection *hot_state_next_check(struct hot_state *state, bool all, int64_t now_ns)
{
    struct hot_connection *connection;
    int64_t every_ns = state->config.check_every_ns;
    if (!state->config.resource.healthy || (!all && every_ns == 0))
        return NULL;
    TAILQ_FOREACH(connection, &state->lists[HOT_IDLE], in_pool)
    {
        // With `all`, each is found once: a connection checked at this time is not due.
        if (all ? connection->checked_ns < now_ns : now_ns - connection->checked_ns >= every_ns) {
            hot_connection_move(state, connection, HOT_CHECKED);
            return connection;
        }
    }
    return NULL;
}

struct hot_connection *hot_state_next_close(struct hot_state *state)
{
    struct hot_connection *connection = TAILQ_FIRST(&state->lists[HOT_ENDING]);
    if (connection)
        hot_connection_move(state, connection, HOT_CLOSING);
    return connection;
}

void hot_state_closed(struct hot_state *state, struct hot_connection *connection, int64_t now_ns)
{
    hot_connection_free(state, connection);
    hot_plan_all(state, now_ns);
}

// Of the live connections, oldest first. Those already told to end count.
int hot_state_relieve(struct hot_state *state)
{
    int live = hot_live(state->count);
    int drop = (live * state->config.pressure_drop_percent + 99) / 100, dropped = 0;
    struct hot_connection *connection = TAILQ_FIRST(&state->by_age), *next;
    for (; connection && dropped < drop; connection = next, dropped++) {
        next = TAILQ_NEXT(connection, by_age);
        if (connection->where == HOT_IDLE) {
            hot_end(state, connection, HOT_END_PRESSURE);
        } else if (!connection->retired) {
            connection->retired = true;
            connection->reason = HOT_END_PRESSURE;
        }
    }
    return dropped;
}

void hot_state_drain(struct hot_state *state)
{
    struct hot_waiter *waiter;
    struct hot_connection *connection;
    state->draining = true;
    while ((waiter = TAILQ_FIRST(&state->waiters)))
        hot_refuse(state, waiter, -ECANCELED);
    while ((connection = TAILQ_FIRST(&state->lists[HOT_WANTED])))
        hot_connection_free(state, connection);
    while ((connection = TAILQ_FIRST(&state->lists[HOT_IDLE])))
        hot_end(state, connection, HOT_END_DRAIN);
}

void hot_state_stats(const struct hot_state *state, struct hot_stats *stats)
{
    const int *count = state->count;
    *stats = state->stats;
    stats->total = hot_owned(count);
    stats->idle = count[HOT_IDLE];
    stats->in_use = count[HOT_OUT];
    stats->opening = count[HOT_WANTED] + count[HOT_OPENING];
    stats->checking = count[HOT_CHECKED];
    stats->closing = count[HOT_ENDING] + count[HOT_CLOSING];
    stats->overdue = count[HOT_OVERDUE];
    stats->waiting = state->waiting;
    stats->hosts = state->hosts;
    int64_t served = stats->reused + stats->fresh;
    stats->reuse_percent = served ? 100.0 * (double)stats->reused / (double)served : 0;
}
