// SPDX-License-Identifier: Apache-2.0
// Times of single calls, for distributions down to nanoseconds. They are kept in memory mapped beforehand,
// since a histogram's counts would cause faults and cache misses in the measured path. Afterwards they go
// into an HdrHistogram (1 ns to 1 h, 3 digits), whose percentiles become counters of the benchmark. One
// thread at a time.
#ifndef POOLMARK_BENCH_LATENCY_H
#define POOLMARK_BENCH_LATENCY_H

#include "bench/gbench.h"

#include <stdint.h>

struct latency {
    uint32_t *ns; // from bench_map
    int64_t count, capacity;
    int64_t longer; // times of more than 4.29 s, which have no place in `ns`: such a run has no figure
};

// Skips the run when there is no memory.
void latency_init(struct latency *latency, struct gb_state *state, int64_t capacity);
void latency_free(struct latency *latency);

static inline void latency_add(struct latency *latency, int64_t ns)
{
    if (latency->count == latency->capacity)
        return;
    latency->longer += ns > UINT32_MAX;
    latency->ns[latency->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

// Reports the books of a source of samples as counters: samples_due = samples_measured + samples_left_out +
// samples_failed, each counted separately. Left out are samples known not to count before they began. Skips
// the run when the books do not balance.
void latency_report_books(struct gb_state *state, int64_t due, int64_t measured, int64_t left_out,
                          int64_t failed);

// Counters PREFIXp50_ns, p90, p99, p99_9, p99_99, p99_999 and longest_ns. A percentile p takes 1 / (1 - p) samples; with fewer
// it would be the longest by another name, and is not there. Skips the run when a time was too long to be kept.
void latency_report(const struct latency *latency, struct gb_state *state, const char *prefix);
// The same over the samples of `count` structs, which are `stride` bytes apart.
void latency_report_many(const void *first, size_t count, size_t stride, struct gb_state *state,
                         const char *prefix);

#endif
