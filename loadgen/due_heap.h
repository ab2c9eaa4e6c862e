// SPDX-License-Identifier: Apache-2.0
// Clients that wait for a time of their own, the earliest first (a binary heap). One thread.
#ifndef POOLMARK_LOADGEN_DUE_HEAP_H
#define POOLMARK_LOADGEN_DUE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct due {
    int64_t at_ns, client;
};

struct due_heap { // zeroed: empty
    struct due *list;
    int64_t count, capacity;
};

// Room for `capacity` clients at once. -ENOMEM.
int due_heap_open(struct due_heap *heap, int64_t capacity) __attribute__((warn_unused_result));
void due_heap_close(struct due_heap *heap);

void due_heap_put(struct due_heap *heap, int64_t at_ns, int64_t client); // there must be room
int64_t due_heap_first_ns(const struct due_heap *heap);                  // INT64_MAX: it is empty
// Takes the earliest if it is due at `now_ns`. False: none is.
bool due_heap_take(struct due_heap *heap, int64_t now_ns, int64_t *client);

#endif
