// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/state.h"

#include <errno.h>

enum { AVERAGE_OVER = 8 };

static void add_to_average(int64_t *average_ns, int64_t ns)
{
    if (*average_ns == 0)
        *average_ns = ns > 0 ? ns : 1;
    else
        *average_ns += (ns - *average_ns) / AVERAGE_OVER;
    if (*average_ns < 1)
        *average_ns = 1;
}

// --- waiters

static void dequeue(struct hot_state *state, struct hot_waiter *waiter)
{
    struct hot_host *host = waiter->host;
    TAILQ_REMOVE(&state->waiters, waiter, in_pool);
    TAILQ_REMOVE(&host->waiters, waiter, in_host);
    state->waiting--;
    if (--host->waiting == 0) {
        state->hungry--;
        host->window = 1;
    }
}

static void answer(struct hot_state *state, struct hot_waiter *waiter, enum hot_answer answer, int code)
{
    dequeue(state, waiter);
    waiter->answer = answer;
    waiter->code = code;
    if (waiter->woken)
        pthread_cond_signal(waiter->woken);
}

void hot_refuse(struct hot_state *state, struct hot_waiter *waiter, int code)
{
    answer(state, waiter, HOT_REFUSED, code);
}

static void hand_out(struct hot_state *state, struct hot_connection *connection, int64_t now_ns)
{
    connection->out_ns = now_ns;
    hot_connection_move(state, connection, HOT_OUT);
}

// A checkout whose connection was not healthy waits again, after later arrivals: its old ticket decides its
// place.
void hot_state_wait(struct hot_state *state, struct hot_waiter *waiter, int64_t now_ns)
{
    struct hot_host *host = waiter->host;
    struct hot_waiter *before = TAILQ_LAST(&state->waiters, hot_waiters);
    while (before && before->ticket > waiter->ticket)
        before = TAILQ_PREV(before, hot_waiters, in_pool);
    if (before)
        TAILQ_INSERT_AFTER(&state->waiters, before, waiter, in_pool);
    else
        TAILQ_INSERT_HEAD(&state->waiters, waiter, in_pool);
    before = TAILQ_LAST(&host->waiters, hot_waiters);
    while (before && before->ticket > waiter->ticket)
        before = TAILQ_PREV(before, hot_waiters, in_host);
    if (before)
        TAILQ_INSERT_AFTER(&host->waiters, before, waiter, in_host);
    else
        TAILQ_INSERT_HEAD(&host->waiters, waiter, in_host);
    if (host->waiting++ == 0) {
        state->hungry++;
        host->hungry_ns = now_ns;
    }
    waiter->answer = HOT_WAITS;
    if (++state->waiting > state->stats.peak_waiting)
        state->stats.peak_waiting = state->waiting;
    hot_plan(state, host, now_ns);
}

void hot_state_give_up(struct hot_state *state, struct hot_waiter *waiter, int64_t now_ns)
{
    dequeue(state, waiter);
    hot_drop_unneeded(state, waiter->host, now_ns);
}

static void widen(const struct hot_state *state, struct hot_host *host)
{
    if (host->waiting > 0 && host->window < state->config.host_max)
        host->window++;
}

// --- connections that are free

static void make_idle(struct hot_state *state, struct hot_connection *connection)
{
    if (state->count[HOT_IDLE] >= state->config.idle_max) {
        struct hot_connection *spare = hot_spare(state);
        if (!spare) {
            hot_end(state, connection, HOT_END_SURPLUS);
            return;
        }
        hot_end(state, spare, HOT_END_SURPLUS);
    }
    hot_connection_put_idle(state, connection);
}

// The connection goes to the longest waiter for its host, unless an older waiter for another host has no
// room.
static void give(struct hot_state *state, struct hot_connection *connection, int64_t now_ns)
{
    struct hot_waiter *first = TAILQ_FIRST(&connection->host->waiters);
    if (hot_starved(state, first, now_ns)) {
        hot_end(state, connection, HOT_END_ROOM);
    } else if (first) {
        hand_out(state, connection, now_ns);
        first->connection = connection;
        answer(state, first, HOT_SERVED, 0);
    } else {
        make_idle(state, connection);
    }
}

static bool is_too_old(const struct hot_connection *connection, int64_t now_ns)
{
    return connection->ends_ns <= now_ns;
}

struct hot_connection *hot_state_take(struct hot_state *state, struct hot_host *host, uint64_t ticket,
                                      int64_t now_ns)
{
    const struct hot_waiter *first = TAILQ_FIRST(&host->waiters);
    struct hot_connection *connection;
    if (first && first->ticket < ticket)
        return NULL; // free connections are for these waiters
    while ((connection = TAILQ_LAST(&host->lists[HOT_IDLE], hot_connections))) {
        if (is_too_old(connection, now_ns)) {
            hot_end(state, connection, HOT_END_LIFETIME);
            continue;
        }
        bool checks = state->config.resource.healthy && state->config.check_after_ns >= 0 &&
                      now_ns - connection->checked_ns >= state->config.check_after_ns;
        if (checks)
            hot_connection_move(state, connection, HOT_CHECKED);
        else
            hand_out(state, connection, now_ns);
        return connection;
    }
    return NULL;
}

void hot_state_checked(struct hot_state *state, struct hot_connection *connection, bool healthy, bool taker,
                       int64_t now_ns)
{
    struct hot_host *host = connection->host;
    connection->checked_ns = now_ns;
    if (!healthy)
        hot_end(state, connection, HOT_END_UNHEALTHY);
    else if (state->draining)
        hot_end(state, connection, HOT_END_DRAIN);
    else if (connection->retired)
        hot_end(state, connection, connection->reason);
    else if (taker)
        hand_out(state, connection, now_ns);
    else
        give(state, connection, now_ns);
    hot_drop_unneeded(state, host, now_ns);
    hot_plan(state, host, now_ns);
}

void hot_state_return(struct hot_state *state, struct hot_connection *connection, bool works, int64_t now_ns)
{
    struct hot_host *host = connection->host;
    add_to_average(&host->use_ns, now_ns - connection->out_ns);
    connection->used_ns = connection->checked_ns = now_ns;
    connection->uses++;
    if (!works)
        hot_end(state, connection, HOT_END_BROKEN);
    else if (state->draining)
        hot_end(state, connection, HOT_END_DRAIN);
    else if (connection->retired)
        hot_end(state, connection, connection->reason);
    else if (is_too_old(connection, now_ns))
        hot_end(state, connection, HOT_END_LIFETIME);
    else
        give(state, connection, now_ns);
    if (connection->where == HOT_ENDING)
        widen(state, host); // the waiters needed that connection
    hot_drop_unneeded(state, host, now_ns);
    hot_plan(state, host, now_ns);
}

// --- opens

struct hot_connection *hot_state_next_open(struct hot_state *state, int64_t now_ns)
{
    struct hot_connection *connection;
    while ((connection = TAILQ_FIRST(&state->lists[HOT_WANTED]))) {
        struct hot_host *host = connection->host;
        if (!state->draining &&
            host->count[HOT_WANTED] + host->count[HOT_OPENING] <= hot_wanted(host, now_ns)) {
            connection->began_ns = now_ns;
            hot_connection_move(state, connection, HOT_OPENING);
            return connection;
        }
        hot_connection_free(state, connection); // the waiter was served meanwhile
        hot_plan_all(state, now_ns);
    }
    return NULL;
}

static int64_t lifetime_end_ns(struct hot_state *state, int64_t now_ns)
{
    const struct hot_config *config = &state->config;
    if (config->lifetime_ns == 0)
        return INT64_MAX;
    // Knuth's MMIX generator; uses its upper bits.
    state->random = state->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double share = (double)(state->random >> 33) / (double)(UINT64_C(1) << 31);
    double less = (double)config->lifetime_ns * config->lifetime_jitter_percent / 100 * share;
    return hot_clock_after(now_ns, config->lifetime_ns - (int64_t)less);
}

// Opens that were under way together fail for one cause, so all of them are one failure.
void hot_note_failure(struct hot_state *state, struct hot_host *host, int64_t began_ns, int code,
                      int64_t now_ns)
{
    const struct hot_config *config = &state->config;
    struct hot_waiter *waiter;
    int64_t pause_ns = config->retry_ns;
    if (host->failures > 0 && began_ns < host->failed_ns)
        host->failures--;
    for (int i = 0; i < host->failures && pause_ns < config->retry_max_ns; i++)
        pause_ns *= 2;
    host->failures++;
    host->failed_ns = now_ns;
    host->window = 1;
    host->last_code = code;
    host->blocked_ns =
        hot_clock_after(now_ns, pause_ns > config->retry_max_ns ? config->retry_max_ns : pause_ns);
    if (host->blocked_ns < state->retry_ns)
        state->retry_ns = host->blocked_ns;
    state->stats.open_failures++;
    while (config->fail_fast && (waiter = TAILQ_FIRST(&host->waiters)))
        hot_refuse(state, waiter, code);
    while (!TAILQ_EMPTY(&host->lists[HOT_WANTED])) // requested anew after the pause
        hot_connection_free(state, TAILQ_FIRST(&host->lists[HOT_WANTED]));
}

bool hot_state_opened(struct hot_state *state, struct hot_connection *connection, int code, int64_t now_ns)
{
    struct hot_host *host = connection->host;
    bool overdue = connection->where == HOT_OVERDUE;
    if (code < 0) {
        int64_t began_ns = connection->began_ns;
        hot_connection_free(state, connection);
        if (!overdue) // then it was counted when it became that
            hot_note_failure(state, host, began_ns, code, now_ns);
        hot_plan_all(state, now_ns);
        return true;
    }
    state->stats.created++;
    host->failures = 0;
    host->blocked_ns = 0;
    if (overdue && (state->draining || hot_owned(host->count) >= state->config.host_max ||
                    hot_owned(state->count) >= state->config.total_max)) {
        state->stats.closed[HOT_END_LATE]++;
        hot_connection_free(state, connection);
        hot_plan_all(state, now_ns);
        return false;
    }
    host->last_open_ns = now_ns - connection->began_ns;
    add_to_average(&host->open_ns, host->last_open_ns);
    connection->began_ns = connection->used_ns = connection->checked_ns = now_ns;
    connection->ends_ns = lifetime_end_ns(state, now_ns);
    TAILQ_INSERT_TAIL(&state->by_age, connection, by_age);
    if (state->draining)
        hot_end(state, connection, HOT_END_DRAIN);
    else
        give(state, connection, now_ns);
    widen(state, host);
    hot_plan(state, host, now_ns);
    hot_plan_all(state, now_ns); // other hosts may take the opener
    return true;
}
