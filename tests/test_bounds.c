// SPDX-License-Identifier: Apache-2.0
// The bounds of memory that the broker computes from its options, and what it says of them.
#include "broker/bounds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MIB = 1 << 20 };

static struct bounds bounds_for(int argc, const char *const *arguments, int64_t descriptors)
{
    struct broker_config config;
    struct err err = {0};
    if (broker_config_parse(&config, argc, (char **)(uintptr_t)arguments, &err) != OPTS_RUN)
        fail_msg("%s", err.text);
    return bounds_of(&config, descriptors);
}

#define BOUNDS(descriptors, ...)                                                                             \
    bounds_for((int)(sizeof((const char *const[]){"broker", __VA_ARGS__}) / sizeof(char *)),                 \
               (const char *const[]){"broker", __VA_ARGS__}, (descriptors))

static void expect_printed(const struct bounds *bounds, const char *words)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    bounds_print(bounds, to);
    fclose(to);
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in: %s", words, text);
    free(text);
}

static void the_whole_is_the_limit_and_what_the_broker_takes_itself(void **state)
{
    (void)state;
    struct bounds one = BOUNDS(1000, "--memory-limit", "64MiB", "--threads", "1");
    struct bounds four = BOUNDS(1000, "--memory-limit", "64MiB", "--threads", "4");
    assert_int_equal(one.limit, 64 * MIB);
    assert_int_equal(one.whole, one.limit + one.own);
    assert_true(four.own > one.own + 3 * 12 * MIB); // each thread's mailbox
    expect_printed(&one, "64.0 MiB for clients (--memory-limit)");
}

static void a_client_is_its_objects_a_packet_and_two_queues(void **state)
{
    (void)state;
    struct bounds bounds =
        BOUNDS(1000, "--max-packet-size", "1MiB", "--max-queued-bytes", "2MiB", "--shape",
               "object=1024,read=1024,write=1024,arena=1024,eager", "--max-connections", "10");
    assert_int_equal(bounds.client, 4096 + 5 * MIB);
    assert_int_equal(bounds.clients, 10);
    assert_int_equal(bounds.all_clients, 10 * bounds.client);
}

static void without_max_connections_there_are_as_many_as_descriptors(void **state)
{
    (void)state;
    assert_int_equal((BOUNDS(777, "--threads", "1")).clients, 777);
    assert_int_equal((BOUNDS(777, "--max-connections", "1M")).clients, 777);
}

static void what_has_no_bound_says_so(void **state)
{
    (void)state;
    struct bounds any = BOUNDS(10, "--max-queued-bytes", "0");
    struct bounds some = BOUNDS(10, "--max-retained-bytes", "5MiB");
    assert_true(any.client == BOUNDS_ANY && any.all_clients == BOUNDS_ANY && any.retained == BOUNDS_ANY);
    expect_printed(&any, "one client takes at most any number of bytes");
    assert_int_equal(some.retained, 5 * MIB);
    expect_printed(&some, "retained messages 5.00 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_is_the_limit_and_what_the_broker_takes_itself),
        cmocka_unit_test(a_client_is_its_objects_a_packet_and_two_queues),
        cmocka_unit_test(without_max_connections_there_are_as_many_as_descriptors),
        cmocka_unit_test(what_has_no_bound_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
