// SPDX-License-Identifier: Apache-2.0
// Constructs and destructs a pool's objects, for strategies with POOL_CAP_CONSTRUCTS. Does nothing when the
// config has no such functions. Call it without locks: the functions are the program's.
//
//     if (object_construct(config, object) < 0) ...     // memory just became an object; not poisoned
//     object_destruct(config, object, bytes);           // before it goes back; poisoned or not
#ifndef POOLMARK_POOLS_SHARED_OBJECT_H
#define POOLMARK_POOLS_SHARED_OBJECT_H

#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"

#include <errno.h>

static inline int object_construct(const struct pool_config *config, void *object)
{
    return config->construct ? config->construct(config->object_context, object) : 0;
}

// Afterwards the memory may be accessed.
static inline void object_destruct(const struct pool_config *config, void *object, size_t bytes)
{
    unpoison(object, bytes);
    if (!config->destruct)
        return;
    poison_is_defined(object, bytes);
    config->destruct(config->object_context, object);
}

// For an object that is given out with `unpoison`: its contents count as written.
static inline void object_keeps_state(const struct pool_config *config, void *object, size_t bytes)
{
    if (pool_keeps_state(config))
        poison_is_defined(object, bytes);
}

// `count` objects side by side, whose memory is not unpoisoned yet.
static inline void object_destruct_all(const struct pool_config *config, char *memory, size_t stride,
                                       int64_t count)
{
    for (int64_t i = 0; config->destruct && i < count; i++)
        object_destruct(config, memory + (size_t)i * stride, stride);
}

// All or none: on -ENOMEM the objects constructed before are destructed again.
static inline int object_construct_all(const struct pool_config *config, char *memory, size_t stride,
                                       int64_t count)
{
    for (int64_t i = 0; config->construct && i < count; i++) {
        if (config->construct(config->object_context, memory + (size_t)i * stride) == 0)
            continue;
        object_destruct_all(config, memory, stride, i);
        return -ENOMEM;
    }
    return 0;
}

#endif
