// SPDX-License-Identifier: Apache-2.0
// The generator's metrics: every metric of its record, and those of its steps, which a suite takes from
// steps.csv and memory.csv. A new metric is a row here and a summary_add where it is measured.
#ifndef POOLMARK_LOADGEN_CATALOGUE_H
#define POOLMARK_LOADGEN_CATALOGUE_H

#include "base/metric.h"

extern const struct metric loadgen_catalogue[];

#endif
