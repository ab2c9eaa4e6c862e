// SPDX-License-Identifier: Apache-2.0
#include "pools/typed/typed_bytes.h"

#include "base/err.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <string.h>

struct typed_bytes_pool {
    struct pool *below;
    struct typed_limits limits;
    _Atomic int64_t dropped; // relaxed: a count
};

static void free_data(struct typed_bytes *bytes)
{
    if (bytes->wipe && bytes->written)
        explicit_bzero(bytes->data, bytes->written);
    pool_memory_free(bytes->data);
    bytes->data = NULL;
}

// A block of exactly `capacity` bytes in place of the old one.
static int move_to(struct typed_bytes *bytes, size_t capacity)
{
    char *data = pool_memory_alloc(capacity);
    if (!data)
        return -ENOMEM;
    if (bytes->length)
        memcpy(data, bytes->data, bytes->length);
    free_data(bytes);
    bytes->data = data;
    bytes->capacity = capacity;
    bytes->written = bytes->length;
    return 0;
}

int typed_bytes_reserve(struct typed_bytes *bytes, size_t capacity)
{
    if (capacity <= bytes->capacity)
        return 0;
    size_t twice = bytes->capacity <= SIZE_MAX / 2 ? bytes->capacity * 2 : SIZE_MAX;
    return move_to(bytes, capacity > twice ? capacity : twice);
}

static void set_length(struct typed_bytes *bytes, size_t length)
{
    bytes->length = length;
    if (length > bytes->written)
        bytes->written = length;
}

int typed_bytes_append(struct typed_bytes *bytes, const void *data, size_t length)
{
    if (length > bytes->capacity - bytes->length) {
        if (length > SIZE_MAX - bytes->length || typed_bytes_reserve(bytes, bytes->length + length) < 0)
            return -ENOMEM;
    }
    if (length)
        memcpy(bytes->data + bytes->length, data, length);
    set_length(bytes, bytes->length + length);
    return 0;
}

int typed_bytes_resize(struct typed_bytes *bytes, size_t length)
{
    if (typed_bytes_reserve(bytes, length) < 0)
        return -ENOMEM;
    if (length > bytes->length)
        memset(bytes->data + bytes->length, 0, length - bytes->length);
    set_length(bytes, length);
    return 0;
}

void typed_bytes_free(struct typed_bytes *bytes)
{
    free_data(bytes);
    bytes->length = bytes->capacity = bytes->written = 0;
}

static int construct(void *context, void *object)
{
    const struct typed_bytes_pool *pool = context;
    struct typed_bytes fresh = TYPED_BYTES_EMPTY;
    fresh.wipe = pool->limits.wipe;
    if (move_to(&fresh, pool->limits.capacity) < 0)
        return -ENOMEM;
    memcpy(object, &fresh, sizeof fresh);
    return 0;
}

static void destruct(void *context, void *object)
{
    (void)context;
    typed_bytes_free(object);
}

static void reset(void *context, void *object)
{
    struct typed_bytes_pool *pool = context;
    struct typed_bytes *bytes = object;
    if (bytes->wipe && bytes->written)
        explicit_bzero(bytes->data, bytes->written);
    bytes->length = bytes->written = 0;
    if (bytes->capacity > pool->limits.keep_max) {
        typed_bytes_free(bytes);
        atomic_fetch_add_explicit(&pool->dropped, 1, memory_order_relaxed);
    }
}

int typed_bytes_pool_open(struct typed_bytes_pool **opened, const struct pool_strategy *strategy,
                          const struct pool_config *config, const struct typed_limits *limits,
                          struct err *err)
{
    struct typed_bytes_pool *pool = pool_memory_alloc(sizeof *pool);
    if (!pool)
        return err_set(err, -ENOMEM, "a pool of buffers: out of memory");
    *pool = (struct typed_bytes_pool){.limits = *limits};
    const struct pool_config hooks = {
        .construct = construct, .destruct = destruct, .reset = reset, .object_context = pool};
    int code =
        typed_pool_open(&pool->below, strategy, config, &hooks, sizeof(struct typed_bytes), limits, err);
    if (code < 0) {
        pool_memory_free(pool);
        return code;
    }
    *opened = pool;
    return 0;
}

struct typed_bytes *typed_bytes_get(struct typed_bytes_pool *pool)
{
    struct typed_bytes *bytes = pool_get(pool->below);
    // The last user's was too large.
    if (bytes && !bytes->data && move_to(bytes, pool->limits.capacity) < 0) {
        pool_put(pool->below, bytes);
        return NULL;
    }
    return bytes;
}

void typed_bytes_put(struct typed_bytes_pool *pool, struct typed_bytes *bytes)
{
    pool_put(pool->below, bytes);
}

struct pool *typed_bytes_pool_below(const struct typed_bytes_pool *pool)
{
    return pool->below;
}

int64_t typed_bytes_pool_dropped(const struct typed_bytes_pool *pool)
{
    return atomic_load_explicit(&pool->dropped, memory_order_relaxed);
}

void typed_bytes_pool_close(struct typed_bytes_pool *pool)
{
    if (!pool)
        return;
    pool_close(pool->below);
    pool_memory_free(pool);
}
