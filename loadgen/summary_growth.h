// SPDX-License-Identifier: Apache-2.0
// The memory of one thing of many (a subscription, a slow reader): the growth between two readings of the target,
// divided by their number. The ways to count user memory are those of summary_add_levels.
#ifndef POOLMARK_LOADGEN_SUMMARY_GROWTH_H
#define POOLMARK_LOADGEN_SUMMARY_GROWTH_H

#include "loadgen/summary.h"

// User memory in `sample`, by the first way to count that `start` and `full` both have: private, PSS, RSS. -1: none.
int64_t summary_judged(const struct sample *sample, const struct sample *start, const struct sample *full);

// Adds user memory at a reading, lower is better; -1: it could not be read, and has no figure.
void summary_add_bytes(struct summary *summary, const char *name, int64_t bytes);

// (high - low) / count. NaN when one was not read, when the target was not watched, or when they differ by no more
// than two readings of a level target may. That is an anomaly `resolution` for the metric `name`; `what`: the plural.
double summary_growth_each(struct run *run, const char *name, int64_t low_bytes, int64_t high_bytes,
                           int64_t count, const char *what);

#endif
