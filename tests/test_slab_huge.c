// SPDX-License-Identifier: Apache-2.0
// Huge pages under strategy slab: which slabs are made as one, and which are made one afterwards. This
// program stands before madvise(2) (the linker's --wrap=madvise), so that the system may be one that cannot.
#include "base/clock.h"
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { OBJECT_BYTES = 3072, CAPACITY = 668 }; // objects of a slab

static struct {
    int collapses, refuses; // calls; what they answer, 0: as if it was done
    int advice;             // the last about huge pages
} madvised;

int __real_madvise(void *memory, size_t bytes, int advice);
int __wrap_madvise(void *memory, size_t bytes, int advice);
int __wrap_madvise(void *memory, size_t bytes, int advice)
{
    if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE)
        madvised.advice = advice;
    if (advice != MADV_COLLAPSE)
        return __real_madvise(memory, bytes, advice);
    assert_int_equal(bytes, SLAB_BYTES_MIN);
    assert_int_equal(madvised.advice, MADV_HUGEPAGE); // the system refuses what was told otherwise
    madvised.collapses++;
    errno = madvised.refuses;
    return madvised.refuses ? -1 : 0;
}

static int begin(void **state)
{
    (void)state;
    memset(&madvised, 0, sizeof madvised);
    return 0;
}

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
    enum { MANY = 20, MOST = 40 * CAPACITY };
    static void *held[MOST];
    struct pool *pool = open_pool(MANY * CAPACITY + 10);
    struct slab_store *store = &pool->store;
    size_t slabs = store->slab_count;
    int got = 0, whole = 0;
    assert_int_equal(store->geometry.capacity, CAPACITY);
    atomic_store(&slab_huge.small_until_ns, 0);
    while (whole < 5) {
        assert_true(got < MOST);
        assert_non_null(held[got++] = pool_get(pool));
        pthread_mutex_lock(&store->grow_lock);
        atomic_store(&slab_huge.small_until_ns, 0); // however slow the system is
        slab_top_up(pool);
        if (store->slab_count > slabs) {
            assert_int_equal(slab_store_room(store), 0);
            whole++;
        }
        slabs = store->slab_count;
        slab_store_grow_unlock(&pool->store);
    }
    while (got > 0)
        pool_put(pool, held[--got]);
    pool_close(pool);
}

enum { SLABS = 3 };
static void *objects[SLABS * CAPACITY];

// Slabs that gets have filled by pieces, and another that is begun.
static struct pool *open_grown(void)
{
    struct pool *pool = open_pool(0);
    for (int i = 0; i < SLABS * CAPACITY; i++)
        assert_non_null(objects[i] = memset(pool_get(pool), i, OBJECT_BYTES));
    return pool;
}

static void check_contents(int count)
{
    for (int i = 0; i < count; i++)
        for (int at = 0; at < OBJECT_BYTES; at++)
            if (((unsigned char *)objects[i])[at] != (unsigned char)i)
                fail_msg("byte %d of object %d has changed", at, i);
}

static void close_grown(struct pool *pool, int count)
{
    check_contents(count);
    while (count > 0)
        pool_put(pool, objects[--count]);
    pool_close(pool);
}

static void test_sweeps_make_huge_pages_of_full_slabs_one_each(void **state)
{
    (void)state;
    struct pool *pool = open_grown();
    assert_int_equal(madvised.collapses, 0);
    for (int sweep = 1; sweep <= 10; sweep++) {
        (void)pool_sweep(pool);
        assert_int_equal(madvised.collapses, sweep < SLABS ? sweep : SLABS);
    }
    close_grown(pool, SLABS * CAPACITY);
}

static void test_a_slab_that_lost_pages_and_has_them_again_is_made_one_again(void **state)
{
    (void)state;
    struct pool *pool = open_grown();
    int left = SLABS * CAPACITY;
    for (int sweep = 0; sweep < SLABS; sweep++)
        (void)pool_sweep(pool);
    while (left > CAPACITY / 2)
        pool_put(pool, objects[--left]);
    assert_true(pool_trim(pool) > 0);
    assert_int_equal(madvised.advice, MADV_NOHUGEPAGE);
    for (; left < SLABS * CAPACITY; left++)
        assert_non_null(objects[left] = memset(pool_get(pool), left, OBJECT_BYTES));
    for (int sweep = 0; sweep < 10; sweep++)
        (void)pool_sweep(pool);
    assert_int_equal(madvised.collapses, 2 * SLABS);
    close_grown(pool, left);
}

static void test_a_system_that_cannot_is_asked_once_and_one_that_is_busy_once_a_slab(void **state)
{
    (void)state;
    static const struct {
        int refuses, asked;
    } systems[] = {{EINVAL, 1}, {EAGAIN, SLABS}, {ENOMEM, SLABS}};
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        memset(&madvised, 0, sizeof madvised);
        struct pool *pool = open_grown();
        madvised.refuses = systems[i].refuses;
        for (int sweep = 0; sweep < 10; sweep++)
            (void)pool_sweep(pool);
        assert_int_equal(madvised.collapses, systems[i].asked);
        assert_int_equal(madvised.advice, MADV_NOHUGEPAGE);
        close_grown(pool, SLABS * CAPACITY);
    }
}

static void test_a_pool_at_rest_makes_expensive_huge_pages_less_often(void **state)
{
    (void)state;
    assert_int_equal(slab_next_collapse(7, 0), 7 + SLAB_HOLD_NS);
    assert_int_equal(slab_next_collapse(7, NS_PER_MS / 4), 7 + SLAB_HOLD_NS);
    assert_int_equal(slab_next_collapse(7, 3 * NS_PER_MS), 7 + 1200 * NS_PER_MS);
    assert_int_equal(slab_next_collapse(7, NS_PER_S), 7 + 60 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth_ahead_of_a_large_pool_comes_by_whole_slabs),
        cmocka_unit_test_setup(test_sweeps_make_huge_pages_of_full_slabs_one_each, begin),
        cmocka_unit_test_setup(test_a_slab_that_lost_pages_and_has_them_again_is_made_one_again, begin),
        cmocka_unit_test_setup(test_a_system_that_cannot_is_asked_once_and_one_that_is_busy_once_a_slab,
                               begin),
        cmocka_unit_test(test_a_pool_at_rest_makes_expensive_huge_pages_less_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
