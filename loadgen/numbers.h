// SPDX-License-Identifier: Apache-2.0
// Sets of numbers that are filled, sorted, and then searched. Plain memory of the caller; any thread.
//
//     struct numbers numbers = {0};
//     if (!numbers_add(&numbers, 7)) ...            // out of memory
//     numbers_sort(&numbers);
//     if (numbers_has(&numbers, 7)) ...
//     numbers_free(&numbers);
#ifndef POOLMARK_LOADGEN_NUMBERS_H
#define POOLMARK_LOADGEN_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbers { // sorted before they are searched
    uint64_t *list;
    size_t count, capacity;
};

bool numbers_add(struct numbers *numbers, uint64_t number) __attribute__((warn_unused_result));
void numbers_sort(struct numbers *numbers); // leaves each number once
bool numbers_has(const struct numbers *numbers, uint64_t number);
void numbers_free(struct numbers *numbers);

#endif
