// SPDX-License-Identifier: Apache-2.0
// Times of single calls, for distributions down to nanoseconds: kept in memory that is there beforehand (a
// histogram's own counts would fault and miss in the measured path), then put into an HdrHistogram (1 ns to 1
// h, 3 digits) whose percentiles become counters of the benchmark. One thread at a time.
#ifndef POOLMARK_BENCH_LATENCY_H
#define POOLMARK_BENCH_LATENCY_H

#include "bench/gbench.h"

#include <stdint.h>

struct latency {
    uint32_t *ns; // from bench_map; a longer time than 4.29 s counts as that
    int64_t count, capacity;
};

// Skips the run when there is no memory.
void latency_init(struct latency *latency, struct gb_state *state, int64_t capacity);
void latency_free(struct latency *latency);

static inline void latency_add(struct latency *latency, int64_t ns)
{
    if (latency->count < latency->capacity)
        latency->ns[latency->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

// The books of a source of samples, as counters: samples_due = samples_measured + samples_left_out +
// samples_failed, each counted by itself. Left out are those of which it was known before they began that
// they would not count. Skips the run when it does not balance.
void latency_report_books(struct gb_state *state, int64_t due, int64_t measured, int64_t left_out,
                          int64_t failed);

// Counters PREFIXp50_ns, p90, p99, p99_9, p99_99, p99_999 and longest_ns.
void latency_report(const struct latency *latency, struct gb_state *state, const char *prefix);
// Of all samples of `count` of them, which lie `stride` bytes apart.
void latency_report_many(const void *first, size_t count, size_t stride, struct gb_state *state,
                         const char *prefix);

#endif
