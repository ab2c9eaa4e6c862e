// SPDX-License-Identifier: Apache-2.0
// The arithmetic of `expand`, apart from the strategy so that published sequences can be checked against it.
// Pure functions of their arguments.
#ifndef POOLMARK_POOLS_EXPAND_H
#define POOLMARK_POOLS_EXPAND_H

#include <stdint.h>

// Objects in use that set an expansion off: the integer part of expand_at_percent of those owned.
int64_t expand_trigger(int64_t owned, int64_t expand_at_percent);

// Objects owned after the next expansion: the integer part of owned x growth, at least one more, at most
// `max` (0: unbounded). Equals `owned` when that is `max` already.
int64_t expand_next(int64_t owned, double growth, int64_t max);

#endif
