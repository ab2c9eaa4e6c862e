// SPDX-License-Identifier: Apache-2.0
// The surroundings of a run (surroundings.h, strangers.h) at its end: metrics network.*, generator.throttled_ns,
// cpu.throttled_ns and cpu.idle_share, and an anomaly for each effect that moves other figures.
#ifndef POOLMARK_LOADGEN_SUMMARY_SURROUNDINGS_H
#define POOLMARK_LOADGEN_SUMMARY_SURROUNDINGS_H

#include "loadgen/summary.h"

void summary_add_surroundings(struct summary *summary, struct run *run);

#endif
