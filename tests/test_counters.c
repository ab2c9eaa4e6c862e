// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/counters.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pool_stats read_all(struct counters *counters)
{
    struct pool_stats stats;
    memset(&stats, 0x55, sizeof stats); // what counters_read does not fill it leaves alone
    counters_read(counters, &stats);
    assert_int_equal(stats.owned, 0x5555555555555555);
    assert_int_equal(stats.gets, stats.hits + stats.misses + stats.overflow + stats.refused + stats.failed);
    return stats;
}

static void test_every_kind_is_counted(void **state)
{
    (void)state;
    struct counters counters;
    int slot = thread_slot();
    assert_int_equal(counters_open(&counters), 0);
    for (int i = 0; i < 7; i++)
        counters_take(&counters, slot);
    counters_miss(&counters, slot);
    counters_overflow(&counters, slot);
    counters_overflow(&counters, slot);
    counters_refused(&counters, slot);
    counters_failed(&counters, slot);
    counters_put(&counters, slot);
    struct pool_stats stats = read_all(&counters);
    assert_int_equal(stats.gets, 9);
    assert_int_equal(stats.hits, 4);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.overflow, 2);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.puts, 1);
    assert_int_equal(stats.in_use, 6);
    assert_int_equal(stats.peak_in_use, 7);
    counters_close(&counters);
}

static void test_the_peak_of_one_thread_is_exact(void **state)
{
    (void)state;
    struct counters counters;
    int slot = thread_slot();
    int64_t in_use = 0, peak = 0;
    uint32_t random = 1;
    assert_int_equal(counters_open(&counters), 0);
    for (int step = 0; step < 3000; step++) {
        random = random * 1103515245u + 12345u;
        int64_t to = (int64_t)(random >> 16) % 400;
        for (; in_use < to; in_use++)
            counters_take(&counters, slot);
        peak = in_use > peak ? in_use : peak;
        for (; in_use > to; in_use--)
            counters_put(&counters, slot);
        if (step % 100 == 0) {
            assert_int_equal(read_all(&counters).in_use, in_use);
            assert_int_equal(read_all(&counters).peak_in_use, peak);
        }
    }
    assert_int_equal(read_all(&counters).peak_in_use, peak);
    counters_close(&counters);
}

static void test_row_0_counts_for_threads_without_a_slot(void **state)
{
    (void)state;
    struct counters counters;
    assert_int_equal(counters_open(&counters), 0);
    for (int i = 0; i < 100; i++)
        counters_take(&counters, 0);
    for (int i = 0; i < 40; i++)
        counters_put(&counters, 0);
    counters_miss(&counters, 0);
    for (int i = 0; i < 60; i++) // put by a thread that has one
        counters_put(&counters, thread_slot());
    struct pool_stats stats = read_all(&counters);
    assert_int_equal(stats.gets, 100);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.in_use, 0);
    assert_int_equal(stats.peak_in_use, 100);
    counters_close(&counters);
}

struct share {
    struct counters *counters;
    bool puts;
};

enum { THREADS = 4, EACH = 1000 };

static void *counts_its_share(void *argument)
{
    struct share *share = argument;
    for (int i = 0; i < EACH; i++)
        if (share->puts)
            counters_put(share->counters, thread_slot());
        else
            counters_take(share->counters, thread_slot());
    return NULL;
}

static void leave_row(void *counters, int slot)
{
    counters_thread_exits(counters, slot);
}

static void run_threads(struct counters *counters, bool puts)
{
    struct thread_slot_watch watch = {.on_exit = leave_row, .context = counters};
    pthread_t threads[THREADS];
    struct share share = {counters, puts};
    thread_slot_watch_add(&watch);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, counts_its_share, &share), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    thread_slot_watch_remove(&watch);
}

static void test_the_peak_of_many_threads_is_off_by_little(void **state)
{
    (void)state;
    struct counters counters;
    assert_int_equal(counters_open(&counters), 0);
    for (int round = 0; round < 3; round++) {
        run_threads(&counters, false);
        run_threads(&counters, true);
        struct pool_stats stats = read_all(&counters);
        assert_int_equal(stats.in_use, 0);
        assert_int_equal(stats.gets, (round + 1) * THREADS * EACH);
        assert_in_range(stats.peak_in_use, THREADS * (EACH - 2 * COUNTERS_SLACK), THREADS * EACH);
    }
    counters_close(&counters);
}

static void test_without_memory_it_does_not_open(void **state)
{
    (void)state;
    struct counters counters;
    pool_memory_fail_after(0, true);
    int code = counters_open(&counters);
    pool_memory_fail_after(-1, false);
    assert_int_equal(code, -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_counted),
        cmocka_unit_test(test_the_peak_of_one_thread_is_exact),
        cmocka_unit_test(test_row_0_counts_for_threads_without_a_slot),
        cmocka_unit_test(test_the_peak_of_many_threads_is_off_by_little),
        cmocka_unit_test(test_without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
