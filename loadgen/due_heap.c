// SPDX-License-Identifier: Apache-2.0
#include "loadgen/due_heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int due_heap_open(struct due_heap *heap, int64_t capacity)
{
    *heap = (struct due_heap){.capacity = capacity};
    heap->list = calloc((size_t)capacity + 1, sizeof *heap->list);
    return heap->list ? 0 : -ENOMEM;
}

void due_heap_close(struct due_heap *heap)
{
    free(heap->list);
    *heap = (struct due_heap){0};
}

void due_heap_put(struct due_heap *heap, int64_t at_ns, int64_t client)
{
    assert(heap->count < heap->capacity);
    int64_t at = heap->count++;
    for (; at > 0 && heap->list[(at - 1) / 2].at_ns > at_ns; at = (at - 1) / 2)
        heap->list[at] = heap->list[(at - 1) / 2];
    heap->list[at] = (struct due){.at_ns = at_ns, .client = client};
}

int64_t due_heap_first_ns(const struct due_heap *heap)
{
    return heap->count > 0 ? heap->list[0].at_ns : INT64_MAX;
}

bool due_heap_take(struct due_heap *heap, int64_t now_ns, int64_t *client)
{
    if (due_heap_first_ns(heap) > now_ns || heap->count == 0)
        return false;
    *client = heap->list[0].client;
    struct due last = heap->list[--heap->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child + 1 < heap->count && heap->list[child + 1].at_ns < heap->list[child].at_ns)
            child++;
        if (child >= heap->count || heap->list[child].at_ns >= last.at_ns)
            break;
        heap->list[at] = heap->list[child];
        at = child;
    }
    heap->list[at] = last;
    return true;
}
