// SPDX-License-Identifier: Apache-2.0
// What surrounded the run (surroundings.h), at its end: metrics network.*, generator.throttled_ns and
// cpu.throttled_ns, and an anomaly for what moves the figures beside it.
#ifndef POOLMARK_LOADGEN_SUMMARY_SURROUNDINGS_H
#define POOLMARK_LOADGEN_SUMMARY_SURROUNDINGS_H

#include "loadgen/summary.h"

void summary_add_surroundings(struct summary *summary, struct run *run);

#endif
