// SPDX-License-Identifier: Apache-2.0
// Scenario soak against the reference broker: clients come and go while pairs publish, and the run ends with verdicts.
// tests/honesty/test_soak.py has a target whose memory grows.
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *verdict(const struct load_run *load, const char *name)
{
    json_t *verdicts = json_object_get(json_object_get(load->json, "summary"), "verdicts");
    const char *text = json_string_value(json_object_get(json_object_get(verdicts, name), "verdict"));
    assert_non_null(text);
    return text;
}

static void test_churn_and_messages_are_loaded_at_once(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        load_run_prepare(&load, process_port(broker), "soak", load_run_engines[i]);
        load_run_add(&load, "--connections", "50", "--churn-rate", "20", "--pairs", "3", "--publish-rate",
                     "100", "--duration", "2s", "--subscribe", "--prove", "--settle", "500ms", "--watch-pid",
                     watch, "--qos", "1", NULL);
        load_run_completes(&load);
        assert_int_equal(load_run_book(&load, "arrivals", "measured"), 40);
        assert_int_equal(load_run_book(&load, "probe_publishes", "measured"), 200);
        assert_int_equal(load_run_book(&load, "probe_deliveries", "measured"), 200);
        assert_int_equal(load_run_book(&load, "probe_acks", "measured"), 200);
        assert_true(load_run_metric(&load, "messages.received") == 200);
        assert_true(load_run_metric(&load, "arrivals.count") == 40);
        assert_true(load_run_metric(&load, "clients.alive") == 50);
        assert_true(load_run_metric(&load, "memory.after_bytes") > 0);
        assert_string_equal(verdict(&load, "memory"), "too short to tell");
        assert_string_equal(verdict(&load, "memory_above_20_percent_an_hour"), "too short to tell");
        assert_string_equal(verdict(&load, "pool_above_90_percent"), "not measured");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_the_pools_of_a_watched_record_are_judged(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "broker", record);
    // 104 connections of a pool of at most 110.
    struct process *broker =
        process_start_broker("--record", record, "--pool", "expand", "--initial", "10", "--max", "110", NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "soak", "raw");
    load_run_add(&load, "--connections", "100", "--churn-rate", "20", "--pairs", "2", "--publish-rate", "50",
                 "--duration", "3s", "--watch-record", record, NULL);
    load_run_completes(&load);
    assert_string_equal(verdict(&load, "pool_above_90_percent"), "rings");
    assert_true(load_run_metric(&load, "soak.pool_fullness") > 90);
    double reuse = load_run_metric(&load, "soak.reuse");
    assert_string_equal(verdict(&load, "reuse_below_50_percent"), reuse < 50 ? "rings" : "silent");
    assert_string_equal(verdict(&load, "memory"), "not measured");
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_churn_and_messages_are_loaded_at_once),
        cmocka_unit_test(test_the_pools_of_a_watched_record_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
