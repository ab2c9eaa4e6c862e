// SPDX-License-Identifier: Apache-2.0
// Huge pages under strategy slab: which slabs are made as one.
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"
#include "tests/pool_contract.h"

#include <pthread.h>

enum { OBJECT_BYTES = 3072 };

static struct pool *open_pool(int64_t initial)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {0};
    config.object_bytes = OBJECT_BYTES;
    config.initial = initial;
    config.growth_mode = POOL_GROW_INLINE;
    assert_int_equal(pool_open(&pool, pool_strategy_find("slab"), &config, &err), 0);
    return pool;
}

// As the pool's thread does it: a slab is begun whole, once what was begun by pieces is full.
static void test_growth_ahead_of_a_large_pool_comes_by_whole_slabs(void **state)
{
    (void)state;
    enum { SLABS = 20, CAPACITY = 668, MOST = 40 * CAPACITY };
    static void *objects[MOST];
    struct pool *pool = open_pool(SLABS * CAPACITY + 10);
    struct slab_store *store = &pool->store;
    size_t slabs = store->slab_count;
    int got = 0, whole = 0;
    assert_int_equal(store->geometry.capacity, CAPACITY);
    store->small_until_ns = 0;
    while (whole < 5) {
        assert_true(got < MOST);
        assert_non_null(objects[got++] = pool_get(pool));
        pthread_mutex_lock(&store->grow_lock);
        store->small_until_ns = 0; // however slow the system is
        slab_top_up(pool);
        if (store->slab_count > slabs) {
            assert_int_equal(slab_store_room(store), 0);
            whole++;
        }
        slabs = store->slab_count;
        slab_grow_unlock(pool);
    }
    while (got > 0)
        pool_put(pool, objects[--got]);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth_ahead_of_a_large_pool_comes_by_whole_slabs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
