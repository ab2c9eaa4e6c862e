// SPDX-License-Identifier: Apache-2.0
#include "broker/block.h"

#include <stdlib.h>

void *block_get(struct pool *pool, size_t bytes, struct pool **owner)
{
    *owner = pool;
    if (bytes <= pool_config_of(pool)->object_bytes)
        return pool_get(pool);
    if (pool_strategy_caps(pool_strategy_of(pool)) & POOL_CAP_SIZED && bytes <= POOL_OBJECT_BYTES_MAX)
        return pool_get_bytes(pool, bytes);
    *owner = NULL;
    return malloc(bytes);
}

void block_put(struct pool *owner, void *block)
{
    if (owner)
        pool_put(owner, block);
    else
        free(block);
}
