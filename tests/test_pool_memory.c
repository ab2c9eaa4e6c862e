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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_as_promised),
        cmocka_unit_test(test_mapped_pages_are_aligned_zero_and_all_there),
        cmocka_unit_test(test_the_nth_request_fails_and_no_other),
        cmocka_unit_test(test_all_after_the_nth_fail_when_it_stays),
    };
    return cmocka_run_group_tests_name("pool_memory", tests, NULL, NULL);
}
