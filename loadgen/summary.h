// SPDX-License-Identifier: Apache-2.0
// What a run came to: metrics into the record, a table for people on stdout.
//
// Scenarios put rows in as they go; a row is a metric of the record and a line of the table.
// results/README.md lists the metrics.
#ifndef POOLMARK_LOADGEN_SUMMARY_H
#define POOLMARK_LOADGEN_SUMMARY_H

#include "loadgen/limit.h"
#include "loadgen/run.h"

enum { SUMMARY_ROWS_MAX = 128, SUMMARY_READINGS_MAX = 4 };

// The rule of percentiles, as the record has it in summary.percentiles: records without it have one of any
// number of samples.
#define SUMMARY_PERCENTILES "of at least 1 / (1 - p) samples"

struct summary_row {
    char name[48];
    double value;
    const char *unit, *better;
    char why[64]; // it is not known; "": no reason to give
};

struct summary {
    struct summary_row rows[SUMMARY_ROWS_MAX];
    int count;
    struct { // the lines of memory.csv that figures of memory are of
        const char *name;
        int64_t at_ns;
    } readings[SUMMARY_READINGS_MAX];
    int reading_count;
    struct limit limit; // `why` is empty: nothing was judged
};

void summary_add(struct summary *summary, const char *name, double value, const char *unit,
                 const char *better);

// A percentile, by the rule that the record names (summary.percentiles): of too few samples it is not known.
void summary_add_percentile(struct summary *summary, const char *name, const struct hist *hist,
                            double percent, const char *better);

// PREFIX.p50, .p99, .p99_9, .max, .mean (ns, lower), .count and .censored; nothing for an empty histogram.
void summary_add_latency(struct summary *summary, const char *prefix, const struct hist *hist,
                         int64_t censored);

// Names a reading, so that whoever verifies the record finds its line in memory.csv: "start", "low", "full".
void summary_add_reading(struct summary *summary, const char *name, const struct sample *sample);

// memory.*, kernel.*, cpu.* and generator.* from three samples: before, at a tenth (may be NULL), with all.
// Memory that grew by no more than two readings of a level target may differ gives no slope, and an anomaly
// of `run` says so (its record may be NULL).
void summary_add_memory(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *tenth, const struct sample *full);

// memory.start_*, memory.full_*: private memory is judged, or the first of PSS and RSS that every reading has
// when it cannot be read, which an anomaly says; those that were read stand beside.
void summary_add_levels(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *full);

// clients.*, and what the generator could not keep up with (lag), as anomalies of the run too.
void summary_add_clients(struct summary *summary, struct run *run);

// Everything into the record (may be NULL), and as a table to `to` (may be NULL).
void summary_write(const struct summary *summary, const struct run *run, FILE *to);

// {"timeout": 3, ...}: reasons with a count that is not zero.
json_t *summary_reasons(const int64_t counts[REASON_COUNT]);

#endif
