// SPDX-License-Identifier: Apache-2.0
#include "tests/store_of.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STORES_MAX = 64 };

struct block_store *store_of(struct pool *pool)
{
    static struct block_store stores[STORES_MAX];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct block_store wanted;
    memset(&wanted, 0, sizeof wanted);
    block_store_open(&wanted, pool, NULL, ACCOUNT_MESSAGES);
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < STORES_MAX - 1 && stores[at].pool && stores[at].pool != pool)
        at++;
    struct block_store *store = &stores[at];
    // Written only when another pool lies where a closed one did: then nobody uses the store.
    if (store->pool != pool || store->object_bytes != wanted.object_bytes ||
        store->is_bounded != wanted.is_bounded || store->is_sized != wanted.is_sized)
        *store = wanted;
    pthread_mutex_unlock(&lock);
    return store;
}
