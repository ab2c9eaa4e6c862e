// SPDX-License-Identifier: Apache-2.0
// Latency histograms: HdrHistogram over nanoseconds, 1 us to 1 hour at 3 significant digits, in memory that
// the caller may share between processes, and the HdrHistogram interval log (version 1.3, read by every HDR
// tool).
//
// A histogram has one writer at a time. Anyone, in this process or another, may meanwhile merge it into one
// of their own, and ask for its count, clipped, min and max: these may lag a little and are exact after the
// writer has stopped. Mean, deviation and percentiles walk the counts: ask them of a merged copy, or when the
// writer has stopped.
#ifndef POOLMARK_BASE_HIST_H
#define POOLMARK_BASE_HIST_H

#include "base/csv.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hist; // lives in caller's memory: position-independent, may be mapped at different addresses
struct hist_log;

size_t hist_bytes(void); // what one histogram takes, a multiple of 64

// Makes an empty histogram in `memory` (hist_bytes() of it, zeroed, 64-byte aligned).
struct hist *hist_init(void *memory);

// One value in ns. Below 2 us it is kept to the nanosecond; above 1 hour it counts as 1 hour and below 0 as
// 0, and is counted in hist_clipped().
void hist_add(struct hist *hist, int64_t value_ns);

// Values that one step of the histogram holds, so that they are counted by one update: `count` of them, the
// smallest and the largest.
bool hist_same_step(int64_t a_ns, int64_t b_ns);
void hist_add_run(struct hist *hist, int64_t min_ns, int64_t max_ns, int64_t count);

void hist_merge(struct hist *to, const struct hist *from);
void hist_reset(struct hist *hist);
int64_t hist_count(const struct hist *hist);
int64_t hist_clipped(const struct hist *hist);
// Exact, 0 when empty; as are mean and deviation (to 3 digits).
int64_t hist_min(const struct hist *hist);
int64_t hist_max(const struct hist *hist);
double hist_mean(const struct hist *hist);
double hist_stddev(const struct hist *hist);
int64_t hist_percentile(const struct hist *hist, double percent); // 0 to 100; 0 when empty
// How many samples a percentile takes: 2 for 50, 100 for 99, 1000 for 99.9. Of fewer it is the maximum by
// another name.
int64_t hist_percentile_takes(double percent);
// -1 when there are fewer than that.
int64_t hist_percentile_known(const struct hist *hist, double percent);

// An interval log: header first, one line an interval and tag, flushed as it goes.
// `start_wall_ns` is the log's base time. Tags are plain words (connect, ack, delivery, delivery_raw).
int hist_log_open(struct hist_log **log, const char *path, int64_t start_wall_ns, struct err *err)
    __attribute__((warn_unused_result));
int hist_log_write(struct hist_log *log, const char *tag, int64_t from_wall_ns, int64_t to_wall_ns,
                   const struct hist *hist);
// The first -errno met when a line is lost, or 0. `account` (may be NULL) gets the lines: base/csv.h.
int hist_log_close(struct hist_log *log, struct csv_account *account);

#endif
