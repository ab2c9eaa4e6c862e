// SPDX-License-Identifier: Apache-2.0
#include "loadgen/flights.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_each_message_ends_once_in_any_order(void **state)
{
    (void)state;
    enum { MESSAGES = 1000 };
    static const int strides[] = {1, 999, 7, 501}; // in order, backwards, and two mixtures
    for (size_t s = 0; s < sizeof strides / sizeof strides[0]; s++) {
        int64_t budget = 1 << 20;
        struct flights flights = {.budget = &budget};
        for (int64_t i = 1; i <= MESSAGES; i++)
            assert_int_equal(flights_add(&flights, i * 10, i * 3), 0);
        for (int64_t i = 0; i < MESSAGES; i++) {
            int64_t sent_ns = (i * strides[s] % MESSAGES + 1) * 3;
            assert_int_equal(flights_left(&flights), MESSAGES - i);
            assert_true(flights_take(&flights, sent_ns));
            assert_false(flights_take(&flights, sent_ns));
            assert_false(flights_take(&flights, sent_ns + 1));
        }
        assert_int_equal(flights_left(&flights), 0);
        flights_free(&flights);
        assert_int_equal(budget, 1 << 20);
    }
}

// One in a hundred is lost: the list keeps these, and no more than twice their number of others.
static void test_what_has_ended_takes_no_memory_for_long(void **state)
{
    (void)state;
    int64_t budget = 1 << 20;
    struct flights flights = {.budget = &budget};
    for (int64_t i = 1; i <= 100000; i++) {
        assert_int_equal(flights_add(&flights, i, i), 0);
        if (i % 100 != 0)
            assert_true(flights_take(&flights, i));
    }
    assert_int_equal(flights_left(&flights), 1000);
    assert_true(flights.capacity <= 4096);
    int64_t seen = 0;
    for (uint32_t i = flights.first; i < flights.count; i++)
        if (flights.list[i].sent_ns)
            assert_int_equal(flights.list[i].intended_ns, ++seen * 100);
    assert_int_equal(seen, 1000);
    flights_free(&flights);
}

static void test_the_budget_is_a_bound(void **state)
{
    (void)state;
    int64_t budget = 100 * sizeof(struct flight);
    struct flights flights = {.budget = &budget};
    int64_t added = 0;
    while (flights_add(&flights, added + 1, added + 1) == 0)
        added++;
    assert_int_equal(flights_add(&flights, 999, 999), -ENOBUFS);
    assert_in_range(added, 1, 100);
    assert_true(budget >= 0);
    assert_true(flights_take(&flights, 1)); // and what is there is still found
    assert_int_equal(flights_left(&flights), added - 1);
    flights_free(&flights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_ends_once_in_any_order),
        cmocka_unit_test(test_what_has_ended_takes_no_memory_for_long),
        cmocka_unit_test(test_the_budget_is_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
