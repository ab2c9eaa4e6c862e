// SPDX-License-Identifier: Apache-2.0
// A byte buffer that grows, and a pool of such buffers: for the text of a JSON message (1 KiB at first) or
// a slice of bytes (512 B). typed_limits.h says what every typed pool does.
//
//     struct typed_limits limits = TYPED_LIMITS(TYPED_JSON_BYTES);
//     struct pool_config config = POOL_CONFIG_DEFAULTS;
//     if (typed_bytes_pool_open(&pool, pool_strategy_find("slab"), &config, &limits, &err) < 0) ...
//     struct typed_bytes *buffer = typed_bytes_get(pool); // empty, with 1 KiB at least; NULL: see there
//     if (typed_bytes_append(buffer, text, length) < 0) ...
//     typed_bytes_put(pool, buffer);
//
// A buffer without a pool: TYPED_BYTES_EMPTY, and typed_bytes_free at the end.
//
// What the last user wrote is never in the first `length` bytes of a buffer: it begins at length 0, append
// overwrites, and resize sets to zero. It may still be in the memory beyond, unless the pool wipes.
#ifndef POOLMARK_POOLS_TYPED_TYPED_BYTES_H
#define POOLMARK_POOLS_TYPED_TYPED_BYTES_H

#include "pools/typed/typed_limits.h"

#ifdef __cplusplus
extern "C" {
#endif

struct typed_bytes {
    char *data;              // `capacity` bytes, of which `length` are in use; NULL when capacity is 0
    size_t length, capacity; // read only: the calls below change them
    size_t written;          // the largest length since the last reset
    bool wipe;               // memory is overwritten before it is given back, also when the buffer grows
};
#define TYPED_BYTES_EMPTY                                                                                    \
    {                                                                                                        \
        .data = NULL, .length = 0, .capacity = 0, .written = 0, .wipe = false                                \
    }

// Each of the three: 0, or -ENOMEM with the buffer unchanged. Capacity at least doubles when it grows.
int typed_bytes_reserve(struct typed_bytes *bytes, size_t capacity) __attribute__((warn_unused_result));
// `data` must not lie in the buffer.
int typed_bytes_append(struct typed_bytes *bytes, const void *data, size_t length)
    __attribute__((warn_unused_result));
// Another length. Bytes beyond the old length are zero.
int typed_bytes_resize(struct typed_bytes *bytes, size_t length) __attribute__((warn_unused_result));

void typed_bytes_free(struct typed_bytes *bytes); // of a buffer without a pool; empty afterwards

struct typed_bytes_pool;

// `config` as for pool_open, without object_bytes, hooks and object_context. -EINVAL: `err` names what is
// wrong; -ENOMEM.
int typed_bytes_pool_open(struct typed_bytes_pool **pool, const struct pool_strategy *strategy,
                          const struct pool_config *config, const struct typed_limits *limits,
                          struct err *err) __attribute__((warn_unused_result));

// An empty buffer of at least `limits.capacity`. NULL: refused (`max`, drained), or no memory.
struct typed_bytes *typed_bytes_get(struct typed_bytes_pool *pool) __attribute__((warn_unused_result));
void typed_bytes_put(struct typed_bytes_pool *pool, struct typed_bytes *bytes); // NULL is ignored

// The pool below, for statistics, sweep, trim, resize and drain. Do not get, put or close through it.
struct pool *typed_bytes_pool_below(const struct typed_bytes_pool *pool);
int64_t typed_bytes_pool_dropped(const struct typed_bytes_pool *pool); // puts of buffers that were too large

void typed_bytes_pool_close(struct typed_bytes_pool *pool); // as pool_close; NULL is allowed

#ifdef __cplusplus
}
#endif

#endif
