// SPDX-License-Identifier: Apache-2.0
#include "pools/block_deque.h"

#include "pools/blocks.h"
#include "pools/object.h"

enum { PAGE_BYTES = 4096 };

struct block *block_make(const struct pool_config *config, size_t bytes)
{
    bytes = (bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    struct block *block = pool_memory_alloc(sizeof *block + bytes);
    if (!block)
        return NULL;
    *block = (struct block){.bytes = bytes};
    // One write a page; volatile, since nobody reads it.
    for (size_t at = 0; config->touch && at < bytes; at += PAGE_BYTES)
        ((volatile char *)block_object(block))[at] = 0;
    if (object_construct(config, block_object(block)) == 0)
        return block;
    pool_memory_free(block);
    return NULL;
}

struct block *block_make_chain(const struct pool_config *config, int64_t count, size_t bytes, int64_t *made)
{
    struct block *chain = NULL;
    for (*made = 0; *made < count; ++*made) {
        struct block *block = block_make(config, bytes);
        if (!block)
            break;
        block->older = chain;
        chain = block;
    }
    return chain;
}

int64_t block_free_chain(const struct pool_config *config, struct block *chain)
{
    int64_t bytes = 0;
    while (chain) {
        struct block *older = chain->older;
        bytes += (int64_t)(sizeof *chain + chain->bytes);
        object_destruct(config, block_object(chain), chain->bytes);
        pool_memory_free(chain);
        chain = older;
    }
    return bytes;
}

void block_deque_push(struct block_deque *deque, struct block *block, int64_t now_ns)
{
    // In the order of last use, whichever thread got the lock first.
    block->used_ns = deque->newest && deque->newest->used_ns > now_ns ? deque->newest->used_ns : now_ns;
    block->newer = NULL;
    block->older = deque->newest;
    if (deque->newest)
        deque->newest->newer = block;
    else
        deque->oldest = block;
    deque->newest = block;
    deque->count++;
}

void block_deque_remove(struct block_deque *deque, struct block *block)
{
    if (block->newer)
        block->newer->older = block->older;
    else
        deque->newest = block->older;
    if (block->older)
        block->older->newer = block->newer;
    else
        deque->oldest = block->newer;
    deque->count--;
}

struct block *block_deque_find(const struct block_deque *deque, size_t bytes)
{
    struct block *block = deque->newest;
    while (block && !blocks_fit(block->bytes, bytes))
        block = block->older;
    return block;
}

bool block_deque_is_valid(const struct block_deque *deque)
{
    int64_t count = 0;
    const struct block *newer = NULL;
    for (const struct block *block = deque->newest; block; newer = block, block = block->older) {
        if (block->newer != newer || block->is_overflow || count++ == deque->count)
            return false;
        if (newer && newer->used_ns < block->used_ns)
            return false;
    }
    return count == deque->count && deque->oldest == newer;
}
