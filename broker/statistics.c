// SPDX-License-Identifier: Apache-2.0
#include "broker/statistics.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/procmem.h"
#include "broker/relief.h"
#include "pools/pool_page.h"

#include <inttypes.h>
#include <unistd.h>

double statistics_hit_rate(const struct pool_stats *stats)
{
    return stats->gets > 0 ? (double)stats->hits / (double)stats->gets : 1.0;
}

void statistics_print(const struct broker_statistics *statistics, const struct pool_set *pools,
                      const struct bytes *bytes, FILE *to)
{
    const struct broker_counts *counts = &statistics->counts;
    fprintf(to,
            "connections %" PRId64 ", sessions %" PRId64 ", subscriptions %" PRId64 ", retained %" PRId64
            "\n",
            statistics->connections, statistics->sessions, statistics->subscriptions, statistics->retained);
#define X(name, help) fprintf(to, "%-22s %12" PRId64 "  %s\n", #name, counts->name, help);
    BROKER_COUNTERS(X)
#undef X
    fprintf(to, "%-22s %12" PRId64 "  longest turn of a loop, in us of its processor time\n",
            "longest_turn_us", statistics->longest_turn_ns / NS_PER_US);
    fprintf(to, "%-22s %12" PRId64 "  most work of a turn, in units of about 0.2 us\n", "turn_work",
            statistics->most_work);
    fprintf(to,
            "%-22s %12" PRId64 "  bytes held for clients, of a limit of %" PRId64 "; most so far %" PRId64
            "\n",
            "memory", statistics->memory.sum, statistics->memory.limit, statistics->memory.peak);
#define X(NAME, name, help)                                                                                  \
    fprintf(to, "%-22s %12" PRId64 "  " help "\n", "memory_" #name, statistics->memory.bytes[ACCOUNT_##NAME]);
    ACCOUNTS(X)
#undef X
    if (statistics->pressure.sources)
        relief_print(&statistics->pressure, to);
    pool_set_report_table(pools, to);
    if (bytes)
        bytes_print(bytes, to);
    fprintf(to, "end of statistics\n");
}

static void print_gauge(FILE *to, const char *name, const char *help, int64_t value)
{
    fprintf(to, "# HELP poolmark_%s %s\n# TYPE poolmark_%s gauge\npoolmark_%s %" PRId64 "\n", name, help,
            name, name, value);
}

static void print_pools(const struct broker_statistics *statistics, const struct broker_config *config,
                        FILE *to)
{
    struct pool_page_row rows[BROKER_POOL_COUNT];
    for (int i = 0; i < BROKER_POOL_COUNT; i++)
        rows[i] = (struct pool_page_row){.name = broker_pool_name((enum broker_pool)i),
                                         .strategy = pool_strategy_name(config->pools[i].strategy),
                                         .object_bytes = config->pools[i].config.object_bytes,
                                         .stats = statistics->pools[i]};
    pool_page_prometheus(rows, BROKER_POOL_COUNT, to);
}

// Leaves out values that cannot be read; Prometheus supports absent series.
static void print_process(FILE *to)
{
    struct procmem memory;
    if (procmem_read_quick(getpid(), &memory) == 0)
        print_gauge(to, "process_resident_bytes", "resident memory of the broker", memory.rss_bytes);
    struct heap_stats heap = heap_read();
    if (heap.in_use_bytes >= 0)
        print_gauge(to, "heap_in_use_bytes", "handed out by the allocator and not freed", heap.in_use_bytes);
    if (heap.mapped_bytes >= 0)
        print_gauge(to, "heap_mapped_bytes", "taken from the system by the allocator", heap.mapped_bytes);
}

static void print_memory(const struct broker_statistics *statistics, FILE *to)
{
    print_gauge(to, "broker_memory_bytes", "held for clients", statistics->memory.sum);
    print_gauge(to, "broker_memory_peak_bytes", "most held for clients so far", statistics->memory.peak);
    print_gauge(to, "broker_memory_limit_bytes", "most that may be", statistics->memory.limit);
    fprintf(to,
            "# HELP poolmark_broker_memory_refused_total times that the limit refused memory\n"
            "# TYPE poolmark_broker_memory_refused_total counter\n"
            "poolmark_broker_memory_refused_total %" PRId64 "\n",
            statistics->memory.refused);
    fprintf(to, "# HELP poolmark_broker_memory_kind_bytes held for clients, by what it is for\n"
                "# TYPE poolmark_broker_memory_kind_bytes gauge\n");
#define X(NAME, name, help)                                                                                  \
    fprintf(to, "poolmark_broker_memory_kind_bytes{kind=\"" #name "\"} %" PRId64 "\n",                       \
            statistics->memory.bytes[ACCOUNT_##NAME]);
    ACCOUNTS(X)
#undef X
}

void statistics_print_prometheus(const struct broker_statistics *statistics,
                                 const struct broker_config *config, FILE *to)
{
    print_gauge(to, "broker_connections", "connections now", statistics->connections);
    print_gauge(to, "broker_sessions", "sessions now, clients that are away among them",
                statistics->sessions);
    print_gauge(to, "broker_subscriptions", "subscriptions now", statistics->subscriptions);
    print_gauge(to, "broker_retained_messages", "retained messages now", statistics->retained);
    fprintf(
        to,
        "# HELP poolmark_broker_longest_turn_seconds longest turn of a loop so far, in processor time of its "
        "thread\n# TYPE poolmark_broker_longest_turn_seconds gauge\npoolmark_broker_longest_turn_seconds "
        "%.9f\n",
        (double)statistics->longest_turn_ns / 1e9);
    print_gauge(to, "broker_turn_work", "most work of a turn so far, in units of about 0.2 us",
                statistics->most_work);
#define X(name, help)                                                                                        \
    fprintf(to,                                                                                              \
            "# HELP poolmark_broker_" #name "_total " help "\n# TYPE poolmark_broker_" #name                 \
            "_total counter\n"                                                                               \
            "poolmark_broker_" #name "_total %" PRId64 "\n",                                                 \
            statistics->counts.name);
    BROKER_COUNTERS(X)
#undef X
    print_memory(statistics, to);
    print_pools(statistics, config, to);
    if (statistics->pressure.sources)
        relief_print_prometheus(&statistics->pressure, to);
    print_process(to);
}
