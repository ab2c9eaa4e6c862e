// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_page.h"

#include <inttypes.h>

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

static void print_label(const char *value, FILE *to)
{
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", to);
        else if (*value == '\\' || *value == '"')
            fprintf(to, "\\%c", *value);
        else
            fputc(*value, to);
    }
}

void pool_page_prometheus(const struct pool_page_row *rows, size_t count, FILE *to)
{
    for (size_t m = 0; m < sizeof pool_metrics / sizeof pool_metrics[0]; m++) {
        const struct pool_metric *metric = &pool_metrics[m];
        fprintf(to, "# HELP poolmark_pool_%s %s\n# TYPE poolmark_pool_%s %s\n", metric->name, metric->help,
                metric->name, metric->is_counter ? "counter" : "gauge");
        for (size_t i = 0; i < count; i++) {
            if (rows[i].stats.unknown)
                continue;
            const int64_t *value =
                (const int64_t *)(const void *)((const char *)&rows[i].stats + metric->offset);
            fprintf(to, "poolmark_pool_%s{pool=\"", metric->name);
            print_label(rows[i].name, to);
            fprintf(to, "\",strategy=\"%s\"} ", rows[i].strategy);
            if (metric->divisor > 0)
                fprintf(to, "%.9g\n", (double)*value / metric->divisor);
            else
                fprintf(to, "%" PRId64 "\n", *value);
        }
    }
}

void pool_page_text(const struct pool_page_row *rows, size_t count, FILE *to)
{
    fprintf(to, "%-20s %-8s %8s %10s %10s %10s %10s %12s %12s %10s %10s %10s %14s\n", "pool", "strategy",
            "object B", "max", "owned", "in use", "peak", "gets", "hits", "overflow", "refused", "failed",
            "bytes owned");
    for (size_t i = 0; i < count; i++) {
        const struct pool_stats *s = &rows[i].stats;
        if (s->unknown) {
            fprintf(to, "%-20s %-8s %8zu it keeps no statistics\n", rows[i].name, rows[i].strategy,
                    rows[i].object_bytes);
            continue;
        }
        fprintf(to,
                "%-20s %-8s %8zu %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %12" PRId64
                " %12" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %14" PRId64 "%s\n",
                rows[i].name, rows[i].strategy, rows[i].object_bytes, s->max, s->owned, s->in_use,
                s->peak_in_use, s->gets, s->hits, s->overflow, s->refused, s->failed, s->bytes_owned,
                s->draining ? "  draining" : "");
    }
}
