// SPDX-License-Identifier: Apache-2.0
// What poolmark-hot measures: each scenario runs with each contender, everybody is served where the backend
// works, and every metric is in the catalogue.
#include "base/clock.h"
#include "bench/hot/hot_bench.h"
#include "bench/hot/mqtt_client.h"
#include "tests/broker_inside.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct hot_bench_config small = {.threads = 6,
                                              .least = 2,
                                              .most = 6,
                                              .runs = 1,
                                              .connect_ns = NS_PER_MS,
                                              .use_ns = 100 * NS_PER_US,
                                              .phase_ns = 20 * NS_PER_MS,
                                              .operations = 3200};

static json_t *run(hot_scenario *scenario, const struct hot_contender *contender,
                   const struct hot_bench_config *config)
{
    struct err err = {0};
    json_t *metrics = json_object(), *value;
    const char *name;
    assert_int_equal(scenario(config, contender, metrics, &err), 0);
    json_object_foreach(metrics, name, value)
    {
        if (!metric_find(hot_bench_catalogue, name))
            fail_msg("%s is not in the catalogue", name);
    }
    return metrics;
}

static double number(const json_t *metrics, const char *name)
{
    const json_t *value = json_object_get(metrics, name);
    if (!value)
        fail_msg("%s is not there", name);
    return json_number_value(value);
}

static void test_a_spike_serves_all_and_counts_what_it_opened(void **state)
{
    (void)state;
    for (size_t i = 0; hot_contenders[i]; i++) {
        json_t *metrics = run(hot_spike, hot_contenders[i], &small);
        assert_true(number(metrics, "spike.failed") == 0);
        assert_true(number(metrics, "spike.connections_settled") <= 2 + number(metrics, "spike.opened"));
        assert_true(number(metrics, "spike.connections_settled") <= 6);
        assert_true(number(metrics, "spike.wait_ns.p50") <= number(metrics, "spike.wait_ns.max"));
        assert_null(json_object_get(metrics, "spike.wait_ns.p99")); // of six it would be the longest
        json_decref(metrics);
    }
}

static void test_a_grid_has_nine_cells_in_which_nobody_fails(void **state)
{
    (void)state;
    for (size_t i = 0; hot_contenders[i]; i++) {
        json_t *metrics = run(hot_grid, hot_contenders[i], &small);
        assert_int_equal(json_object_size(metrics), 9 * 3);
        assert_true(number(metrics, "grid.w8s2.failed") == 0);
        assert_true(number(metrics, "grid.w32s32.failed") == 0);
        json_decref(metrics);
    }
}

static void test_outages_end(void **state)
{
    (void)state;
    for (size_t i = 0; hot_contenders[i]; i++) {
        json_t *metrics = run(hot_outage, hot_contenders[i], &small);
        assert_true(number(metrics, "outage.silent.opens_tried") >= 0);
        json_decref(metrics);
        json_decref(run(hot_slow, hot_contenders[i], &small));
    }
}

static void test_pressure_drops_the_oldest_fifth_and_all_unhealthy(void **state)
{
    (void)state;
    json_t *metrics = run(hot_pressure, hot_contenders[0], &small);
    assert_true(number(metrics, "pressure.dropped_percent") == 20);
    assert_true(number(metrics, "pressure.oldest_percent") == 100);
    assert_true(number(metrics, "pressure.unhealthy_dropped_percent") == 100);
    json_decref(metrics);
}

static void test_samples_that_cannot_be_written_are_said(void **state)
{
    (void)state;
    struct hot_bench_config config = small;
    struct err err = {0};
    json_t *metrics = json_object();
    config.samples = "/nowhere/samples.csv";
    assert_int_equal(hot_spike(&config, hot_contenders[0], metrics, &err), -EIO);
    assert_non_null(strstr(err.text, "/nowhere/samples.csv"));
    json_decref(metrics);
}

static void test_reuse_memory_and_hosts_talk_to_a_broker(void **state)
{
    (void)state;
    struct broker_inside broker;
    struct hot_bench_config config = small;
    char target[32];
    broker_inside_start(&broker, "--threads", "2", NULL);
    snprintf(target, sizeof target, "127.0.0.1:%d", broker.port);
    config.target = target;
    config.connections = 40;
    config.hosts = 1;
    config.cycles = 2;
    json_t *metrics = run(hot_reuse, hot_contenders[0], &config);
    assert_true(number(metrics, "reuse.failed") == 0);
    assert_true(number(metrics, "reuse.warm_per_s") > 0);
    assert_true(number(metrics, "reuse.connect_per_s") > 0);
    json_decref(metrics);
    metrics = run(hot_memory, hot_contenders[0], &config);
    assert_true(number(metrics, "memory.connections") == 40);
    json_decref(metrics);
    metrics = run(hot_hosts, hot_contenders[0], &config);
    assert_true(number(metrics, "hosts.failed") == 0);
    assert_true(number(metrics, "hosts.created") == 1);
    json_decref(metrics);
    broker_inside_end(&broker);
}

static void test_a_client_notices_that_its_broker_is_gone(void **state)
{
    (void)state;
    struct broker_inside broker;
    struct mqtt_client *client, *other;
    char target[32];
    int64_t guard_ns = clock_now_ns() + 60 * NS_PER_S;
    broker_inside_start(&broker, "--threads", "2", NULL);
    snprintf(target, sizeof target, "127.0.0.1:%d", broker.port);
    assert_int_equal(mqtt_client_open(&client, target, guard_ns), 0);
    assert_int_equal(mqtt_client_publish(client), 0);
    assert_true(mqtt_client_is_open(client));
    broker_inside_end(&broker);
    while (mqtt_client_is_open(client) && clock_now_ns() < guard_ns) {
    }
    assert_false(mqtt_client_is_open(client));
    assert_true(mqtt_client_publish(client) < 0);
    assert_int_equal(mqtt_client_open(&other, target, guard_ns), -ECONNREFUSED);
    assert_int_equal(mqtt_client_open(&other, "nobody", guard_ns), -EINVAL);
    assert_int_equal(mqtt_client_open(&other, "127.0.0.1:0", guard_ns), -EINVAL);
    mqtt_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_spike_serves_all_and_counts_what_it_opened),
        cmocka_unit_test(test_a_grid_has_nine_cells_in_which_nobody_fails),
        cmocka_unit_test(test_outages_end),
        cmocka_unit_test(test_reuse_memory_and_hosts_talk_to_a_broker),
        cmocka_unit_test(test_a_client_notices_that_its_broker_is_gone),
        cmocka_unit_test(test_pressure_drops_the_oldest_fifth_and_all_unhealthy),
        cmocka_unit_test(test_samples_that_cannot_be_written_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
