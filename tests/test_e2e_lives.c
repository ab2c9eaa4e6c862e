// SPDX-License-Identifier: Apache-2.0
// Scenarios in which clients leave and come back, against the reference broker: what was due, what came, and
// books that balance.
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// Every arrival that was due came.
static void assert_all_came(const struct load_run *load, int64_t connects, int64_t arrivals)
{
    assert_string_equal(load_run_status(load), "complete");
    assert_int_equal(load_run_book(load, "connects", "attempted"), connects);
    assert_int_equal(load_run_book(load, "connects", "measured"), connects);
    assert_int_equal(load_run_book(load, "arrivals", "attempted"), arrivals);
    assert_int_equal(load_run_book(load, "arrivals", "measured"), arrivals);
    assert_true(load_run_metric(load, "arrivals.count") == (double)arrivals);
    assert_true(load_run_metric(load, "arrival.count") == (double)arrivals);
    assert_true(load_run_metric(load, "arrival.p50") >=
                0.99 * load_run_metric(load, "arrival_uncorrected.p50"));
    assert_true(load_run_metric(load, "clients.connected") == (double)connects);
    assert_true(load_run_metric(load, "clients.dropped") == 0);
}

static void test_churn_lets_every_client_take_its_turns(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        load_run_prepare(&load, process_port(broker), "churn", load_run_engines[i]);
        // Half of the clients are away at any time; each has two seconds for a turn.
        load_run_add(&load, "--connections", "100", "--churn-rate", "50", "--away", "10ms", "--duration",
                     "1s", "--subscribe", "--prove", "--settle", "500ms", "--watch-pid", watch, NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_all_came(&load, 100, 50);
        assert_int_equal(load_run_book(&load, "subscribes", "measured"), 150);
        assert_true(load_run_metric(&load, "clients.alive") == 100);
        assert_true(load_run_metric(&load, "memory.peak_bytes") >=
                    load_run_metric(&load, "memory.full_bytes"));
        assert_true(load_run_metric(&load, "memory.after_bytes") > 0);
        // On a busy host the broker's share at rest may be too large beside so few arrivals (target_busy).
        assert_true(load_run_withholds(&load, "cpu.per_arrival_ns") ||
                    load_run_metric(&load, "cpu.per_arrival_ns") > 0);
        load_run_assert_file(&load, "latency.hlog", "Tag=arrival,");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_kept_sessions_are_resumed(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "churn", load_run_engines[i]);
        load_run_add(&load, "--connections", "50", "--churn-rate", "50", "--duration", "1s", "--subscribe",
                     "--keep-sessions", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_all_came(&load, 50, 50);
        assert_true(load_run_metric(&load, "arrivals.resumed") == 50);
        assert_int_equal(load_run_book(&load, "subscribes", "measured"),
                         50); // a resumed session has its subscription
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_clients_leave_by_disconnect_fin_and_reset(void **state)
{
    (void)state;
    static const char *const ways[] = {"disconnect", "fin", "rst", "mix"};
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 4; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "churn", "raw");
        load_run_add(&load, "--connections", "60", "--churn-rate", "60", "--duration", "1s", "--leave",
                     ways[i], NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_all_came(&load, 60, 60);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_a_poisson_schedule_is_that_of_its_seed(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    double counts[2];
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "churn", "raw");
        load_run_add(&load, "--connections", "200", "--churn-rate", "200", "--duration", "1s", "--schedule",
                     "poisson", "--seed", "7", "--workers", "2", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        counts[i] = load_run_metric(&load, "arrivals.count");
        assert_all_came(&load, 200, (int64_t)counts[i]);
        load_run_finish(&load);
    }
    assert_true(counts[0] == counts[1]);
    assert_true(counts[0] > 140 && counts[0] < 260); // 200 and four standard deviations
    assert_int_equal(process_stop(broker), 0);
}

static void test_a_turn_that_comes_too_early_is_in_the_books(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "churn", "raw");
    // Random turns: one client's come while it is away.
    load_run_add(&load, "--connections", "1", "--churn-rate", "100", "--away", "9ms", "--duration", "1s",
                 "--schedule", "poisson", NULL);
    assert_int_equal(load_run_to_end(&load), 1);
    assert_string_equal(load_run_status(&load), "incomplete");
    assert_true(load_run_book(&load, "arrivals", "not_sent") > 0);
    assert_int_equal(load_run_book(&load, "arrivals", "attempted"),
                     load_run_book(&load, "arrivals", "measured") +
                         load_run_book(&load, "arrivals", "not_sent"));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static void test_bursts_come_stay_and_leave(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "burst", load_run_engines[i]);
        load_run_add(&load, "--connections", "50", "--burst", "150", "--repeat", "2", "--stay", "100ms",
                     "--calm", "100ms", "--subscribe", "--prove", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_all_came(&load, 50, 300);
        assert_int_equal(load_run_book(&load, "arrivals_lines", "measured"), 300);
        assert_int_equal(load_run_book(&load, "subscribes", "measured"), 350);
        assert_true(load_run_metric(&load, "clients.alive") == 50);
        load_run_assert_file(&load, "arrivals.csv", "\n2,199,0,");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_after_a_storm_all_are_back(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "storm", load_run_engines[i]);
        load_run_add(&load, "--connections", "100", "--by-client", "--backoff", "10ms", "--backoff-max", "1s",
                     "--jitter", "0.5", "--subscribe", "--prove", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_all_came(&load, 100, 100);
        assert_true(load_run_metric(&load, "clients.alive") == 100);
        // Half of the first wait at least: clients that back off do so before their first try too.
        assert_true(load_run_metric(&load, "arrival.p50") >= 5e6 * 0.99);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_a_storm_that_does_not_come_ends_the_run(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "storm", "raw");
    load_run_add(&load, "--connections", "10", "--await", "200ms", NULL);
    assert_int_equal(load_run_to_end(&load), 1);
    assert_string_equal(load_run_status(&load), "incomplete");
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_churn_lets_every_client_take_its_turns),
        cmocka_unit_test(test_kept_sessions_are_resumed),
        cmocka_unit_test(test_clients_leave_by_disconnect_fin_and_reset),
        cmocka_unit_test(test_a_poisson_schedule_is_that_of_its_seed),
        cmocka_unit_test(test_a_turn_that_comes_too_early_is_in_the_books),
        cmocka_unit_test(test_bursts_come_stay_and_leave),
        cmocka_unit_test(test_after_a_storm_all_are_back),
        cmocka_unit_test(test_a_storm_that_does_not_come_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
