// SPDX-License-Identifier: Apache-2.0
// Blocks of any size, counted in the broker's account. A block comes from a pool when the pool can serve its
// size, else from the heap. Any thread may call.
//
// A pool that refuses past its max bounds blocks of every size. For this, each block from the heap holds an
// object of the pool until it is freed. The block is refused when the pool has no object.
//
//     struct block_store store;
//     block_store_open(&store, pool, account, ACCOUNT_MESSAGES);
//     void *block = block_get(&store, bytes);
//     block_put(&store, block, bytes);
#ifndef POOLMARK_BROKER_MQTT_BLOCK_H
#define POOLMARK_BROKER_MQTT_BLOCK_H

#include "broker/mqtt/account.h"
#include "pools/pool.h"

struct block_store {
    struct pool *pool;
    struct account *account; // NULL: not counted
    enum account_kind kind;
    size_t object_bytes;
    bool is_sized;   // the pool serves other sizes than its objects'
    bool is_bounded; // the pool refuses past its max
};

void block_store_open(struct block_store *store, struct pool *pool, struct account *account,
                      enum account_kind kind);

// NULL: the pool or the account refused, or there is no memory.
void *block_get(struct block_store *store, size_t bytes) __attribute__((warn_unused_result));
void block_put(struct block_store *store, void *block, size_t bytes); // `bytes` as in block_get

// What a block of `bytes` (as in block_get) is in the account.
size_t block_cost(const struct block_store *store, size_t bytes);

// Does a block of `bytes` come from the heap?
bool block_is_from_heap(const struct block_store *store, size_t bytes);

#endif
