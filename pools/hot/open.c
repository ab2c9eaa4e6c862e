// SPDX-License-Identifier: Apache-2.0
// Opens, drains and closes a pool.
#include "pools/hot/inside.h"

#include "base/err_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bound {
    const char *name;
    int64_t value, least, most;
};

static int check_config(const struct hot_config *config, struct err *err)
{
    const struct bound bounds[] = {
        {"total_max", config->total_max, 1, HOT_COUNT_MAX},
        {"idle_max", config->idle_max, 0, HOT_COUNT_MAX},
        {"host_max", config->host_max, 1, HOT_COUNT_MAX},
        {"openers", config->openers, 1, HOT_COUNT_MAX},
        {"open_timeout_ns", config->open_timeout_ns, 1, INT64_MAX},
        {"retry_ns", config->retry_ns, 1, INT64_MAX / 4},
        {"retry_max_ns", config->retry_max_ns, config->retry_ns, INT64_MAX / 4},
        {"idle_ns", config->idle_ns, 0, INT64_MAX},
        {"lifetime_ns", config->lifetime_ns, 0, INT64_MAX},
        {"lifetime_jitter_percent", config->lifetime_jitter_percent, 0, 100},
        {"check_every_ns", config->check_every_ns, 0, INT64_MAX},
        {"sweep_ns", config->sweep_ns, 0, INT64_MAX},
        {"memory_max_bytes", config->memory_max_bytes, 0, INT64_MAX},
        {"connection_bytes", config->connection_bytes, 0, INT64_C(1) << 40},
        {"pressure_percent", config->pressure_percent, 1, 100},
        {"pressure_drop_percent", config->pressure_drop_percent, 1, 100},
    };
    if (!config->resource.open || !config->resource.close)
        return err_set(err, -EINVAL, "a hot pool needs a resource with open and close");
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const struct bound *bound = &bounds[i];
        if (bound->value < bound->least || bound->value > bound->most)
            return err_set(err, -EINVAL, "%s of a hot pool is %lld: it takes %lld to %lld", bound->name,
                           (long long)bound->value, (long long)bound->least, (long long)bound->most);
    }
    if (config->memory_max_bytes > 0 && config->connection_bytes == 0 && !config->resource.memory_bytes)
        return err_set(
            err, -EINVAL,
            "connection_bytes of a hot pool is 0: with memory_max_bytes it takes the memory of one "
            "connection, or the resource memory_bytes; otherwise pressure is never seen");
    return 0;
}

static int init_conds(struct hot_pool *pool)
{
    pthread_cond_t *const conds[] = {&pool->work, &pool->tick, &pool->changed};
    for (int i = 0; i < 3; i++) {
        int code = hot_cond_init(conds[i]);
        if (code < 0) {
            while (i-- > 0)
                pthread_cond_destroy(conds[i]);
            return code;
        }
    }
    return 0;
}

static void destroy_conds(struct hot_pool *pool)
{
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->tick);
    pthread_cond_destroy(&pool->changed);
}

int hot_open(struct hot_pool **opened, const struct hot_config *config, struct err *err)
{
    int code = check_config(config, err);
    if (code < 0)
        return code;
    struct hot_pool *pool = calloc(1, sizeof *pool);
    code = -ENOMEM;
    if (!pool)
        goto fail;
    pool->threads = calloc((size_t)config->openers, sizeof *pool->threads);
    if (!pool->threads)
        goto fail_pool;
    code = hot_state_init(&pool->state, config);
    if (code < 0)
        goto fail_threads;
    pool->clock = config->clock ? config->clock : &hot_clock_monotonic;
    code = init_conds(pool);
    if (code < 0)
        goto fail_state;
    code = -pthread_mutex_init(&pool->lock, NULL);
    if (code < 0)
        goto fail_conds;
    if (config->sweep_ns > 0)
        code = -pthread_create(&pool->keeper, NULL, hot_keeper_run, pool);
    if (code < 0)
        goto fail_lock;
    *opened = pool;
    return 0;
fail_lock:
    pthread_mutex_destroy(&pool->lock);
fail_conds:
    destroy_conds(pool);
fail_state:
    hot_state_free(&pool->state);
fail_threads:
    free(pool->threads);
fail_pool:
    free(pool);
fail:
    return err_set(err, code, "a hot pool cannot be opened: %s", strerror(-code));
}

// Waits until no connection is owned; with `all` none is overdue either, and no call is under way. Closes connections
// that end meanwhile.
static int await_none(struct hot_pool *pool, bool all, int64_t until_ns)
{
    const int *count = pool->state.count;
    for (;;) {
        (void)hot_close_ended(pool);
        if (hot_owned(count) + (all ? count[HOT_OVERDUE] + pool->calls : 0) == 0)
            return 0;
        if (hot_now_ns(pool) >= until_ns)
            return -ETIMEDOUT;
        if (count[HOT_ENDING] > 0)
            continue;
        pool->watchers++;
        hot_sleep(pool, &pool->changed, until_ns);
        pool->watchers--;
    }
}

static int drain(struct hot_pool *pool, bool all, int64_t timeout_ns)
{
    int64_t until_ns = hot_clock_after(hot_now_ns(pool), timeout_ns);
    hot_state_drain(&pool->state);
    hot_react(pool);
    return await_none(pool, all, until_ns);
}

int hot_drain(struct hot_pool *pool, int64_t timeout_ns)
{
    hot_begin(pool);
    int code = drain(pool, false, timeout_ns);
    hot_leave(pool);
    return code;
}

int hot_close(struct hot_pool *pool, int64_t timeout_ns)
{
    if (!pool)
        return 0;
    pthread_mutex_lock(&pool->lock);
    int code = drain(pool, true, timeout_ns);
    if (code < 0) {
        pthread_mutex_unlock(&pool->lock);
        return code;
    }
    hot_stop_openers(pool);
    pthread_cond_broadcast(&pool->tick);
    pthread_mutex_unlock(&pool->lock);
    if (pool->state.config.sweep_ns > 0)
        pthread_join(pool->keeper, NULL);
    pthread_mutex_destroy(&pool->lock);
    destroy_conds(pool);
    hot_state_free(&pool->state);
    free(pool->threads);
    free(pool);
    return 0;
}
