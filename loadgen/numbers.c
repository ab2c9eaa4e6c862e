// SPDX-License-Identifier: Apache-2.0
#include "loadgen/numbers.h"

#include "loadgen/list_grow.h"

#include <stdlib.h>

bool numbers_add(struct numbers *numbers, uint64_t number)
{
    uint64_t *grown = list_grow(numbers->list, &numbers->capacity, numbers->count, sizeof *grown);
    if (!grown)
        return false;
    numbers->list = grown;
    numbers->list[numbers->count++] = number;
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

void numbers_sort(struct numbers *numbers)
{
    if (numbers->count == 0)
        return;
    qsort(numbers->list, numbers->count, sizeof *numbers->list, compare);
    size_t kept = 1;
    for (size_t i = 1; i < numbers->count; i++)
        if (numbers->list[i] != numbers->list[kept - 1])
            numbers->list[kept++] = numbers->list[i];
    numbers->count = kept;
}

bool numbers_has(const struct numbers *numbers, uint64_t number)
{
    return numbers->count > 0 &&
           bsearch(&number, numbers->list, numbers->count, sizeof number, compare) != NULL;
}

void numbers_free(struct numbers *numbers)
{
    free(numbers->list);
    *numbers = (struct numbers){0};
}
