// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/state.h"

#include <stdlib.h>

static void list(struct hot_state *state, struct hot_connection *connection, enum hot_where where)
{
    struct hot_host *host = connection->host;
    connection->where = where;
    TAILQ_INSERT_TAIL(&state->lists[where], connection, in_pool);
    TAILQ_INSERT_TAIL(&host->lists[where], connection, in_host);
    state->count[where]++;
    host->count[where]++;
}

static void unlist(struct hot_state *state, struct hot_connection *connection)
{
    struct hot_host *host = connection->host;
    TAILQ_REMOVE(&state->lists[connection->where], connection, in_pool);
    TAILQ_REMOVE(&host->lists[connection->where], connection, in_host);
    state->count[connection->where]--;
    host->count[connection->where]--;
}

struct hot_connection *hot_connection_new(struct hot_state *state, struct hot_host *host, int64_t now_ns)
{
    struct hot_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->host = host;
    connection->began_ns = now_ns;
    list(state, connection, HOT_WANTED);
    int owned = hot_owned(state->count);
    if (owned > state->stats.peak_total)
        state->stats.peak_total = owned;
    return connection;
}

void hot_connection_move(struct hot_state *state, struct hot_connection *connection, enum hot_where where)
{
    unlist(state, connection);
    list(state, connection, where);
}

void hot_connection_free(struct hot_state *state, struct hot_connection *connection)
{
    unlist(state, connection);
    free(connection);
}

// A connection that was checked goes back into its place: others may have been used later.
void hot_connection_put_idle(struct hot_state *state, struct hot_connection *connection)
{
    struct hot_connection *after;
    hot_connection_move(state, connection, HOT_IDLE);
    TAILQ_REMOVE(&state->lists[HOT_IDLE], connection, in_pool);
    after = TAILQ_LAST(&state->lists[HOT_IDLE], hot_connections);
    while (after && after->used_ns > connection->used_ns)
        after = TAILQ_PREV(after, hot_connections, in_pool);
    if (after)
        TAILQ_INSERT_AFTER(&state->lists[HOT_IDLE], after, connection, in_pool);
    else
        TAILQ_INSERT_HEAD(&state->lists[HOT_IDLE], connection, in_pool);

    struct hot_connections *of_host = &connection->host->lists[HOT_IDLE];
    TAILQ_REMOVE(of_host, connection, in_host);
    after = TAILQ_LAST(of_host, hot_connections);
    while (after && after->used_ns > connection->used_ns)
        after = TAILQ_PREV(after, hot_connections, in_host);
    if (after)
        TAILQ_INSERT_AFTER(of_host, after, connection, in_host);
    else
        TAILQ_INSERT_HEAD(of_host, connection, in_host);
}

int hot_owned(const int count[HOT_WHERES])
{
    int owned = 0;
    for (int where = 0; where < HOT_WHERES; where++)
        owned += where == HOT_OVERDUE ? 0 : count[where];
    return owned;
}

int hot_live(const int count[HOT_WHERES])
{
    return count[HOT_IDLE] + count[HOT_OUT] + count[HOT_CHECKED];
}

static bool is_host_valid(const struct hot_state *state, const struct hot_host *host, int sums[HOT_WHERES])
{
    const struct hot_waiter *waiter;
    uint64_t ticket = 0;
    int waiting = 0;
    TAILQ_FOREACH(waiter, &host->waiters, in_host)
    {
        if (waiter->host != host || (waiting++ > 0 && waiter->ticket <= ticket))
            return false;
        ticket = waiter->ticket;
    }
    for (int where = 0; where < HOT_WHERES; where++) {
        const struct hot_connection *connection;
        int count = 0;
        TAILQ_FOREACH(connection, &host->lists[where], in_host)
        {
            if (connection->host != host || connection->where != (enum hot_where)where)
                return false;
            count++;
        }
        if (count != host->count[where])
            return false;
        sums[where] += count;
    }
    return waiting == host->waiting && hot_owned(host->count) <= state->config.host_max &&
           (host->waiting == 0 || host->count[HOT_IDLE] == 0);
}

bool hot_state_is_valid(const struct hot_state *state)
{
    int sums[HOT_WHERES] = {0}, waiting = 0, hungry = 0;
    int64_t kept = 0;
    const struct hot_waiter *waiter;
    uint64_t ticket = 0;
    for (int i = 0; i < HOT_BUCKETS; i++) {
        for (const struct hot_host *host = state->buckets[i]; host; host = host->next) {
            if (!is_host_valid(state, host, sums))
                return false;
            hungry += host->waiting > 0;
            kept += host->keep;
        }
    }
    TAILQ_FOREACH(waiter, &state->waiters, in_pool)
    {
        if (waiter->answer != HOT_WAITS || (waiting++ > 0 && waiter->ticket <= ticket))
            return false;
        ticket = waiter->ticket;
    }
    for (int where = 0; where < HOT_WHERES; where++) {
        if (sums[where] != state->count[where])
            return false;
    }
    return waiting == state->waiting && hungry == state->hungry &&
           hot_owned(state->count) <= state->config.total_max &&
           state->count[HOT_IDLE] <= state->config.idle_max && kept == state->kept &&
           kept <= state->config.idle_max && kept <= state->config.total_max;
}
