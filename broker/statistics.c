// SPDX-License-Identifier: Apache-2.0
#include "broker/statistics.h"

#include "base/heap.h"
#include "base/procmem.h"

#include <inttypes.h>
#include <unistd.h>

double statistics_hit_rate(const struct pool_stats *stats)
{
    return stats->gets > 0 ? (double)stats->hits / (double)stats->gets : 1.0;
}

void statistics_print(const struct broker_statistics *statistics, const struct pool_set *pools, FILE *to)
{
    const struct broker_counts *counts = &statistics->counts;
    fprintf(to,
            "connections %" PRId64 ", sessions %" PRId64 ", subscriptions %" PRId64 ", retained %" PRId64
            "\n",
            statistics->connections, statistics->sessions, statistics->subscriptions, statistics->retained);
#define X(name, help) fprintf(to, "%-22s %12" PRId64 "  %s\n", #name, counts->name, help);
    BROKER_COUNTERS(X)
#undef X
    fprintf(to,
            "%-22s %12" PRId64 "  bytes held for clients, of a limit of %" PRId64 "; most so far %" PRId64
            "\n",
            "memory", statistics->memory.sum, statistics->memory.limit, statistics->memory.peak);
#define X(NAME, name, help)                                                                                  \
    fprintf(to, "%-22s %12" PRId64 "  " help "\n", "memory_" #name, statistics->memory.bytes[ACCOUNT_##NAME]);
    ACCOUNTS(X)
#undef X
    pool_set_report_table(pools, to);
    fprintf(to, "end of statistics\n");
}

static void print_gauge(FILE *to, const char *name, const char *help, int64_t value)
{
    fprintf(to, "# HELP poolmark_%s %s\n# TYPE poolmark_%s gauge\npoolmark_%s %" PRId64 "\n", name, help,
            name, name, value);
}

struct pool_metric {
    const char *name, *help;
    size_t offset;
    bool is_counter;
    double divisor; // from the field to the metric; 0: a count, as it is
};

#define AT(field) offsetof(struct pool_stats, field)
static const struct pool_metric pool_metrics[] = {
    {"owned_objects", "objects whose memory the pool has", AT(owned), false, 0},
    {"in_use_objects", "objects got and not put", AT(in_use), false, 0},
    {"peak_in_use_objects", "most objects in use so far", AT(peak_in_use), false, 0},
    {"owned_bytes", "bytes that the pool took for itself", AT(bytes_owned), false, 0},
    {"overhead_bytes", "bytes owned that are not object memory", AT(overhead_bytes), false, 0},
    {"longest_expansion_seconds", "longest expansion so far", AT(longest_expansion_ns), false, 1e9},
    {"gets_total", "objects asked for", AT(gets), true, 0},
    {"puts_total", "objects given back", AT(puts), true, 0},
    {"hits_total", "gets served from what the pool owned", AT(hits), true, 0},
    {"misses_total", "gets that had to allocate", AT(misses), true, 0},
    {"overflow_total", "gets past the pool's bound, served by the heap", AT(overflow), true, 0},
    {"refused_total", "gets refused because of the pool's bound", AT(refused), true, 0},
    {"failed_total", "gets that found no memory", AT(failed), true, 0},
    {"expansions_total", "expansions", AT(expansions), true, 0},
    {"shrinks_total", "shrinks", AT(shrinks), true, 0},
};
#undef AT

static void print_pools(const struct broker_statistics *statistics, const struct broker_config *config,
                        FILE *to)
{
    for (size_t m = 0; m < sizeof pool_metrics / sizeof pool_metrics[0]; m++) {
        const struct pool_metric *metric = &pool_metrics[m];
        fprintf(to, "# HELP poolmark_pool_%s %s\n# TYPE poolmark_pool_%s %s\n", metric->name, metric->help,
                metric->name, metric->is_counter ? "counter" : "gauge");
        for (int i = 0; i < BROKER_POOL_COUNT; i++) {
            const int64_t *value = (const int64_t *)((const char *)&statistics->pools[i] + metric->offset);
            fprintf(to, "poolmark_pool_%s{pool=\"%s\",strategy=\"%s\"} ", metric->name,
                    broker_pool_name((enum broker_pool)i), pool_strategy_name(config->pools[i].strategy));
            if (metric->divisor > 0)
                fprintf(to, "%.9g\n", (double)*value / metric->divisor);
            else
                fprintf(to, "%" PRId64 "\n", *value);
        }
    }
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
    print_process(to);
}
