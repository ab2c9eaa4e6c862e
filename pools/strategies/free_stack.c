// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/free_stack.h"

#include "pools/pool_strategy.h"

#include <errno.h>

enum { PAGE_BYTES = 4096 };

#define TABLE_BYTES (FREE_STACK_CHUNKS * sizeof(struct free_stack_chunk *))

int free_stack_open(struct free_stack *stack)
{
    atomic_init(&stack->head, FREE_STACK_NONE);
    atomic_init(&stack->first, NULL);
    stack->chunks = pool_memory_map(TABLE_BYTES, PAGE_BYTES);
    return stack->chunks ? 0 : -ENOMEM;
}

void free_stack_close(struct free_stack *stack)
{
    for (int at = 0; stack->chunks && at < FREE_STACK_CHUNKS; at++) {
        struct free_stack_chunk *chunk = atomic_load_explicit(&stack->chunks[at], memory_order_relaxed);
        if (!chunk)
            break;
        pool_memory_unmap(chunk, sizeof *chunk);
    }
    pool_memory_unmap(stack->chunks, TABLE_BYTES);
}

static int make_chunk(struct free_stack *stack, uint32_t at)
{
    struct free_stack_chunk *_Atomic *place = &stack->chunks[at], *none = NULL;
    if (!atomic_load_explicit(place, memory_order_acquire)) {
        struct free_stack_chunk *chunk = pool_memory_map(sizeof *chunk, PAGE_BYTES);
        if (!chunk)
            return -ENOMEM;
        // Another thread may do the same.
        if (!atomic_compare_exchange_strong_explicit(place, &none, chunk, memory_order_acq_rel,
                                                     memory_order_acquire))
            pool_memory_unmap(chunk, sizeof *chunk);
    }
    // Also where another thread made the chunk: it may not have come to this line yet.
    if (at == 0)
        atomic_store_explicit(&stack->first, atomic_load_explicit(place, memory_order_acquire),
                              memory_order_relaxed);
    return 0;
}

// From the first chunk on, so that the chunks have no gap.
int free_stack_make_room(struct free_stack *stack, uint32_t first, uint32_t count)
{
    uint32_t last = (first + count - 1) >> FREE_STACK_CHUNK_BITS;
    uint32_t at = last;
    while (at > 0 && !atomic_load_explicit(&stack->chunks[at - 1], memory_order_acquire))
        at--;
    for (; at <= last; at++) {
        int code = make_chunk(stack, at);
        if (code < 0)
            return code;
    }
    return 0;
}

static int64_t whole_pages(int64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

// The table of chunks has a page for each 512 chunks. A chunk's entries and addresses are in pages of their
// own.
int64_t free_stack_bytes(int64_t numbers)
{
    int64_t chunks = (numbers + FREE_STACK_CHUNK - 1) / FREE_STACK_CHUNK;
    int64_t segments = (numbers + FREE_STACK_SEGMENT - 1) / FREE_STACK_SEGMENT;
    return whole_pages(chunks * (int64_t)sizeof(void *)) + whole_pages(numbers * (int64_t)sizeof(uint64_t)) +
           whole_pages(segments * (int64_t)sizeof(char *));
}
