// SPDX-License-Identifier: Apache-2.0
// An arena: many small allocations that are all given back at once. It bumps a pointer through blocks got
// from a pool; what does not fit a block is served by a chunk of its own from malloc. reset gives everything
// back in one step.
//
// The struct is public so that it can stand inside what it serves; its fields are the arena's. One thread at
// a time. The pool outlives the arena and may serve many arenas. No block is taken before the first
// allocation.
//
//     struct arena arena;
//     arena_init(&arena, blocks);
//     struct session *session = arena_alloc(&arena, sizeof *session); // NULL: out of memory, or refused by
//     the pool arena_reset(&arena); // as after arena_init; session is invalid
#ifndef POOLMARK_POOLS_USE_ARENA_H
#define POOLMARK_POOLS_USE_ARENA_H

#include "pools/pool.h"

struct arena_block;
struct arena_chunk;

struct arena {
    struct pool *pool;          // where blocks come from; not owned
    char *next, *end;           // free part of the newest block; next <= end, both NULL without a block
    struct arena_block *blocks; // newest first
    struct arena_chunk *chunks; // larger than a block, newest first
};

enum { ARENA_ALIGNMENT = 16 }; // of arena_alloc

// The pool's objects must hold more than a block's header (16 bytes): checked builds abort otherwise.
void arena_init(struct arena *arena, struct pool *pool);

// Contents undefined; 0 bytes give a valid pointer that must not be written through. NULL when there is no
// memory: what was allocated before stays as it is.
void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((warn_unused_result));
// `alignment` is a power of two, at most 4096.
void *arena_alloc_aligned(struct arena *arena, size_t alignment, size_t bytes)
    __attribute__((warn_unused_result));
// A copy of `bytes` bytes, or of a text with its NUL.
void *arena_copy(struct arena *arena, const void *from, size_t bytes) __attribute__((warn_unused_result));
char *arena_copy_text(struct arena *arena, const char *text) __attribute__((warn_unused_result));

void arena_reset(struct arena *arena);         // every block to the pool, every chunk to malloc
size_t arena_bytes(const struct arena *arena); // taken from pool and malloc together
bool arena_is_valid(const struct arena *arena);

#endif
