// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/state.h"

#include <math.h>

void hot_end(struct hot_state *state, struct hot_connection *connection, enum hot_reason reason)
{
    connection->reason = reason;
    state->stats.closed[reason]++;
    TAILQ_REMOVE(&state->by_age, connection, by_age);
    hot_connection_move(state, connection, HOT_ENDING);
    // Opened again it would only meet the same pressure.
    struct hot_host *host = connection->host;
    if (reason == HOT_END_PRESSURE && host->keep > hot_live(host->count)) {
        state->kept -= host->keep - hot_live(host->count);
        host->keep = hot_live(host->count);
    }
}

bool hot_state_keep(struct hot_state *state, struct hot_host *host, int count, int64_t now_ns)
{
    const struct hot_config *config = &state->config;
    int64_t kept = state->kept - host->keep + count;
    if (count > host->keep && (kept > config->idle_max || kept > config->total_max))
        return false;
    state->kept = kept;
    host->keep = count;
    host->blocked_ns = 0; // a call of hot_warm deserves a trial
    hot_drop_unneeded(state, host, now_ns);
    hot_plan(state, host, now_ns);
    return true;
}

struct hot_connection *hot_spare(struct hot_state *state)
{
    struct hot_connection *connection;
    TAILQ_FOREACH(connection, &state->lists[HOT_IDLE], in_pool)
    {
        if (hot_live(connection->host->count) > connection->host->keep)
            return connection;
    }
    return NULL;
}

// A use under way that already took longer than the average counts instead of the average.
static double time_in_use_ns(const struct hot_host *host, int64_t now_ns)
{
    const struct hot_connection *oldest = TAILQ_FIRST(&host->lists[HOT_OUT]);
    double age_ns = oldest ? (double)(now_ns - oldest->out_ns) : 0, average_ns = (double)host->use_ns;
    return age_ns > average_ns ? age_ns : average_ns;
}

static double time_to_open_ns(const struct hot_host *host)
{
    return (double)(host->last_open_ns > host->open_ns ? host->last_open_ns : host->open_ns);
}

// At least one open, since a waiter must never depend on returns alone. More in two cases. First: so many
// connections that the queue is served in the time that an open takes (waiting x time in use / time to
// open), if there are fewer. Second: a checkout has waited that long already; then as many as allowed. At
// most the window, since the measured times may be out of date. The window begins with one open. It doubles
// as long as new connections find others still waiting, and grows by one for each connection that ends when
// it is returned to waiters.
static int wanted_by_waiters(const struct hot_host *host, int64_t now_ns)
{
    if (host->waiting == 0)
        return 0;
    if (host->failures > 0 || host->open_ns <= 0)
        return 1;
    int most = host->window < host->waiting ? host->window : host->waiting;
    if ((double)(now_ns - host->hungry_ns) >= time_to_open_ns(host))
        return most;
    double connections = ceil(host->waiting * time_in_use_ns(host, now_ns) / time_to_open_ns(host));
    double missing = connections - hot_live(host->count);
    return missing < 1 ? 1 : missing > most ? most : (int)missing;
}

int hot_wanted(const struct hot_host *host, int64_t now_ns)
{
    int waiters = wanted_by_waiters(host, now_ns);
    int kept = host->keep - hot_live(host->count);
    if (host->failures > 0 && kept > 1)
        kept = 1;
    return waiters > kept ? waiters : kept;
}

static bool is_blocked(const struct hot_state *state, const struct hot_host *host, int64_t now_ns)
{
    return host->blocked_ns > now_ns && !(state->config.fail_fast && host->waiting > 0);
}

static int under_way(const struct hot_host *host)
{
    return host->count[HOT_WANTED] + host->count[HOT_OPENING];
}

// The first open of a host may always queue for a thread. A further one must leave as many threads free as
// the host then has, and a host with an overdue open has OPENERS_WHILE_OVERDUE at most. Otherwise one host
// that hangs would occupy all openers.
static bool may_take_opener(const struct hot_state *state, const struct hot_host *host)
{
    enum { OPENERS_WHILE_OVERDUE = 2 };
    const int *all = state->count;
    int has = under_way(host) + host->count[HOT_OVERDUE];
    int left = state->config.openers - all[HOT_WANTED] - all[HOT_OPENING] - all[HOT_OVERDUE];
    return has == 0 || (has < left && (host->count[HOT_OVERDUE] == 0 || has < OPENERS_WHILE_OVERDUE));
}

static bool has_room_of_its_own(const struct hot_state *state, const struct hot_host *host)
{
    return hot_owned(host->count) + host->count[HOT_OVERDUE] < state->config.host_max &&
           may_take_opener(state, host);
}

// For a waiter even a connection kept for other hosts ends. For a connection to be kept, none ends.
static struct hot_connection *to_make_room(struct hot_state *state, const struct hot_host *host)
{
    struct hot_connection *spare = host->waiting > 0 ? hot_spare(state) : NULL;
    if (!spare && host->waiting > 0)
        spare = TAILQ_FIRST(&state->lists[HOT_IDLE]);
    return spare;
}

void hot_plan(struct hot_state *state, struct hot_host *host, int64_t now_ns)
{
    if (state->draining || is_blocked(state, host, now_ns))
        return;
    for (int missing = hot_wanted(host, now_ns) - under_way(host); missing > 0; missing--) {
        if (!has_room_of_its_own(state, host))
            return;
        if (hot_owned(state->count) < state->config.total_max) {
            if (!hot_connection_new(state, host, now_ns))
                return;
        } else if (missing > state->count[HOT_ENDING] + state->count[HOT_CLOSING]) {
            struct hot_connection *spare = to_make_room(state, host);
            if (!spare)
                return;
            hot_end(state, spare, HOT_END_ROOM);
        }
    }
}

void hot_plan_all(struct hot_state *state, int64_t now_ns)
{
    struct hot_waiter *waiter;
    int hungry = state->hungry;
    state->round++;
    TAILQ_FOREACH(waiter, &state->waiters, in_pool)
    {
        if (hungry == 0)
            return; // every host with waiters was planned
        if (waiter->host->planned_round == state->round)
            continue;
        waiter->host->planned_round = state->round;
        hungry--;
        hot_plan(state, waiter->host, now_ns);
    }
}

void hot_drop_unneeded(struct hot_state *state, struct hot_host *host, int64_t now_ns)
{
    struct hot_connection *connection;
    bool dropped = false;
    while ((connection = TAILQ_LAST(&host->lists[HOT_WANTED], hot_connections)) &&
           under_way(host) > hot_wanted(host, now_ns)) {
        hot_connection_free(state, connection);
        dropped = true;
    }
    if (dropped)
        hot_plan_all(state, now_ns);
}

struct hot_waiter *hot_starved(struct hot_state *state, const struct hot_waiter *first, int64_t now_ns)
{
    struct hot_waiter *waiter;
    if (state->hungry <= (first ? 1 : 0) || hot_owned(state->count) < state->config.total_max ||
        state->count[HOT_ENDING] + state->count[HOT_CLOSING] > 0)
        return NULL;
    TAILQ_FOREACH(waiter, &state->waiters, in_pool)
    {
        struct hot_host *host = waiter->host;
        if (waiter == first)
            return NULL;
        if (under_way(host) == 0 && has_room_of_its_own(state, host) && !is_blocked(state, host, now_ns))
            return waiter;
    }
    return NULL;
}
