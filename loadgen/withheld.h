// SPDX-License-Identifier: Apache-2.0
// Figures that an anomaly withholds: the readings give a number, but it is not what the metric's name says. One
// table has all such anomalies. run_anomaly notes those that were raised, and summary_withhold makes the metrics
// unknown, each with the anomaly's name as the reason. --describe prints the table; verify has the same for
// records (scripts/python/poolmark/verify/withheld.py), and a test compares the two.
//
// Of a run in parts (the phases of a mix) an anomaly may withhold the figures of some parts. Those are in the run's own
// list, and in the record as summary.withheld: {ANOMALY: [beginnings of names]}. Counts of samples (.count, .censored) stay.
#ifndef POOLMARK_LOADGEN_WITHHELD_H
#define POOLMARK_LOADGEN_WITHHELD_H

#include <jansson.h>
#include <stdint.h>

// The bit of an anomaly; 0 when it withholds nothing.
uint64_t withheld_bit(const char *anomaly);

// The first anomaly of `bits` that withholds the metric; NULL when none does.
const char *withheld_by(uint64_t bits, const char *metric);

enum {
    WITHHELD_PARTS_MAX = 512, // a phase and a group in a phase have a few each (MIX_PARTS_MAX)
    WITHHELD_START_BYTES = 64,
};

struct withheld_parts {
    struct withheld_part {
        const char *anomaly; // static
        char start[WITHHELD_START_BYTES];
    } list[WITHHELD_PARTS_MAX];
    int count;
};

// `format` gives the beginning of the metrics' names.
void withheld_add(struct withheld_parts *parts, const char *anomaly, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// All figures that `anomaly` withholds, by another anomaly.
void withheld_add_all(struct withheld_parts *parts, const char *anomaly, const char *by);
// The first anomaly that withholds the metric; NULL when none does.
const char *withheld_part_by(const struct withheld_parts *parts, const char *metric);
json_t *withheld_parts_json(const struct withheld_parts *parts); // a new reference

// {"failed_share": ["cpu.per_", ...], ...}: the beginnings of the names of the metrics. A new reference.
json_t *withheld_describe(void);

#endif
