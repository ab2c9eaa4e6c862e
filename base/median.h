// SPDX-License-Identifier: Apache-2.0
// The median of values, as everywhere in this project: of an even number the mean of the middle two. (A percentile of samples is
// one of them: hist_percentile_rank of hist.h.)
#ifndef POOLMARK_BASE_MEDIAN_H
#define POOLMARK_BASE_MEDIAN_H

#include <stddef.h>

// Sorts the values. NaN without any.
double median_of(double *values, size_t count);

#endif
