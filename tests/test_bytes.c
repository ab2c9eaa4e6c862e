// SPDX-License-Identifier: Apache-2.0
// Bytes by account: sums, when they are read, and that books are what the heap has. tests/test_e2e_account.c has whole
// processes.
#include "broker/bytes.h"

#include "base/clock.h"
#include "base/heap.h"
#include "broker/mqtt/topics.h"
#include "tests/broker_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_accounts_add_up_and_slabs_are_maps_of_pools(void **state)
{
    (void)state;
    struct broker_inside inside;
    struct bytes_start start;
    struct bytes bytes;
    bytes_begin(&start);
    broker_inside_start(&inside, "--pool", "slab", "--shape", "classic", "--initial", "2000", "--threads",
                        "2", NULL);
    assert_int_equal(bytes_read(inside.broker, &start, &bytes), 0);
    int64_t sum = 0;
    for (int i = 0; i < BYTES_ACCOUNT_COUNT; i++)
        sum += bytes.account[i];
    assert_int_equal(sum, bytes.pss);
    assert_int_equal(bytes.connections, 0);
    assert_int_equal(bytes.account[BYTES_OBJECTS], 0);
    assert_true(bytes.account[BYTES_RESERVE] >= 2000 * 3072);
    assert_true(bytes.maps >= 2000 * 3072); // the reserve is resident
    assert_true(bytes.account[BYTES_LOOPS] >= 2 * 65536);
    broker_inside_end(&inside);
}

static void bytes_are_worth_a_line_at_a_new_level_and_after_a_while(void **state)
{
    (void)state;
    struct bytes_moments moments = {0};
    int64_t now_ns = NS_PER_S;
    assert_null(bytes_moment(&moments, 1000, now_ns));                  // they may still be coming
    assert_string_equal(bytes_moment(&moments, 1000, now_ns), "level"); // none came for a second
    assert_null(bytes_moment(&moments, 1000, now_ns));                  // it has a line
    assert_null(bytes_moment(&moments, 1050, now_ns));
    assert_null(bytes_moment(&moments, 1050, now_ns)); // a twentieth is no other level
    assert_null(bytes_moment(&moments, 1051, now_ns));
    assert_string_equal(bytes_moment(&moments, 1051, now_ns), "level");
    assert_null(bytes_moment(&moments, 500, now_ns));
    assert_string_equal(bytes_moment(&moments, 500, now_ns), "level"); // also of fewer
    assert_null(bytes_moment(&moments, 0, now_ns));
    assert_null(bytes_moment(&moments, 0, now_ns)); // too few for a line
    assert_null(bytes_moment(&moments, 0, now_ns + BYTES_PERIOD_NS - 1));
    assert_string_equal(bytes_moment(&moments, 0, now_ns + BYTES_PERIOD_NS), "later");
    assert_null(bytes_moment(&moments, 0, now_ns + BYTES_PERIOD_NS + 1));
}

enum { FILTERS = 3000, SHARERS = 200 };

static void subscribe(struct topics *topics, struct topics_subscriber *subscriber, const char *format,
                      int number)
{
    char filter[64];
    snprintf(filter, sizeof filter, format, number);
    assert_int_equal(topics_subscribe(topics, subscriber, mqtt_text_of(filter), 1), 1);
}

// Own filters, one filter of many, many children of one node, and levels in a row.
static void subscribe_all(struct topics *topics, struct topics_subscriber *subscribers)
{
    for (int i = 0; i < FILTERS; i++)
        subscribe(topics, &subscribers[i], "site/%d/state", i);
    for (int i = 0; i < SHARERS; i++)
        subscribe(topics, &subscribers[i], "news", i);
    for (int i = 0; i < SHARERS; i++)
        subscribe(topics, &subscribers[i], "a/b/c/d/e/f/%d/g/h", i);
}

static void the_book_of_subscriptions_is_what_the_heap_has(void **state)
{
    (void)state;
    struct topics *topics;
    struct topics_subscriber *subscribers = calloc(FILTERS, sizeof *subscribers);
    assert_non_null(subscribers);
    assert_int_equal(topics_open(&topics, NULL), 0);
    int64_t empty = topics_bytes(topics), heap_before = heap_read().in_use_bytes;
    subscribe_all(topics, subscribers);
    int64_t booked = topics_bytes(topics) - empty, heap = heap_read().in_use_bytes - heap_before;
    assert_true(booked > FILTERS * 100);
    if (strcmp(heap_name(), "glibc") == 0) // of which the books have the rounding
        assert_in_range(booked, heap - heap / 100, heap + heap / 100);
    assert_true(topics_is_valid(topics));
    for (int i = 0; i < FILTERS; i++)
        topics_leave(topics, &subscribers[i]);
    assert_int_equal(topics_bytes(topics), empty);
    topics_close(topics);
    free(subscribers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accounts_add_up_and_slabs_are_maps_of_pools),
        cmocka_unit_test(bytes_are_worth_a_line_at_a_new_level_and_after_a_while),
        cmocka_unit_test(the_book_of_subscriptions_is_what_the_heap_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
