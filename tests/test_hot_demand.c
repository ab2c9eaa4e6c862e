// SPDX-License-Identifier: Apache-2.0
// How many opens a hot pool wants under way for a host, as a function of what it knows of it.
#include "base/clock.h"
#include "pools/hot/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW_NS (1000 * NS_PER_S)

static struct hot_host host_with(int waiting, int live, int64_t use_ns, int64_t open_ns)
{
    struct hot_host host = {.waiting = waiting,
                            .use_ns = use_ns,
                            .open_ns = open_ns,
                            .last_open_ns = open_ns,
                            .hungry_ns = NOW_NS,
                            .window = 1000};
    host.count[HOT_OUT] = live;
    TAILQ_INIT(&host.lists[HOT_OUT]);
    return host;
}

static int wanted(int waiting, int live, int64_t use_ms, int64_t open_ms)
{
    struct hot_host host = host_with(waiting, live, use_ms * NS_PER_MS, open_ms * NS_PER_MS);
    return hot_wanted(&host, NOW_NS);
}

static void test_as_many_as_get_the_queue_through_in_the_time_of_an_open(void **state)
{
    (void)state;
    assert_int_equal(wanted(20, 1, 50, 100), 9);    // 20 uses of 50 ms in 100 ms: 10, and one is there
    assert_int_equal(wanted(20, 10, 50, 100), 1);   // enough are there
    assert_int_equal(wanted(45, 5, 2, 150), 1);     // the spike
    assert_int_equal(wanted(45, 5, 1000, 150), 45); // uses take long: one for each waiter, and no more
    assert_int_equal(wanted(1, 0, 1, 1000), 1);
    assert_int_equal(wanted(0, 0, 1, 1), 0);
}

static void test_one_while_times_are_not_known_or_opens_fail(void **state)
{
    (void)state;
    assert_int_equal(wanted(45, 0, 0, 0), 1);
    struct hot_host host = host_with(45, 5, NS_PER_S, NS_PER_MS);
    host.failures = 1;
    assert_int_equal(hot_wanted(&host, NOW_NS), 1);
    host.keep = 10;
    assert_int_equal(hot_wanted(&host, NOW_NS), 1);
}

static void test_no_more_than_the_window(void **state)
{
    (void)state;
    struct hot_host host = host_with(45, 5, NS_PER_S, NS_PER_MS);
    host.window = 4;
    assert_int_equal(hot_wanted(&host, NOW_NS), 4);
}

static void test_a_queue_that_was_not_through_in_the_time_of_an_open_gets_all_the_window(void **state)
{
    (void)state;
    struct hot_host host = host_with(45, 5, 2 * NS_PER_MS, 150 * NS_PER_MS);
    host.window = 8;
    host.hungry_ns = NOW_NS - 150 * NS_PER_MS + 1;
    assert_int_equal(hot_wanted(&host, NOW_NS), 1);
    host.hungry_ns--;
    assert_int_equal(hot_wanted(&host, NOW_NS), 8);
    host.waiting = 3;
    assert_int_equal(hot_wanted(&host, NOW_NS), 3);
}

static void test_a_use_that_goes_on_counts_with_its_age(void **state)
{
    (void)state;
    struct hot_host host = host_with(20, 1, NS_PER_US, 100 * NS_PER_MS);
    struct hot_connection oldest = {.out_ns = NOW_NS - 50 * NS_PER_MS};
    assert_int_equal(hot_wanted(&host, NOW_NS), 1);
    TAILQ_INIT(&host.lists[HOT_OUT]); // an empty list points at itself, wherever it was copied to
    TAILQ_INSERT_TAIL(&host.lists[HOT_OUT], &oldest, in_host);
    assert_int_equal(hot_wanted(&host, NOW_NS), 9);
}

static void test_the_last_open_counts_when_it_was_slower(void **state)
{
    (void)state;
    struct hot_host host = host_with(45, 5, 2 * NS_PER_MS, 10 * NS_PER_US);
    assert_int_equal(hot_wanted(&host, NOW_NS), 45);
    host.last_open_ns = 150 * NS_PER_MS;
    assert_int_equal(hot_wanted(&host, NOW_NS), 1);
}

static void test_what_is_kept_is_wanted_without_waiters(void **state)
{
    (void)state;
    struct hot_host host = host_with(0, 2, 0, 0);
    host.keep = 5;
    assert_int_equal(hot_wanted(&host, NOW_NS), 3);
    host.keep = 1;
    assert_int_equal(hot_wanted(&host, NOW_NS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_as_get_the_queue_through_in_the_time_of_an_open),
        cmocka_unit_test(test_one_while_times_are_not_known_or_opens_fail),
        cmocka_unit_test(test_no_more_than_the_window),
        cmocka_unit_test(test_a_queue_that_was_not_through_in_the_time_of_an_open_gets_all_the_window),
        cmocka_unit_test(test_a_use_that_goes_on_counts_with_its_age),
        cmocka_unit_test(test_the_last_open_counts_when_it_was_slower),
        cmocka_unit_test(test_what_is_kept_is_wanted_without_waiters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
