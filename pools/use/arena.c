// SPDX-License-Identifier: Apache-2.0
#include "pools/use/arena.h"

#include "pools/pool_strategy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT_MAX = 4096 };

// At the start of each block and chunk.
struct arena_block {
    _Alignas(ARENA_ALIGNMENT) struct arena_block *older;
};

struct arena_chunk {
    _Alignas(ARENA_ALIGNMENT) struct arena_chunk *older;
    size_t bytes; // header and all
};

static size_t block_bytes(const struct arena *arena)
{
    return pool_config_of(arena->pool)->object_bytes;
}

void arena_init(struct arena *arena, struct pool *pool)
{
    *arena = (struct arena){.pool = pool};
#ifdef POOLMARK_CHECK
    if (block_bytes(arena) <= sizeof(struct arena_block))
        abort();
#endif
}

// How far `at` is from the next multiple of `alignment`.
static size_t padding(const char *at, size_t alignment)
{
    return (size_t)(-(uintptr_t)at & (alignment - 1));
}

// From the newest block, or NULL when it does not fit.
static void *bump(struct arena *arena, size_t alignment, size_t bytes)
{
    size_t left = (size_t)(arena->end - arena->next), skip = padding(arena->next, alignment);
    if (!arena->next || skip > left || bytes > left - skip)
        return NULL;
    char *allocated = arena->next + skip;
    arena->next = allocated + bytes;
    return allocated;
}

static bool fits_a_block(const struct arena *arena, size_t alignment, size_t bytes)
{
    // A block begins at a multiple of 16 and no more; stricter alignment may cost up to its own size.
    size_t worst =
        sizeof(struct arena_block) + (alignment > ARENA_ALIGNMENT ? alignment - ARENA_ALIGNMENT : 0);
    return block_bytes(arena) > worst && bytes <= block_bytes(arena) - worst;
}

static bool add_block(struct arena *arena)
{
    struct arena_block *block = pool_get(arena->pool);
    if (!block)
        return false;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = (char *)(block + 1);
    arena->end = (char *)block + block_bytes(arena);
    return true;
}

static void *alloc_chunk(struct arena *arena, size_t alignment, size_t bytes)
{
    size_t extra =
        sizeof(struct arena_chunk) + (alignment > ARENA_ALIGNMENT ? alignment - ARENA_ALIGNMENT : 0);
    if (bytes > PTRDIFF_MAX - extra) // no object is larger, and the sum cannot overflow
        return NULL;
    struct arena_chunk *chunk = pool_memory_alloc(bytes + extra);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){.older = arena->chunks, .bytes = bytes + extra};
    arena->chunks = chunk;
    char *start = (char *)(chunk + 1);
    return start + padding(start, alignment);
}

void *arena_alloc_aligned(struct arena *arena, size_t alignment, size_t bytes)
{
    if (alignment == 0 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)))
        return NULL;
    void *allocated = bump(arena, alignment, bytes);
    if (allocated)
        return allocated;
    // A large one leaves the newest block as it is: what comes next may still fit there.
    if (!fits_a_block(arena, alignment, bytes))
        return alloc_chunk(arena, alignment, bytes);
    return add_block(arena) ? bump(arena, alignment, bytes) : NULL;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return arena_alloc_aligned(arena, ARENA_ALIGNMENT, bytes);
}

void *arena_copy(struct arena *arena, const void *from, size_t bytes)
{
    void *copy = arena_alloc(arena, bytes);
    if (copy && bytes)
        memcpy(copy, from, bytes);
    return copy;
}

char *arena_copy_text(struct arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = arena_alloc_aligned(arena, 1, bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void arena_reset(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        pool_put(arena->pool, block);
    }
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        pool_memory_free(chunk);
    }
    arena->next = arena->end = NULL;
}

size_t arena_bytes(const struct arena *arena)
{
    size_t bytes = 0;
    for (const struct arena_block *block = arena->blocks; block; block = block->older)
        bytes += block_bytes(arena);
    for (const struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->older)
        bytes += chunk->bytes;
    return bytes;
}

bool arena_is_valid(const struct arena *arena)
{
    if (!arena->blocks)
        return !arena->next && !arena->end;
    const char *start = (const char *)arena->blocks;
    return arena->next >= start + sizeof(struct arena_block) && arena->next <= arena->end &&
           arena->end == start + block_bytes(arena);
}
