// SPDX-License-Identifier: Apache-2.0
// The metrics of the micro-benchmarks: `time`, and the counters that workloads report (bench/workload.h),
// with the unit and direction for a record.
#ifndef POOLMARK_BENCH_CATALOGUE_H
#define POOLMARK_BENCH_CATALOGUE_H

#include "base/metric.h"

extern const struct metric bench_catalogue[];

#endif
