// SPDX-License-Identifier: Apache-2.0
// The metrics page and the statistics for people, of a broker that runs in this process.
#include "broker/metrics.h"
#include "broker/statistics.h"
#include "tests/broker_inside.h"
#include "tests/http_get.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int set_up(void **state)
{
    static struct broker_inside inside;
    broker_inside_start(&inside, "--pool", "expand", "--metrics", "127.0.0.1:0", NULL);
    *state = &inside;
    return 0;
}

static int tear_down(void **state)
{
    broker_inside_end(*state);
    return 0;
}

static void the_page_tells_what_the_broker_does(void **state)
{
    struct broker_inside *inside = *state;
    struct http_page *metrics;
    struct err err = {0};
    struct raw_client client;
    if (metrics_open(&metrics, inside->broker, &inside->config.metrics_address, &err) < 0)
        fail_msg("%s", err.text);
    uint16_t port = broker_inside_port(&inside->config.metrics_address);
    raw_connect_clean(&client, inside->port, "one");
    raw_subscribe(&client, "a/b", 1);
    raw_publish(&client, "a/b", "hello", 0, true);
    raw_expect_publish(&client, "a/b", "hello", 0);
    char *page;
    assert_int_equal(http_request("GET", port, "/metrics", &page), 200);
    assert_non_null(strstr(page, "text/plain; version=0.0.4"));
    assert_non_null(strstr(page, "# TYPE poolmark_broker_connections gauge\n"));
    assert_non_null(strstr(page, "\npoolmark_broker_connections 1\n"));
    assert_non_null(strstr(page, "\npoolmark_broker_sessions 1\n"));
    assert_non_null(strstr(page, "\npoolmark_broker_subscriptions 1\n"));
    assert_non_null(strstr(page, "\npoolmark_broker_retained_messages 1\n"));
    assert_non_null(strstr(page, "\npoolmark_broker_accepted_total 1\n"));
    assert_non_null(
        strstr(page, "\npoolmark_pool_in_use_objects{pool=\"connections\",strategy=\"expand\"} 1\n"));
    assert_non_null(
        strstr(page, "\npoolmark_pool_owned_objects{pool=\"connections\",strategy=\"expand\"} 1024\n"));
    assert_non_null(strstr(page, "\npoolmark_process_resident_bytes "));
    free(page);
    assert_int_equal(http_request("GET", port, "/", NULL), 404);
    assert_int_equal(http_request("POST", port, "/metrics", NULL), 405);
    raw_close(&client);
    http_page_close(metrics);
}

static void a_port_that_is_taken_is_named(void **state)
{
    struct broker_inside *inside = *state;
    struct http_page *metrics;
    struct err err = {0};
    char text[ADDRESS_TEXT_BYTES];
    assert_true(metrics_open(&metrics, inside->broker, &inside->address, &err) < 0);
    assert_non_null(strstr(err.text, address_format(&inside->address, text)));
}

static void each_metric_has_its_help_and_type_once(void **state)
{
    struct broker_inside *inside = *state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *page = open_memstream(&text, &bytes);
    struct broker_statistics statistics;
    broker_statistics(inside->broker, &statistics);
    statistics_print_prometheus(&statistics, &inside->config, page);
    fclose(page);
    int helps = 0, types = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        helps += strncmp(line, "# HELP poolmark_", 16) == 0;
        types += strncmp(line, "# TYPE poolmark_", 16) == 0;
        assert_true(line[0] == '#' || strncmp(line, "poolmark_", 9) == 0);
    }
    assert_int_equal(helps, types);
    assert_true(helps > 30);
    free(text);
}

static void the_statistics_for_people_end_with_their_last_line(void **state)
{
    struct broker_inside *inside = *state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    struct broker_statistics statistics;
    broker_statistics(inside->broker, &statistics);
    statistics_print(&statistics, broker_pools(inside->broker), NULL, to);
    fclose(to);
    assert_non_null(strstr(text, "connections 0, sessions 0"));
    assert_non_null(strstr(text, "messages_received"));
    assert_non_null(strstr(text, "arenas"));
    const char *end = "\nend of statistics\n";
    assert_string_equal(text + bytes - strlen(end), end);
    free(text);
}

static void a_hit_rate_without_gets_is_perfect(void **state)
{
    (void)state;
    struct pool_stats none = {0}, some = {.gets = 4, .hits = 3};
    assert_true(statistics_hit_rate(&none) == 1.0);
    assert_true(statistics_hit_rate(&some) == 0.75);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_page_tells_what_the_broker_does),
        TEST(a_port_that_is_taken_is_named),
        TEST(each_metric_has_its_help_and_type_once),
        TEST(the_statistics_for_people_end_with_their_last_line),
        cmocka_unit_test(a_hit_rate_without_gets_is_perfect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
