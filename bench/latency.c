// SPDX-License-Identifier: Apache-2.0
#include "bench/latency.h"

#include "base/hist.h"
#include "bench/workload.h"

#include <hdr_histogram.h>
#include <stdio.h>

#define LOWEST_NS 1
#define HIGHEST_NS INT64_C(3600000000000)

void latency_init(struct latency *latency, struct gb_state *state, int64_t capacity)
{
    *latency = (struct latency){.capacity = capacity};
    latency->ns = bench_map(state, (size_t)capacity * sizeof *latency->ns);
}

void latency_free(struct latency *latency)
{
    bench_unmap(latency->ns, (size_t)latency->capacity * sizeof *latency->ns);
}

void latency_report(const struct latency *latency, struct gb_state *state, const char *prefix)
{
    latency_report_many(latency, 1, 0, state, prefix);
}

void latency_report_many(const void *first, size_t count, size_t stride, struct gb_state *state,
                         const char *prefix)
{
    static const struct {
        const char *name;
        double percent;
    } percentiles[] = {{"p50_ns", 50},       {"p90_ns", 90},         {"p99_ns", 99},     {"p99_9_ns", 99.9},
                       {"p99_99_ns", 99.99}, {"p99_999_ns", 99.999}, {"longest_ns", 100}};
    struct hdr_histogram *histogram;
    int64_t samples = 0, longer = 0;
    if (hdr_init(LOWEST_NS, HIGHEST_NS, 3, &histogram) != 0) {
        gb_skip(state, "no memory for a histogram");
        return;
    }
    for (size_t at = 0; at < count; at++) {
        const struct latency *latency =
            (const struct latency *)(const void *)((const char *)first + at * stride);
        samples += latency->count;
        longer += latency->longer;
        for (int64_t i = 0; i < latency->count; i++)
            hdr_record_value(histogram, latency->ns[i]);
    }
    if (longer > 0) {
        char text[100];
        snprintf(text, sizeof text, "%lld calls took more than 4.29 s, the longest that is measured",
                 (long long)longer);
        gb_skip(state, text);
    }
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        if (samples < hist_percentile_takes(percentiles[i].percent))
            continue;
        char name[48];
        snprintf(name, sizeof name, "%s%s", prefix, percentiles[i].name);
        gb_set_counter(state, name, (double)hdr_value_at_percentile(histogram, percentiles[i].percent),
                       GB_COUNTER_SUM);
    }
    hdr_close(histogram);
}

void latency_report_books(struct gb_state *state, int64_t due, int64_t measured, int64_t left_out,
                          int64_t failed)
{
    if (due != measured + left_out + failed) {
        char text[160];
        snprintf(text, sizeof text, "of %lld samples %lld were measured, %lld left out, %lld failed",
                 (long long)due, (long long)measured, (long long)left_out, (long long)failed);
        gb_skip(state, text);
    }
    gb_set_counter(state, "samples_due", (double)due, GB_COUNTER_SUM);
    gb_set_counter(state, "samples_measured", (double)measured, GB_COUNTER_SUM);
    gb_set_counter(state, "samples_left_out", (double)left_out, GB_COUNTER_SUM);
    gb_set_counter(state, "samples_failed", (double)failed, GB_COUNTER_SUM);
}
