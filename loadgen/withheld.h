// SPDX-License-Identifier: Apache-2.0
// Figures that an anomaly withholds: the readings give a number, but it is not what the metric's name says. One
// table has all such anomalies. run_anomaly notes those that were raised, and summary_withhold makes the metrics
// unknown, each with the anomaly's name as the reason. --describe prints the table; verify has the same for
// records (scripts/python/poolmark/verify/withheld.py), and a test compares the two.
#ifndef POOLMARK_LOADGEN_WITHHELD_H
#define POOLMARK_LOADGEN_WITHHELD_H

#include <jansson.h>
#include <stdint.h>

// The bit of an anomaly; 0 when it withholds nothing.
uint64_t withheld_bit(const char *anomaly);

// The first anomaly of `bits` that withholds the metric; NULL when none does.
const char *withheld_by(uint64_t bits, const char *metric);

// {"failed_share": ["cpu.per_", ...], ...}: the beginnings of the names of the metrics. A new reference.
json_t *withheld_describe(void);

#endif
