// SPDX-License-Identifier: Apache-2.0
// The threads of a pool. Openers only open, so an open that hangs delays only checkouts whose connection has
// to be opened. The keeper closes, checks and sweeps.
#include "pools/hot/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// --- openers

static void open_one(struct hot_pool *pool, struct hot_connection *connection)
{
    const struct hot_resource *resource = &pool->state.config.resource;
    struct hot_host *host = connection->host;
    void *opened = NULL;
    int64_t until_ns = hot_clock_after(connection->began_ns, pool->state.config.open_timeout_ns);
    // `name` stays valid: a host exists as long as it has a connection that is open or being opened.
    if (hot_state_due_ns(&pool->state) < pool->keeper_until_ns)
        pthread_cond_signal(&pool->tick); // this open is overdue before the keeper would look
    pthread_mutex_unlock(&pool->lock);
    int code = resource->open(resource->context, host->name, until_ns, &opened);
    pthread_mutex_lock(&pool->lock);
    connection->resource = opened;
    if (!hot_state_opened(&pool->state, connection, code, hot_now_ns(pool))) {
        pthread_mutex_unlock(&pool->lock);
        resource->close(resource->context, opened);
        pthread_mutex_lock(&pool->lock);
    }
    hot_react(pool);
}

static void call_openers(struct hot_pool *pool);

static void *run_opener(void *context)
{
    struct hot_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        pool->resting--;
        struct hot_connection *connection = hot_state_next_open(&pool->state, hot_now_ns(pool));
        if (connection) {
            call_openers(pool); // for what became wanted in this step
            open_one(pool, connection);
        }
        pool->resting++;
        if (!connection && !pool->stopping)
            hot_sleep(pool, &pool->work, INT64_MAX);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

// With no opener at all nothing could ever be opened. So this counts as a failed open.
static void fail_wanted(struct hot_pool *pool, int code)
{
    struct hot_connection *connection;
    int64_t now_ns = hot_now_ns(pool);
    while ((connection = hot_state_next_open(&pool->state, now_ns)))
        (void)hot_state_opened(&pool->state, connection, code, now_ns);
}

static void call_openers(struct hot_pool *pool)
{
    struct hot_state *state = &pool->state;
    for (int i = 0; i < state->count[HOT_WANTED] && i < pool->resting; i++)
        pthread_cond_signal(&pool->work);
    while (state->count[HOT_WANTED] > pool->resting && pool->openers < state->config.openers) {
        pool->resting++;
        int code = pthread_create(&pool->threads[pool->openers], NULL, run_opener, pool);
        if (code == 0) {
            pool->openers++;
            continue;
        }
        pool->resting--;
        if (pool->openers == 0)
            fail_wanted(pool, -code);
        return;
    }
}

void hot_stop_openers(struct hot_pool *pool)
{
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->openers; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_lock(&pool->lock);
}

// In checked builds (CHECK=1): checks the state after each step.
static void check(const struct hot_pool *pool)
{
#ifdef POOLMARK_CHECK
    if (!hot_state_is_valid(&pool->state)) {
        fprintf(stderr, "hot pool: the state is not valid (pools/hot/state.h)\n");
        abort();
    }
#endif
    (void)pool;
}

void hot_react(struct hot_pool *pool)
{
    check(pool);
    const struct hot_state *state = &pool->state;
    if (state->count[HOT_WANTED] > 0)
        call_openers(pool);
    if (state->count[HOT_ENDING] > 0 || hot_state_due_ns(state) < pool->keeper_until_ns)
        pthread_cond_signal(&pool->tick);
    if (pool->watchers > 0)
        pthread_cond_broadcast(&pool->changed);
}

// --- closing and checking

int64_t hot_close_ended(struct hot_pool *pool)
{
    const struct hot_resource *resource = &pool->state.config.resource;
    struct hot_connection *connection;
    int64_t closed = 0;
    while ((connection = hot_state_next_close(&pool->state))) {
        pthread_mutex_unlock(&pool->lock);
        resource->close(resource->context, connection->resource);
        pthread_mutex_lock(&pool->lock);
        hot_state_closed(&pool->state, connection, hot_now_ns(pool));
        hot_react(pool);
        closed++;
    }
    return closed;
}

bool hot_ask(struct hot_pool *pool, struct hot_connection *connection)
{
    const struct hot_resource *resource = &pool->state.config.resource;
    pthread_mutex_unlock(&pool->lock);
    bool healthy = resource->healthy(resource->context, connection->resource);
    pthread_mutex_lock(&pool->lock);
    return healthy;
}

void hot_check_idle(struct hot_pool *pool, bool all)
{
    struct hot_connection *connection;
    int64_t now_ns = hot_now_ns(pool);
    while ((connection = hot_state_next_check(&pool->state, all, now_ns))) {
        bool healthy = hot_ask(pool, connection);
        hot_state_checked(&pool->state, connection, healthy, false, hot_now_ns(pool));
        hot_react(pool);
    }
}

// --- sweeping

int64_t hot_relieve_locked(struct hot_pool *pool)
{
    int64_t unhealthy = pool->state.stats.closed[HOT_END_UNHEALTHY];
    int64_t dropped = hot_state_relieve(&pool->state);
    hot_react(pool);
    hot_check_idle(pool, true);
    return dropped + pool->state.stats.closed[HOT_END_UNHEALTHY] - unhealthy;
}

static bool is_pressed(struct hot_pool *pool)
{
    const struct hot_config *config = &pool->state.config;
    if (config->memory_max_bytes == 0)
        return false;
    int64_t bytes = hot_owned(pool->state.count) * config->connection_bytes;
    if (config->resource.memory_bytes) {
        pthread_mutex_unlock(&pool->lock);
        bytes = config->resource.memory_bytes(config->resource.context);
        pthread_mutex_lock(&pool->lock);
    }
    return (double)bytes > (double)config->memory_max_bytes * config->pressure_percent / 100;
}

int64_t hot_sweep_locked(struct hot_pool *pool)
{
    hot_state_expire(&pool->state, hot_now_ns(pool));
    hot_react(pool);
    int64_t closed = hot_close_ended(pool); // before memory is judged, to which they would count
    if (is_pressed(pool))
        (void)hot_relieve_locked(pool);
    hot_check_idle(pool, false);
    return closed + hot_close_ended(pool);
}

void *hot_keeper_run(void *context)
{
    struct hot_pool *pool = context;
    struct hot_state *state = &pool->state;
    pthread_mutex_lock(&pool->lock);
    int64_t sweep_ns = hot_clock_after(hot_now_ns(pool), state->config.sweep_ns);
    while (!pool->stopping) {
        int64_t now_ns = hot_now_ns(pool);
        if (now_ns >= sweep_ns) {
            (void)hot_sweep_locked(pool);
            sweep_ns = hot_clock_after(hot_now_ns(pool), state->config.sweep_ns);
        } else if (now_ns >= hot_state_due_ns(state)) {
            hot_state_expire(state, now_ns);
            hot_react(pool);
        }
        (void)hot_close_ended(pool);
        int64_t due_ns = hot_state_due_ns(state);
        if (pool->stopping || hot_now_ns(pool) >= due_ns)
            continue;
        pool->keeper_until_ns = due_ns < sweep_ns ? due_ns : sweep_ns;
        hot_sleep(pool, &pool->tick, pool->keeper_until_ns);
        pool->keeper_until_ns = 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}
