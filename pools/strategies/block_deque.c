// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/block_deque.h"

#include "pools/shared/object.h"

enum { PAGE_BYTES = 4096 };

// Classes 1 to 4 are multiples of 16 bytes; then four for each doubling: 80, 96, 112, 128, 160, ...
enum { LINEAR = 4, A_DOUBLING = 4 };

unsigned block_class_of(size_t bytes)
{
    if (bytes <= LINEAR * BLOCK_ALIGNMENT)
        return bytes <= BLOCK_ALIGNMENT ? 1 : (unsigned)((bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT);
    // 2^power < bytes <= 2^(power + 1), power from 6.
    unsigned power = 63 - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
    size_t quarter = (size_t)1 << (power - 2);
    unsigned above = (unsigned)((bytes - ((size_t)1 << power) + quarter - 1) / quarter); // 1 to 4
    return LINEAR + (power - 6) * A_DOUBLING + above;
}

size_t block_class_bytes(unsigned size_class)
{
    if (size_class <= LINEAR)
        return size_class * BLOCK_ALIGNMENT;
    unsigned at = size_class - LINEAR - 1, power = 6 + at / A_DOUBLING;
    return ((size_t)1 << power) + (at % A_DOUBLING + 1) * ((size_t)1 << (power - 2));
}

static size_t own_bytes(const struct pool_config *config)
{
    return (config->object_bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
}

struct block *block_make(const struct pool_config *config, size_t bytes, bool touch)
{
    unsigned size_class = bytes == config->object_bytes ? BLOCK_OWN : block_class_of(bytes);
    bytes = size_class == BLOCK_OWN ? own_bytes(config) : block_class_bytes(size_class);
    struct block *block = pool_memory_alloc(sizeof *block + bytes);
    if (!block)
        return NULL;
    *block = (struct block){.bytes = bytes, .size_class = (uint8_t)size_class};
    // One write a page, and one at the end, which may be in another; volatile, since no code reads it.
    for (size_t at = 0; touch && at < bytes; at += PAGE_BYTES)
        ((volatile char *)block_object(block))[at] = 0;
    if (touch)
        ((volatile char *)block_object(block))[bytes - 1] = 0;
    if (object_construct(config, block_object(block)) == 0)
        return block;
    pool_memory_free(block);
    return NULL;
}

struct block *block_make_chain(const struct pool_config *config, int64_t count, size_t bytes, int64_t *made)
{
    struct block *chain = NULL;
    for (*made = 0; *made < count; ++*made) {
        struct block *block = block_make(config, bytes, config->touch);
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

void block_deque_init(struct block_deque *deque, const struct pool_config *config)
{
    *deque = (struct block_deque){.own_bytes = own_bytes(config)};
}

void block_deque_push(struct block_deque *deque, struct block *block, int64_t now_ns)
{
    // Keeps the order of last use, whichever thread got the lock first.
    block->used_ns = deque->newest && deque->newest->used_ns > now_ns ? deque->newest->used_ns : now_ns;
    block->newer = NULL;
    block->older = deque->newest;
    if (deque->newest)
        deque->newest->newer = block;
    else
        deque->oldest = block;
    deque->newest = block;
    struct block **newest = &deque->of_class[block->size_class];
    block->class_newer = NULL;
    block->class_older = *newest;
    if (*newest)
        (*newest)->class_newer = block;
    *newest = block;
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
    if (block->class_newer)
        block->class_newer->class_older = block->class_older;
    else
        deque->of_class[block->size_class] = block->class_older;
    if (block->class_older)
        block->class_older->class_newer = block->class_newer;
    deque->count--;
}

bool blocks_fit(size_t block_bytes, size_t bytes)
{
    size_t least = bytes > BLOCKS_BYTES_MIN ? bytes : BLOCKS_BYTES_MIN;
    return block_bytes >= bytes && block_bytes <= BLOCKS_WASTE * least;
}

struct block *block_deque_find(const struct block_deque *deque, size_t bytes)
{
    if (deque->of_class[BLOCK_OWN] && blocks_fit(deque->own_bytes, bytes))
        return deque->of_class[BLOCK_OWN];
    for (unsigned i = block_class_of(bytes); i < BLOCK_CLASSES && blocks_fit(block_class_bytes(i), bytes);
         i++)
        if (deque->of_class[i])
            return deque->of_class[i];
    return NULL;
}

static int64_t count_of_class(const struct block_deque *deque, unsigned size_class)
{
    int64_t count = 0;
    const struct block *newer = NULL;
    size_t bytes = size_class == BLOCK_OWN ? deque->own_bytes : block_class_bytes(size_class);
    for (const struct block *block = deque->of_class[size_class]; block;
         newer = block, block = block->class_older) {
        if (block->class_newer != newer || block->bytes != bytes || block->size_class != size_class ||
            count++ == deque->count)
            return -1;
    }
    return count;
}

bool block_deque_is_valid(const struct block_deque *deque)
{
    int64_t count = 0, in_classes = 0;
    const struct block *newer = NULL;
    for (const struct block *block = deque->newest; block; newer = block, block = block->older) {
        if (block->newer != newer || block->is_overflow || count++ == deque->count)
            return false;
        if (newer && newer->used_ns < block->used_ns)
            return false;
    }
    for (unsigned i = 0; i < BLOCK_CLASSES; i++) {
        int64_t of_class = count_of_class(deque, i);
        if (of_class < 0)
            return false;
        in_classes += of_class;
    }
    return count == deque->count && in_classes == count && deque->oldest == newer;
}
