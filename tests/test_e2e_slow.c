// SPDX-License-Identifier: Apache-2.0
// Scenario slow against the reference broker: what the others get, what slow readers get and miss, and that they recover.
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// Ten subscribers, two of them slow: 100 messages before, 100 meanwhile, 100 after it.
static void prepare(struct load_run *load, uint16_t port, const char *engine)
{
    load_run_prepare(load, port, "slow", engine);
    load_run_add(load, "--subscribers", "10", "--slow-share", "0.2", "--publish-rate", "100",
                 "--message-bytes", "8KiB", "--before", "1s", "--duration", "1s", NULL);
}

static void test_slow_readers_recover_and_the_others_lose_nothing(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        prepare(&load, process_port(broker), load_run_engines[i]);
        load_run_add(&load, "--after", "1s", "--prove", NULL);
        load_run_completes(&load);
        assert_int_equal(load_run_book(&load, "publishes", "measured"), 300);
        assert_int_equal(load_run_book(&load, "deliveries", "attempted"), 8 * 300);
        assert_int_equal(load_run_book(&load, "deliveries", "measured"), 8 * 300);
        assert_int_equal(load_run_book(&load, "slow_deliveries", "attempted"), 2 * 300);
        assert_int_equal(load_run_book(&load, "slow_deliveries", "measured"), 2 * 300);
        assert_int_equal(load_run_book(&load, "recoveries", "measured"), 2);
        assert_true(load_run_metric(&load, "delivery_before.count") == 800);
        assert_true(load_run_metric(&load, "delivery.count") == 800);
        assert_true(load_run_metric(&load, "delivery_after.count") == 800);
        assert_true(load_run_metric(&load, "recovery.count") == 2);
        // A third of all waited for up to a second: the longest for most of it.
        assert_true(load_run_metric(&load, "delivery_slow.max") > 0.9e9);
        assert_true(load_run_metric(&load, "slow.closed") == 0);
        assert_true(load_run_metric(&load, "clients.alive") == 11);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_what_is_never_read_is_missed_and_no_loss(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        prepare(&load, process_port(broker), load_run_engines[i]);
        load_run_add(&load, "--after", "0", NULL);
        load_run_completes(&load);
        assert_int_equal(load_run_book(&load, "deliveries", "measured"), 8 * 200);
        assert_int_equal(load_run_book(&load, "slow_deliveries", "attempted"), 2 * 200);
        assert_true(load_run_book(&load, "slow_deliveries", "failed") >= 2 * 90);
        assert_int_equal(load_run_book(&load, "slow_deliveries", "attempted"),
                         load_run_book(&load, "slow_deliveries", "measured") +
                             load_run_book(&load, "slow_deliveries", "failed"));
        assert_true(load_run_metric(&load, "delivery_slow.censored") ==
                    load_run_metric(&load, "slow.missed"));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_a_rate_of_reading_is_kept(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        prepare(&load, process_port(broker), load_run_engines[i]);
        // 20 messages of 8 KiB a second, for a second, and no more.
        load_run_add(&load, "--after", "0", "--read-rate", "160KiB", NULL);
        load_run_completes(&load);
        double received = load_run_metric(&load, "slow.received");
        assert_true(received > 2 * 100 && received < 2 * 150);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_readers_recover_and_the_others_lose_nothing),
        cmocka_unit_test(test_what_is_never_read_is_missed_and_no_loss),
        cmocka_unit_test(test_a_rate_of_reading_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
