// SPDX-License-Identifier: Apache-2.0
// Latency histograms: HdrHistogram over nanoseconds, 1 us to 1 hour at 3 significant digits. The caller
// provides the memory, which processes may share. Also the HdrHistogram interval log (version 1.3, read by
// every HDR tool).
//
// A histogram has one writer at a time. Meanwhile any thread or process may merge it into its own histogram,
// and read count, clipped, min and max. These may lag a little and are exact after the writer has stopped.
// Mean, deviation and percentiles walk the counts: read them from a merged copy, or after the writer has
// stopped.
#ifndef POOLMARK_BASE_HIST_H
#define POOLMARK_BASE_HIST_H

#include "base/csv.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A longer value counts as this one: at it, and above, nothing is known but that it took so long.
#define HIST_HIGHEST_NS INT64_C(3600000000000)

struct hist; // lives in caller's memory: position-independent, may be mapped at different addresses
struct hist_log;

size_t hist_bytes(void); // size of one histogram, a multiple of 64

// Makes an empty histogram in `memory` (hist_bytes() of it, zeroed, 64-byte aligned).
struct hist *hist_init(void *memory);

// Adds a value in ns. Values below 2 us keep every nanosecond. Values above 1 hour count as 1 hour, those
// below 0 as 0; hist_clipped() counts both.
void hist_add(struct hist *hist, int64_t value_ns);

// True when one step of the histogram holds both values. hist_add_run adds `count` values of one step in one
// update, given the smallest and the largest.
bool hist_same_step(int64_t a_ns, int64_t b_ns);
void hist_add_run(struct hist *hist, int64_t min_ns, int64_t max_ns, int64_t count);

void hist_merge(struct hist *to, const struct hist *from);
void hist_reset(struct hist *hist);

// The histogram as text for another host: its exact values, and its counts as HdrHistogram encodes them (compressed, base 64).
// To be freed; NULL when out of memory.
char *hist_encode(const struct hist *hist);
// Adds such a histogram. -EINVAL for any other text, -ENOMEM; `to` is then as it was.
int hist_merge_encoded(struct hist *to, const char *text) __attribute__((warn_unused_result));

int64_t hist_count(const struct hist *hist);
int64_t hist_clipped(const struct hist *hist);
// 0 when empty. Min and max are exact; mean and deviation have 3 digits.
int64_t hist_min(const struct hist *hist);
int64_t hist_max(const struct hist *hist);
double hist_mean(const struct hist *hist);
double hist_stddev(const struct hist *hist);
int64_t hist_percentile(const struct hist *hist, double percent); // 0 to 100; 0 when empty
// Of `count` sorted samples the one that is the percentile, 1 and up: HdrHistogram's rank, percent * count / 100 to the nearest.
int64_t hist_percentile_rank(int64_t count, double percent);
// The samples that a percentile needs: 2 for 50, 100 for 99, 1000 for 99.9. With fewer the percentile is
// just the maximum.
int64_t hist_percentile_takes(double percent);
// The percentile; -1 when there are too few samples for it.
int64_t hist_percentile_known(const struct hist *hist, double percent);

// Writes a new file of the percentiles, in milliseconds, in the format of HdrHistogram's own printer (.hgrm):
// what its plotters read. A file that could not be written whole is taken away. -errno with the text.
int hist_write_percentiles(const struct hist *hist, const char *path, struct err *err)
    __attribute__((warn_unused_result));

// An interval log: the header first, then a line for each interval and tag, each written at once.
// `start_wall_ns` is the log's base time. Tags are plain words (connect, ack, delivery, delivery_raw).
int hist_log_open(struct hist_log **log, const char *path, int64_t start_wall_ns, struct err *err)
    __attribute__((warn_unused_result));
int hist_log_write(struct hist_log *log, const char *tag, int64_t from_wall_ns, int64_t to_wall_ns,
                   const struct hist *hist);
// Returns 0, or the first -errno when a line is lost. `account` (may be NULL) gets the lines: base/csv.h.
int hist_log_close(struct hist_log *log, struct csv_account *account);

#endif
