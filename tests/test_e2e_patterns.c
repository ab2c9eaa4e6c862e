// SPDX-License-Identifier: Apache-2.0
// Scenario publish with patterns other than pairs, against the reference broker: every delivery is counted once.
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *pattern, *publishers, *subscribers;
    int deliveries; // of 300 messages, publishers in turn
} patterns[] = {
    {"fan-in", "12", "3", 900},
    {"fan-out", "2", "20", 6000},
    // Topics 0 to 3 have 2, 1, 1, 1 publishers, 60 messages each, and 2, 2, 1, 1 subscribers.
    {"topics:4", "5", "6", 2 * 60 * 2 + 60 * 2 + 60 + 60},
};
enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

static const char *const qos_of[] = {"0", "1", "2"};

static void assert_line(const struct load_run *load, const char *source, int attempted)
{
    json_t *line = json_object_get(json_object_get(load->json, "books"), source);
    assert_int_equal(json_integer_value(json_object_get(line, "attempted")), attempted);
    assert_int_equal(json_integer_value(json_object_get(line, "measured")), attempted);
}

static void test_each_subscriber_gets_each_message_of_its_topic_once(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < PATTERNS * LOAD_ENGINES * 3; i++) {
        int pattern = i % PATTERNS, engine = i / PATTERNS % LOAD_ENGINES, qos = i / PATTERNS / LOAD_ENGINES;
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "publish", load_run_engines[engine]);
        // Three workers: most publishers and subscribers are in different ones.
        load_run_add(&load, "--pattern", patterns[pattern].pattern, "--publishers",
                     patterns[pattern].publishers, "--subscribers", patterns[pattern].subscribers, "--qos",
                     qos_of[qos], "--publish-rate", "1000", "--duration", "300ms", "--warmup", "0",
                     "--workers", "3", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_string_equal(load_run_status(&load), "complete");
        assert_true(load_run_metric(&load, "messages.sent") == 300);
        assert_true(load_run_metric(&load, "deliveries.expected") == patterns[pattern].deliveries);
        assert_true(load_run_metric(&load, "messages.received") == patterns[pattern].deliveries);
        assert_true(load_run_metric(&load, "messages.lost") == 0);
        assert_true(load_run_metric(&load, "messages.duplicates") == 0);
        assert_true(load_run_metric(&load, "delivery.count") == patterns[pattern].deliveries);
        assert_true(load_run_metric(&load, "deliveries.rate") > load_run_metric(&load, "messages.rate"));
        assert_line(&load, "publishes", 300);
        assert_line(&load, "deliveries", patterns[pattern].deliveries);
        if (qos > 0)
            assert_line(&load, "acks", 300);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// A publisher sends again when its subscribers, which are in other workers, have taken half of its window.
static void test_without_a_rate_subscribers_set_the_pace(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < PATTERNS * LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "publish", load_run_engines[i % LOAD_ENGINES]);
        load_run_add(&load, "--pattern", patterns[i / LOAD_ENGINES].pattern, "--publish-rate", "0",
                     "--in-flight", "10", "--duration", "500ms", "--warmup", "100ms", "--workers", "2", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_string_equal(load_run_status(&load), "complete");
        // More than the windows that were full at the start.
        double publishers =
            (double)json_integer_value(json_object_get(json_object_get(load.json, "config"), "publishers"));
        assert_true(load_run_metric(&load, "messages.sent") > 10 * publishers);
        assert_true(load_run_metric(&load, "messages.received") ==
                    load_run_metric(&load, "deliveries.expected"));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_subscriber_gets_each_message_of_its_topic_once),
        cmocka_unit_test(test_without_a_rate_subscribers_set_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
