// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_blocks_are_aligned_as_promised(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 300; bytes++) {
        void *block = pool_memory_alloc(bytes);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        memset(block, 1, bytes);
        pool_memory_free(block);
    }
    for (size_t alignment = 16; alignment <= 1 << 16; alignment *= 2) {
        void *block = pool_memory_alloc_aligned(alignment, 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        pool_memory_free(block);
    }
}

static void test_mapped_pages_are_aligned_zero_and_all_there(void **state)
{
    (void)state;
    const size_t alignments[] = {1, 4096, 1 << 16, 1 << 21};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++)
        for (size_t bytes = 1; bytes <= 300000; bytes = bytes * 7 + 13) {
            unsigned char *block = pool_memory_map(bytes, alignments[i]);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignments[i], 0);
            assert_int_equal(block[0] | block[bytes - 1], 0);
            memset(block, 1, bytes);
            pool_memory_unmap(block, bytes);
        }
    pool_memory_unmap(NULL, 100);
}

static void check_one(bool expected)
{
    void *block = pool_memory_alloc(10);
    assert_int_equal(block != NULL, expected);
    pool_memory_free(block);
}

static void test_the_nth_request_fails_and_no_other(void **state)
{
    (void)state;
    pool_memory_fail_after(2, false);
    check_one(true);
    check_one(true);
    check_one(false);
    check_one(true);
    assert_int_equal(pool_memory_fail_after(-1, false), 4);
    check_one(true);
    assert_int_equal(pool_memory_fail_after(-1, false), 0);
}

static void test_all_after_the_nth_fail_when_it_stays(void **state)
{
    (void)state;
    pool_memory_fail_after(1, true);
    check_one(true);
    check_one(false);
    assert_null(pool_memory_alloc_aligned(64, 64));
    assert_null(pool_memory_map(4096, 4096));
    assert_int_equal(pool_memory_fail_after(-1, false), 4);
    check_one(true);
}

static struct told {
    void *block;
    size_t bytes;
    int maps, unmaps;
} told;

static void note_map(void *block, size_t bytes, bool is_mapped)
{
    if (is_mapped)
        told = (struct told){block, bytes, told.maps + 1, told.unmaps};
    else if (block == told.block && bytes == told.bytes)
        told.unmaps++;
}

static void test_who_asks_is_told_of_each_map_and_its_end(void **state)
{
    (void)state;
    pool_memory_tell_maps(note_map);
    void *block = pool_memory_map(5000, 1 << 16);
    assert_non_null(block);
    assert_ptr_equal(told.block, block);
    assert_int_equal(told.bytes, 8192); // whole pages
    assert_int_equal(told.maps, 1);
    assert_int_equal(told.unmaps, 0);
    pool_memory_fail_after(0, false);
    assert_null(pool_memory_map(5000, 4096)); // a map that is refused is none
    pool_memory_fail_after(-1, false);
    pool_memory_unmap(block, 5000);
    assert_int_equal(told.maps, 1);
    assert_int_equal(told.unmaps, 1);
    pool_memory_unmap(NULL, 100);
    pool_memory_tell_maps(NULL);
    pool_memory_unmap(pool_memory_map(5000, 4096), 5000);
    assert_int_equal(told.maps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_as_promised),
        cmocka_unit_test(test_who_asks_is_told_of_each_map_and_its_end),
        cmocka_unit_test(test_mapped_pages_are_aligned_zero_and_all_there),
        cmocka_unit_test(test_the_nth_request_fails_and_no_other),
        cmocka_unit_test(test_all_after_the_nth_fail_when_it_stays),
    };
    return cmocka_run_group_tests_name("pool_memory", tests, NULL, NULL);
}
