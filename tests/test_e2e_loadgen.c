// SPDX-License-Identifier: Apache-2.0
// The load generator as a program, against the reference broker and against mosquitto: runs that succeed, and
// their records.
#include "loadgen/ports.h"
#include "tests/load_run.h"
#include "tests/mosquitto_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check_connects(uint16_t port, pid_t pid, const char *engine)
{
    struct load_run load;
    char watch[16];
    snprintf(watch, sizeof watch, "%d", (int)pid);
    load_run_prepare(&load, port, "connect", engine);
    load_run_add(&load, "--connections", "200", "--subscribe", "--prove", "--settle", "1s", "--watch-pid",
                 watch, NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_string_equal(load_run_status(&load), "complete");
    assert_true(load_run_metric(&load, "clients.connected") == 200);
    assert_true(load_run_metric(&load, "clients.alive") == 200);
    assert_true(load_run_metric(&load, "clients.failed") == 0);
    assert_true(load_run_metric(&load, "connect.count") == 200);
    assert_true(load_run_metric(&load, "connect.rate") > 0);
    assert_true(load_run_metric(&load, "memory.full_bytes") > 0);
    load_run_assert_file(&load, "latency.hlog", "Tag=connect,");
    load_run_assert_file(&load, "memory.csv", ",hold,200,");
    load_run_finish(&load);
}

static void check_publishes(uint16_t port, const char *engine, const char *qos)
{
    struct load_run load;
    load_run_prepare(&load, port, "publish", engine);
    load_run_add(&load, "--pairs", "10", "--qos", qos, "--publish-rate", "500", "--duration", "1s",
                 "--warmup", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_string_equal(load_run_status(&load), "complete");
    assert_true(load_run_metric(&load, "messages.sent") == 500);
    assert_true(load_run_metric(&load, "messages.received") == 500);
    assert_true(load_run_metric(&load, "messages.lost") == 0);
    assert_true(load_run_metric(&load, "delivery.count") == 500);
    // Of fewer messages, each from a later time: its maximum is the only figure that cannot be larger.
    assert_true(load_run_metric(&load, "delivery.max") >= load_run_metric(&load, "delivery_uncorrected.max"));
    if (qos[0] != '0')
        assert_true(load_run_metric(&load, "ack.count") == 500);
    load_run_assert_file(&load, "latency.hlog", "Tag=delivery,");
    load_run_finish(&load);
}

static void test_both_engines_connect_to_the_reference_broker(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++)
        check_connects(process_port(broker), process_pid(broker), load_run_engines[i]);
    assert_int_equal(process_stop(broker), 0);
}

static void test_both_engines_publish_at_every_qos(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        check_publishes(process_port(broker), load_run_engines[i], "0");
        check_publishes(process_port(broker), load_run_engines[i], "1");
        check_publishes(process_port(broker), load_run_engines[i], "2");
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_connects_at_a_rate_are_measured_from_their_intended_times(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "100", "--rate", "500", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_true(load_run_metric(&load, "connect.count") == 100);
        assert_true(load_run_metric(&load, "connect.max") >=
                    load_run_metric(&load, "connect_uncorrected.p50"));
        assert_true(load_run_metric(&load, "connect.seconds") >= 0.198); // the hundredth is due then
        assert_true(load_run_metric(&load, "schedule.lag_max") >= load_run_metric(&load, "schedule.lag_p99"));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_publishing_without_a_rate_loses_nothing(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "publish", load_run_engines[i]);
        load_run_add(&load, "--pairs", "4", "--publish-rate", "0", "--qos", "1", "--duration", "500ms",
                     "--warmup", "0", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_true(load_run_metric(&load, "messages.sent") > 0);
        assert_true(load_run_metric(&load, "messages.received") == load_run_metric(&load, "messages.sent"));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_steps_are_in_the_record_and_in_a_table(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        char watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        load_run_prepare(&load, process_port(broker), "steps", load_run_engines[i]);
        load_run_add(&load, "--steps", "10,60", "--probe", "4", "--prove", "--settle", "500ms", "--duration",
                     "300ms", "--watch-pid", watch, NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_string_equal(load_run_status(&load), "complete");
        json_t *steps = json_object_get(load.json, "steps");
        assert_int_equal(json_array_size(steps), 2);
        json_t *last = json_array_get(steps, 1);
        assert_int_equal(json_integer_value(json_object_get(last, "connections")), 60);
        assert_true(json_integer_value(json_object_get(last, "target_pss_bytes")) > 0);
        assert_true(json_integer_value(json_object_get(last, "probe_messages")) > 0);
        assert_true(load_run_metric(&load, "clients.alive") == 60);
        load_run_assert_file(&load, "steps.csv", "at_ns,connections,took_ns,target_pss_bytes");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_the_generator_measures_itself(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "2", "--self-latency", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_true(load_run_metric(&load, "generator.added_latency_p99") >=
                    load_run_metric(&load, "generator.added_latency_p50"));
        assert_true(load_run_metric(&load, "generator.added_latency_p50") > 0);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void assert_first_progress(struct load_run *load, const char *first)
{
    struct process *generator = process_start("poolmark-loadgen", load->arguments);
    while (process_wait_line(generator, "")) // until it has closed its stdout
        ;
    char line[256];
    snprintf(line, sizeof line, "%s", process_errors(generator));
    line[strcspn(line, "\n")] = '\0';
    if (!strstr(line, first))
        fail_msg("\"%s\" does not say \"%s\"", line, first);
    assert_int_equal(process_wait(generator), 0);
    load_run_finish(load);
}

static void test_progress_knows_what_is_wanted_from_its_first_line(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    load_run_add(&load, "--connections", "7", "--settle", "0", NULL);
    assert_first_progress(&load, " of 7 connected");
    load_run_prepare(&load, process_port(broker), "publish", "raw");
    load_run_add(&load, "--pairs", "2", "--warmup", "0", "--duration", "100ms", NULL);
    assert_first_progress(&load, " of 4 connected");
    load_run_prepare(&load, process_port(broker), "steps", "raw");
    load_run_add(&load, "--steps", "3,9", "--settle", "0", "--duration", "100ms", NULL);
    assert_first_progress(&load, " of 3 connected (step 3 of 9)");
    assert_int_equal(process_stop(broker), 0);
}

// mosquitto 2.0.11 acknowledges at QoS 2 what exceeds its 20 messages in flight, and does not deliver it.
static void check_publishes_without_a_rate_at_qos_2(uint16_t port)
{
    struct load_run load;
    load_run_prepare(&load, port, "publish", "raw");
    load_run_add(&load, "--pairs", "4", "--publish-rate", "0", "--qos", "2", "--duration", "500ms",
                 "--warmup", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_true(load_run_metric(&load, "messages.lost") == 0);
    assert_true(load_run_metric(&load, "messages.received") > 80);
    load_run_finish(&load);
}

static void test_mosquitto_is_a_target_like_any_other(void **state)
{
    (void)state;
    if (!mosquitto_is_installed())
        skip();
    char dir[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    uint16_t port;
    struct process *mosquitto = mosquitto_start(dir, "allow_anonymous true\n", &port);
    for (int i = 0; i < 2; i++) {
        check_connects(port, process_pid(mosquitto), load_run_engines[i]);
        check_publishes(port, load_run_engines[i], "1");
    }
    check_publishes_without_a_rate_at_qos_2(port);
    process_stop(mosquitto);
    temp_dir_remove(dir);
}

static const char *ports_way(const struct load_run *load)
{
    const json_t *ports = json_object_get(json_object_get(load->json, "config"), "ports");
    return json_string_value(json_object_get(ports, "way"));
}

static void test_the_record_says_who_chose_the_ports(void **state)
{
    (void)state;
    static const char *const ways[] = {"kernel", "bind", "range"};
    struct ports here;
    bool has_range = ports_choose(&here, PORTS_RANGE, true, "", NULL) == 0;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < (has_range ? 3 : 2); i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", "raw");
        load_run_add(&load, "--connections", "300", "--ports", ways[i], "--settle", "0", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_true(load_run_metric(&load, "clients.connected") == 300);
        assert_string_equal(ports_way(&load), ways[i]);
        load_run_finish(&load);
    }
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "paho");
    load_run_add(&load, "--connections", "10", "--settle", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_string_equal(ports_way(&load), "kernel");
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_engines_connect_to_the_reference_broker),
        cmocka_unit_test(test_both_engines_publish_at_every_qos),
        cmocka_unit_test(test_the_record_says_who_chose_the_ports),
        cmocka_unit_test(test_connects_at_a_rate_are_measured_from_their_intended_times),
        cmocka_unit_test(test_publishing_without_a_rate_loses_nothing),
        cmocka_unit_test(test_steps_are_in_the_record_and_in_a_table),
        cmocka_unit_test(test_the_generator_measures_itself),
        cmocka_unit_test(test_progress_knows_what_is_wanted_from_its_first_line),
        cmocka_unit_test(test_mosquitto_is_a_target_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
