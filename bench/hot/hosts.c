// SPDX-License-Identifier: Apache-2.0
// The memory cost of connections in their client. `memory`: many connections to one host, warm. `hosts`: one
// connection to each of many loopback addresses, checked out, used and returned in cycles.
#include "base/clock.h"
#include "base/err_text.h"
#include "base/heap.h"
#include "base/procmem.h"
#include "bench/hot/hot_bench.h"
#include "bench/hot/mqtt_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVEL_BYTES = 2 << 16 };
enum { NAME_BYTES = 32, HOST_MAX = 10, SLICE = 250, FAILED_MAX = 50 };

static int read_private(int64_t *bytes)
{
    struct procmem memory;
    int code = procmem_read(getpid(), &memory);
    *bytes = memory.private_bytes;
    return code < 0 ? code : memory.rollup_error;
}

int hot_memory(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
               struct err *err)
{
    int count = (int)config->connections;
    struct hot_config pool_config = mqtt_pool_config(count, count);
    struct hot_pool *pool = NULL;
    int64_t before = 0, after = 0;
    (void)contender;
    heap_trim(); // memory left by an earlier run would be used first
    int code = hot_open(&pool, &pool_config, err);
    // The threads of the pool exist, with their stacks, before the first reading.
    if (code == 0)
        code = hot_warm(pool, config->target, count < pool_config.openers ? count : pool_config.openers,
                        10 * NS_PER_S, err);
    int few = count < pool_config.openers ? count : pool_config.openers;
    int64_t heap_before = heap_read().in_use_bytes;
    if (code == 0)
        code = read_private(&before);
    if (code == 0)
        code = hot_warm(pool, config->target, count, 60 * NS_PER_S, err);
    if (code == 0)
        code = read_private(&after);
    if (code == 0 && count > few) {
        int64_t heap_after = heap_read().in_use_bytes;
        hot_bench_add(metrics, "memory.connections", count);
        if (after - before > LEVEL_BYTES) // less is chance, as two readings of a process at rest differ
            hot_bench_add(metrics, "memory.per_connection_bytes", (double)(after - before) / (count - few));
        if (heap_before >= 0 && heap_after >= 0)
            hot_bench_add(metrics, "memory.heap_per_connection_bytes",
                          (double)(heap_after - heap_before) / (count - few));
    }
    (void)!hot_close(pool, 10 * NS_PER_S);
    return code;
}

// The target, and in addition 127.1.0.2, 127.1.0.3 and so on, each a separate host.
static void name_host(char name[static NAME_BYTES], int64_t number, const char *target)
{
    const char *port = strrchr(target, ':');
    if (number == 0)
        snprintf(name, NAME_BYTES, "%s", target);
    else
        snprintf(name, NAME_BYTES, "127.1.%d.%d%s", (int)(number / SLICE), 1 + (int)(number % SLICE),
                 port ? port : "");
}

struct cycle {
    const struct hot_bench_config *config;
    struct hot_pool *pool;
    _Atomic int64_t next, failed;
    _Atomic int last_code;
};

// The threads divide the hosts among them.
static void visit_hosts(void *context, int thread)
{
    struct cycle *cycle = context;
    char name[NAME_BYTES];
    int64_t host;
    (void)thread;
    while (atomic_load(&cycle->failed) < FAILED_MAX &&
           (host = atomic_fetch_add(&cycle->next, 1)) < cycle->config->hosts) {
        struct hot_connection *connection;
        name_host(name, host, cycle->config->target);
        int code = hot_checkout(cycle->pool, name, 10 * NS_PER_S, &connection, NULL);
        if (code == 0) {
            code = mqtt_client_publish(mqtt_pool_client(connection));
            hot_return(cycle->pool, connection, code < 0 ? HOT_BROKEN : HOT_WORKS);
        }
        if (code < 0) {
            atomic_fetch_add(&cycle->failed, 1);
            atomic_store(&cycle->last_code, code);
        }
    }
}

static int run_cycle(struct cycle *cycle)
{
    struct crew *crew = NULL;
    atomic_store(&cycle->next, 0);
    int code = crew_start(&crew, (int)cycle->config->threads, visit_hosts, cycle);
    if (crew) {
        crew_go(crew);
        crew_join(crew);
    }
    return code;
}

int hot_hosts(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
              struct err *err)
{
    struct cycle cycle = {.config = config};
    struct hot_config pool_config = mqtt_pool_config((int)config->hosts, HOST_MAX);
    struct hot_stats stats;
    int64_t warm = 0, end = 0;
    (void)contender;
    int code = hot_open(&cycle.pool, &pool_config, err);
    for (int i = 0; i < 2 && code == 0;
         i++) { // the first cycle connects, the second is the first that reuses
        code = run_cycle(&cycle);
        if (code == 0 && atomic_load(&cycle.failed) > 0)
            code = err_set(err, atomic_load(&cycle.last_code),
                           "hosts: %lld of %lld hosts did not answer (%s): the broker has to listen on "
                           "0.0.0.0, in a network namespace or behind a firewall",
                           (long long)atomic_load(&cycle.failed), (long long)config->hosts,
                           strerror(-atomic_load(&cycle.last_code)));
    }
    if (code == 0)
        code = read_private(&warm);
    for (int64_t i = 0; i < config->cycles && code == 0; i++)
        code = run_cycle(&cycle);
    if (code == 0)
        code = read_private(&end);
    if (code == 0) {
        hot_stats(cycle.pool, &stats);
        hot_bench_add(metrics, "hosts.growth_percent", 100.0 * (double)(end - warm) / (double)warm);
        hot_bench_add(metrics, "hosts.warm_bytes", (double)warm);
        hot_bench_add(metrics, "hosts.connections", (double)stats.total);
        hot_bench_add(metrics, "hosts.created", (double)stats.created);
        hot_bench_add(metrics, "hosts.failed", (double)atomic_load(&cycle.failed));
        if (atomic_load(&cycle.failed) > 0)
            code = err_set(err, atomic_load(&cycle.last_code), "%lld publishes failed, the last: %s",
                           (long long)atomic_load(&cycle.failed), strerror(-atomic_load(&cycle.last_code)));
    }
    (void)!hot_close(cycle.pool, 10 * NS_PER_S);
    return code;
}
