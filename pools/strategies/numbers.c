// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/numbers.h"

#include "pools/strategies/free_stack.h"

#include <stddef.h>

struct number_range *numbers_take(struct numbers *numbers, struct number_range *range, int64_t objects)
{
    int64_t count = (objects + FREE_STACK_SEGMENT - 1) / FREE_STACK_SEGMENT * FREE_STACK_SEGMENT;
    *range = (struct number_range){.count = count};
    for (struct number_range **link = &numbers->free, *free; (free = *link) != NULL; link = &free->next) {
        if (free->count < count)
            continue;
        range->first = free->first;
        free->first += count;
        free->count -= count;
        if (free->count)
            return NULL;
        *link = free->next;
        free->next = NULL;
        return free;
    }
    if (count > NUMBERS_MAX - numbers->end) {
        range->count = 0;
        return NULL;
    }
    range->first = numbers->end;
    numbers->end += count;
    return NULL;
}

// Merges the next range into `range` when they adjoin.
static struct number_range *join(struct number_range *range)
{
    struct number_range *next = range->next;
    if (!next || range->first + range->count != next->first)
        return NULL;
    range->count += next->count;
    range->next = next->next;
    next->next = NULL;
    return next;
}

struct number_range *numbers_give(struct numbers *numbers, struct number_range *range)
{
    struct number_range **link = &numbers->free, *before = NULL;
    while (*link && (*link)->first < range->first) {
        before = *link;
        link = &before->next;
    }
    range->next = *link;
    *link = range;
    struct number_range *unused = join(range), *joined = before ? join(before) : NULL;
    if (joined)
        joined->next = unused;
    return joined ? joined : unused;
}
