// SPDX-License-Identifier: Apache-2.0
#include "pools/use/pool_report.h"

#include "base/units.h"

#include <inttypes.h>

enum { NAME_BYTES = 256, NUMBER_BYTES = 24 };

// The columns after object_bytes are empty.
static void row_without_statistics(struct csv *csv, int64_t at_ns, const char *quoted, const char *strategy,
                                   size_t object_bytes)
{
    csv_row(csv, "%" PRId64 ",%s,%s,%zu,,,,,,,,,,,,,,,", at_ns, quoted, strategy, object_bytes);
}

void pool_report_row(struct csv *csv, int64_t at_ns, struct pool *pool)
{
    const struct pool_config *config = pool_config_of(pool);
    const char *strategy = pool_strategy_name(pool_strategy_of(pool));
    char name[NAME_BYTES];
    struct pool_stats s;
    pool_stats(pool, &s);
    csv_quote(config->name, name, sizeof name);
    if (s.unknown) {
        row_without_statistics(csv, at_ns, name, strategy, config->object_bytes);
        return;
    }
    csv_row(csv,
            "%" PRId64 ",%s,%s,%zu,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
            ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
            ",%" PRId64,
            at_ns, name, strategy, config->object_bytes, s.owned, s.in_use, s.peak_in_use, s.gets, s.puts,
            s.hits, s.misses, s.overflow, s.refused, s.failed, s.expansions, s.shrinks, s.bytes_owned,
            s.overhead_bytes, s.longest_expansion_ns);
}

static const char *event_name(enum pool_event_kind kind)
{
    static const char *const names[] = {
        [POOL_EVENT_EXPAND] = "expand", [POOL_EVENT_SHRINK] = "shrink", [POOL_EVENT_REFUSE] = "refuse"};
    return names[kind];
}

void pool_report_event_row(struct csv *csv, const char *pool_name, const struct pool_event *event)
{
    char name[NAME_BYTES];
    csv_row(csv, "%" PRId64 ",%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, event->at_ns,
            csv_quote(pool_name, name, sizeof name), event_name(event->kind), event->from, event->to,
            event->trigger, event->duration_ns);
}

char *pool_report_event_line(const char *pool_name, const struct pool_event *event, char *text, size_t size)
{
    snprintf(text, size, "[POOL] %s: %s %" PRId64 "->%" PRId64 " (trigger at %" PRId64 " of %" PRId64 ")",
             pool_name, event_name(event->kind), event->from, event->to, event->trigger, event->from);
    return text;
}

static void table_line(struct pool *pool, FILE *to)
{
    const struct pool_config *config = pool_config_of(pool);
    char object[NUMBER_BYTES], bytes[NUMBER_BYTES], overhead[NUMBER_BYTES], longest[NUMBER_BYTES];
    struct pool_stats s;
    pool_stats(pool, &s);
    if (s.unknown) {
        fprintf(to, "%-12s %-8s %10s it keeps no statistics\n", config->name,
                pool_strategy_name(pool_strategy_of(pool)),
                units_format_bytes((int64_t)config->object_bytes, object, sizeof object));
        return;
    }
    double hit_percent = s.gets ? 100.0 * (double)s.hits / (double)s.gets : 0;
    fprintf(to,
            "%-12s %-8s %10s %10" PRId64 " %10" PRId64 " %10" PRId64 " %12" PRId64 " %6.2f %9" PRId64
            " %8" PRId64 " %8" PRId64 " %6" PRId64 " %10s %10s %10s\n",
            config->name, pool_strategy_name(pool_strategy_of(pool)),
            units_format_bytes((int64_t)config->object_bytes, object, sizeof object), s.owned, s.in_use,
            s.peak_in_use, s.gets, hit_percent, s.overflow, s.refused, s.failed, s.expansions,
            units_format_bytes(s.bytes_owned, bytes, sizeof bytes),
            units_format_bytes(s.overhead_bytes, overhead, sizeof overhead),
            units_format_duration(s.longest_expansion_ns, longest, sizeof longest));
}

void pool_report_table(struct pool *const *pools, size_t count, FILE *to)
{
    fprintf(to, "%-12s %-8s %10s %10s %10s %10s %12s %6s %9s %8s %8s %6s %10s %10s %10s\n", "pool",
            "strategy", "object", "owned", "in use", "peak", "gets", "hit %", "overflow", "refused", "failed",
            "grown", "bytes", "overhead", "longest");
    for (size_t i = 0; i < count; i++)
        table_line(pools[i], to);
}
