// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/block.h"

#include <stdlib.h>

// Header of a heap block in a bounded store: the pool object that it holds, so that the pool's max counts it.
struct place {
    _Alignas(16) void *object;
};

void block_store_open(struct block_store *store, struct pool *pool, struct account *account,
                      enum account_kind kind)
{
    const struct pool_config *config = pool_config_of(pool);
    *store = (struct block_store){
        .pool = pool,
        .account = account,
        .kind = kind,
        .object_bytes = config->object_bytes,
        .is_sized = (pool_strategy_caps(pool_strategy_of(pool)) & POOL_CAP_SIZED) && !config->construct,
        .is_bounded = config->max > 0 && config->overflow == POOL_OVERFLOW_REFUSE,
    };
}

bool block_is_from_heap(const struct block_store *store, size_t bytes)
{
    return bytes > store->object_bytes && !(store->is_sized && bytes <= POOL_OBJECT_BYTES_MAX);
}

size_t block_cost(const struct block_store *store, size_t bytes)
{
    if (bytes <= store->object_bytes)
        return store->object_bytes;
    if (!store->is_bounded || !block_is_from_heap(store, bytes))
        return account_heap_bytes(bytes);
    return account_heap_bytes(bytes + sizeof(struct place)) + store->object_bytes;
}

static void *get_from_heap(struct block_store *store, size_t bytes)
{
    if (!store->is_bounded)
        return malloc(bytes);
    void *object = pool_get(store->pool);
    struct place *place = object ? malloc(sizeof *place + bytes) : NULL;
    if (!place) {
        pool_put(store->pool, object);
        return NULL;
    }
    place->object = object;
    return place + 1;
}

void *block_get(struct block_store *store, size_t bytes)
{
    size_t cost = block_cost(store, bytes);
    if (!account_take(store->account, store->kind, cost))
        return NULL;
    void *block;
    if (bytes <= store->object_bytes)
        block = pool_get(store->pool);
    else if (block_is_from_heap(store, bytes))
        block = get_from_heap(store, bytes);
    else
        block = pool_get_bytes(store->pool, bytes);
    if (!block)
        account_give(store->account, store->kind, cost);
    return block;
}

void block_put(struct block_store *store, void *block, size_t bytes)
{
    if (!block)
        return;
    account_give(store->account, store->kind, block_cost(store, bytes));
    if (!block_is_from_heap(store, bytes)) {
        pool_put(store->pool, block);
    } else if (!store->is_bounded) {
        free(block);
    } else {
        struct place *place = (struct place *)block - 1;
        pool_put(store->pool, place->object);
        free(place);
    }
}
