// SPDX-License-Identifier: Apache-2.0
// The benefit of reuse: publish at QoS 1 until PUBACK, over a warm pool with a connection for each thread,
// and with a connect for each publish (TCP connect, CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT). The same
// threads do both, in phases: warm, connect, connect, warm.
#include "base/clock.h"
#include "base/err_text.h"
#include "base/hist.h"
#include "bench/hot/hot_bench.h"
#include "bench/hot/mqtt_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mode { WARM, CONNECT, MODES };

struct reuse {
    const struct hot_bench_config *config;
    struct hot_pool *pool;
    enum mode mode;
    int64_t until_ns;
    struct hist **times[MODES]; // of each thread
    void *memory;
    _Atomic int64_t failed;
    _Atomic int last_code;
    int64_t took_ns[MODES];
};

static int publish_warm(struct reuse *reuse)
{
    struct hot_connection *connection;
    int code = hot_checkout(reuse->pool, reuse->config->target, 10 * NS_PER_S, &connection, NULL);
    if (code < 0)
        return code;
    code = mqtt_client_publish(mqtt_pool_client(connection));
    hot_return(reuse->pool, connection, code < 0 ? HOT_BROKEN : HOT_WORKS);
    return code;
}

static int publish_and_connect(struct reuse *reuse)
{
    struct mqtt_client *client;
    int code = mqtt_client_open(&client, reuse->config->target, clock_now_ns() + 10 * NS_PER_S);
    if (code < 0)
        return code;
    code = mqtt_client_publish(client);
    mqtt_client_close(client);
    return code;
}

static void work(void *context, int number)
{
    struct reuse *reuse = context;
    int64_t from_ns;
    while ((from_ns = clock_now_ns()) < reuse->until_ns) {
        int code = reuse->mode == WARM ? publish_warm(reuse) : publish_and_connect(reuse);
        if (code == 0) {
            hist_add(reuse->times[reuse->mode][number], clock_now_ns() - from_ns);
        } else {
            atomic_fetch_add(&reuse->failed, 1);
            atomic_store(&reuse->last_code, code);
        }
    }
}

static int play_phase(struct reuse *reuse, enum mode mode)
{
    struct crew *crew = NULL;
    reuse->mode = mode;
    int code = crew_start(&crew, (int)reuse->config->threads, work, reuse);
    if (!crew)
        return code;
    int64_t from_ns = clock_now_ns();
    reuse->until_ns = code == 0 ? from_ns + reuse->config->phase_ns : 0;
    crew_go(crew);
    crew_join(crew);
    reuse->took_ns[mode] += clock_now_ns() - from_ns;
    return code;
}

// Makes a histogram for each thread and mode; the first of a mode takes the sum in the end.
static int make_times(struct reuse *reuse)
{
    size_t threads = (size_t)reuse->config->threads;
    char *memory = aligned_alloc(64, MODES * threads * hist_bytes());
    struct hist **all = calloc(MODES * threads, sizeof *all);
    reuse->memory = memory;
    reuse->times[WARM] = all;
    if (!memory || !all)
        return -ENOMEM;
    memset(memory, 0, MODES * threads * hist_bytes());
    for (size_t i = 0; i < MODES * threads; i++)
        all[i] = hist_init(memory + i * hist_bytes());
    reuse->times[CONNECT] = all + threads;
    return 0;
}

static double report_mode(const struct reuse *reuse, enum mode mode, const char *const names[4],
                          json_t *metrics)
{
    struct hist *sum = reuse->times[mode][0];
    for (int64_t i = 1; i < reuse->config->threads; i++)
        hist_merge(sum, reuse->times[mode][i]);
    double per_s = (double)hist_count(sum) / ((double)reuse->took_ns[mode] * 1e-9);
    hot_bench_add(metrics, names[0], per_s);
    if (hist_percentile_known(sum, 50) >= 0)
        hot_bench_add(metrics, names[1], (double)hist_percentile(sum, 50));
    if (hist_percentile_known(sum, 99) >= 0)
        hot_bench_add(metrics, names[2], (double)hist_percentile(sum, 99));
    if (hist_count(sum) > 0)
        hot_bench_add(metrics, names[3], (double)hist_max(sum));
    return per_s;
}

static void report(const struct reuse *reuse, json_t *metrics)
{
    static const char *const warm[] = {"reuse.warm_per_s", "reuse.warm_ns.p50", "reuse.warm_ns.p99",
                                       "reuse.warm_ns.max"};
    static const char *const each[] = {"reuse.connect_per_s", "reuse.connect_ns.p50", "reuse.connect_ns.p99",
                                       "reuse.connect_ns.max"};
    struct hot_stats stats;
    double warm_per_s = report_mode(reuse, WARM, warm, metrics);
    double connect_per_s = report_mode(reuse, CONNECT, each, metrics);
    if (connect_per_s > 0)
        hot_bench_add(metrics, "reuse.ratio", warm_per_s / connect_per_s);
    hot_stats(reuse->pool, &stats);
    hot_bench_add(metrics, "reuse.reused_percent", stats.reuse_percent);
    hot_bench_add(metrics, "reuse.failed", (double)atomic_load(&reuse->failed));
}

int hot_reuse(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
              struct err *err)
{
    static const enum mode order[] = {WARM, CONNECT, CONNECT, WARM};
    struct reuse reuse = {.config = config};
    struct hot_config pool = mqtt_pool_config((int)config->threads, (int)config->threads);
    (void)contender;
    int code = make_times(&reuse);
    if (code == 0)
        code = hot_open(&reuse.pool, &pool, err);
    if (code == 0)
        code = hot_warm(reuse.pool, config->target, (int)config->threads, 10 * NS_PER_S, err);
    for (size_t i = 0; i < sizeof order / sizeof order[0] && code == 0; i++)
        code = play_phase(&reuse, order[i]);
    if (code == 0) {
        report(&reuse, metrics);
        if (atomic_load(&reuse.failed) > 0)
            code = err_set(err, atomic_load(&reuse.last_code), "%lld publishes failed, the last: %s",
                           (long long)atomic_load(&reuse.failed), strerror(-atomic_load(&reuse.last_code)));
    }
    (void)!hot_close(reuse.pool, 10 * NS_PER_S);
    free(reuse.times[WARM]);
    free(reuse.memory);
    return code;
}
