// SPDX-License-Identifier: Apache-2.0
#include "pools/use/arena.h"

#include "pools/pool_strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK_BYTES = 1024 };

static struct pool *open_blocks(int64_t max)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {0};
    config.object_bytes = BLOCK_BYTES;
    config.max = max;
    config.overflow = max ? POOL_OVERFLOW_REFUSE : POOL_OVERFLOW_HEAP;
    if (pool_open(&pool, pool_strategy_find("expand"), &config, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

static int64_t in_use(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats.in_use;
}

static void *got(struct arena *arena, size_t alignment, size_t bytes)
{
    void *allocated = arena_alloc_aligned(arena, alignment, bytes);
    assert_non_null(allocated);
    assert_int_equal((uintptr_t)allocated % alignment, 0);
    assert_true(arena_is_valid(arena));
    memset(allocated, 0x5A, bytes);
    return allocated;
}

static void test_an_arena_takes_no_block_before_it_needs_one(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    arena_init(&arena, pool);
    assert_int_equal(in_use(pool), 0);
    assert_int_equal(arena_bytes(&arena), 0);
    assert_true(arena_is_valid(&arena));
    got(&arena, 16, 1);
    assert_int_equal(in_use(pool), 1);
    assert_int_equal(arena_bytes(&arena), BLOCK_BYTES);
    arena_reset(&arena);
    pool_close(pool);
}

static void test_allocations_do_not_overlap(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    unsigned char *allocated[200];
    arena_init(&arena, pool);
    for (int i = 0; i < 200; i++) {
        allocated[i] = got(&arena, (size_t)1 << i % 7, (size_t)i);
        memset(allocated[i], i, (size_t)i);
    }
    for (int i = 0; i < 200; i++)
        for (int at = 0; at < i; at++)
            assert_int_equal(allocated[i][at], i);
    arena_reset(&arena);
    pool_close(pool);
}

static void test_reset_gives_every_block_and_chunk_back(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    arena_init(&arena, pool);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            got(&arena, 16, 400);
        got(&arena, 16, 10 * BLOCK_BYTES);
        assert_int_equal(in_use(pool), 10);
        arena_reset(&arena);
        assert_int_equal(in_use(pool), 0);
        assert_int_equal(arena_bytes(&arena), 0);
        assert_true(arena_is_valid(&arena));
    }
    pool_close(pool);
}

static void test_what_is_larger_than_a_block_gets_a_chunk_and_leaves_the_block(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    arena_init(&arena, pool);
    char *small = got(&arena, 16, 16);
    got(&arena, 16, BLOCK_BYTES);
    got(&arena, 4096, 3 * BLOCK_BYTES);
    assert_int_equal(in_use(pool), 1);
    assert_true(arena_bytes(&arena) >= 5 * BLOCK_BYTES);
    assert_ptr_equal(got(&arena, 16, 16), small + 16);
    arena_reset(&arena);
    pool_close(pool);
}

static void test_the_largest_that_fits_a_block_is_served_by_one(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    arena_init(&arena, pool);
    got(&arena, 16, BLOCK_BYTES - 16);
    assert_int_equal(in_use(pool), 1);
    assert_int_equal(arena_bytes(&arena), BLOCK_BYTES);
    got(&arena, 256, 512);
    assert_int_equal(in_use(pool), 2);
    arena_reset(&arena);
    pool_close(pool);
}

static void test_bad_alignments_and_sizes_give_null(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    arena_init(&arena, pool);
    assert_null(arena_alloc_aligned(&arena, 0, 8));
    assert_null(arena_alloc_aligned(&arena, 24, 8));
    assert_null(arena_alloc_aligned(&arena, 8192, 8));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 20));
    assert_non_null(arena_alloc(&arena, 0));
    arena_reset(&arena);
    pool_close(pool);
}

static void test_out_of_memory_gives_null_and_keeps_what_was_there(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(1);
    struct arena arena;
    arena_init(&arena, pool);
    char *text = arena_copy_text(&arena, "kept");
    assert_non_null(text);
    assert_null(arena_alloc(&arena, BLOCK_BYTES - 16)); // the pool has but one block
    pool_memory_fail_after(0, true);
    assert_null(arena_alloc(&arena, BLOCK_BYTES * 2));
    pool_memory_fail_after(-1, false);
    assert_string_equal(text, "kept");
    assert_true(arena_is_valid(&arena));
    got(&arena, 16, 100);
    arena_reset(&arena);
    assert_int_equal(in_use(pool), 0);
    pool_close(pool);
}

static void test_copies_are_copies(void **state)
{
    (void)state;
    struct pool *pool = open_blocks(0);
    struct arena arena;
    const char bytes[3] = {1, 0, 2};
    arena_init(&arena, pool);
    char *copy = arena_copy(&arena, bytes, sizeof bytes);
    assert_non_null(copy);
    assert_memory_equal(copy, bytes, sizeof bytes);
    assert_non_null(arena_copy(&arena, NULL, 0));
    char *text = arena_copy_text(&arena, "topic/a");
    assert_non_null(text);
    assert_string_equal(text, "topic/a");
    arena_reset(&arena);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_arena_takes_no_block_before_it_needs_one),
        cmocka_unit_test(test_allocations_do_not_overlap),
        cmocka_unit_test(test_reset_gives_every_block_and_chunk_back),
        cmocka_unit_test(test_what_is_larger_than_a_block_gets_a_chunk_and_leaves_the_block),
        cmocka_unit_test(test_the_largest_that_fits_a_block_is_served_by_one),
        cmocka_unit_test(test_bad_alignments_and_sizes_give_null),
        cmocka_unit_test(test_out_of_memory_gives_null_and_keeps_what_was_there),
        cmocka_unit_test(test_copies_are_copies),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
