// SPDX-License-Identifier: Apache-2.0
// The numbers of a pool's objects: ranges of whole segments (pools/strategies/free_stack.h), given back and
// given out again. So a pool that shrinks and grows for years does not run out of numbers. Needs the pool's
// lock held.
//
//     struct number_range *range = ...memory..., *unused = numbers_take(&numbers, range, objects);
//     ... the objects have numbers range->first on ...
//     unused = numbers_give(&numbers, range);      // both return records that are no longer needed
#ifndef POOLMARK_POOLS_STRATEGIES_NUMBERS_H
#define POOLMARK_POOLS_STRATEGIES_NUMBERS_H

#include <stdint.h>

// The last segment contains FREE_STACK_NONE.
#define NUMBERS_MAX ((INT64_C(1) << 32) - 256)

struct number_range {
    struct number_range *next;
    int64_t first, count; // multiples of a segment
};

struct numbers {
    struct number_range *free; // by rising number, none adjoining the next
    int64_t end;               // numbers from here on were never used
};

// Fills in `range`; its count is 0 when there are not enough numbers.
struct number_range *numbers_take(struct numbers *numbers, struct number_range *range, int64_t objects);
struct number_range *numbers_give(struct numbers *numbers, struct number_range *range);

#endif
