// SPDX-License-Identifier: Apache-2.0
// Scenario subscribe against the reference broker: every subscription that was due came and went, and the memory of
// all of them was seen.
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int64_t book(const struct load_run *load, const char *source, const char *column)
{
    json_t *line = json_object_get(json_object_get(load->json, "books"), source);
    assert_non_null(line);
    return json_integer_value(json_object_get(line, column));
}

enum { CLIENTS = 40, FILTERS = 5, REPEATS = 2, ALL = CLIENTS * FILTERS * REPEATS };

// A change that is due while the client's change before is under way is not sent, by the definition of the scenario. Each
// client has one due every 80 ms, and on a busy host an answer may take longer: so these are accounted for, whatever their
// number. Returns it.
static int64_t come_and_go(struct process *broker, const char *engine)
{
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "subscribe", engine);
    load_run_add(&load, "--connections", "40", "--filters", "5", "--repeat", "2", "--subscribe-rate", "500",
                 "--wildcards", "0.5", "--workers", "2", "--prove", NULL);
    int code = load_run_to_end(&load);
    int64_t added = book(&load, "subacks", "measured"), removed = book(&load, "unsubacks", "measured");
    int64_t not_sent = book(&load, "subacks", "not_sent") + book(&load, "unsubacks", "not_sent");
    assert_int_equal(code, not_sent > 0 ? 1 : 0);
    assert_string_equal(load_run_status(&load), not_sent > 0 ? "incomplete" : "complete");
    assert_int_equal(book(&load, "subacks", "attempted"), ALL);
    assert_int_equal(book(&load, "unsubacks", "attempted"), ALL);
    assert_int_equal(added + removed + not_sent, 2 * ALL);
    assert_true(load_run_metric(&load, "subscriptions.added") == (double)added);
    assert_true(load_run_metric(&load, "subscriptions.removed") == (double)removed);
    assert_true(load_run_metric(&load, "subscriptions.not_sent") == (double)not_sent);
    assert_true(load_run_metric(&load, "subscribe.count") == (double)added);
    assert_true(load_run_metric(&load, "subscribe.p50") > 0);
    assert_true(load_run_metric(&load, "unsubscribe.p50") > 0);
    assert_true(load_run_metric(&load, "clients.alive") == CLIENTS);
    load_run_assert_file(&load, "latency.hlog", "Tag=unsubscribe,");
    load_run_finish(&load);
    return not_sent;
}

static void test_all_subscriptions_come_and_go(void **state)
{
    (void)state;
    enum { ATTEMPTS = 10 }; // until one had a host that let every answer come in time
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        int attempt = 0;
        while (attempt < ATTEMPTS && come_and_go(broker, load_run_engines[i]) > 0)
            attempt++;
        assert_true(attempt < ATTEMPTS);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_memory_is_read_with_all_subscriptions_and_without(void **state)
{
    (void)state;
    enum { MOST = 100 * 200 };
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    char watch[16];
    snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
    load_run_prepare(&load, process_port(broker), "subscribe", "raw");
    load_run_add(&load, "--connections", "100", "--filters", "200", "--repeat", "1", "--subscribe-rate",
                 "40k", "--settle", "500ms", "--watch-pid", watch, "--workers", "1", NULL);
    (void)load_run_to_end(
        &load); // on a busy host a client's change may still be under way when its next is due
    double standing = load_run_metric(&load, "subscriptions.standing");
    assert_true(standing > 0 && standing <= MOST);
    assert_true(load_run_metric(&load, "memory.subscribed_bytes") >
                load_run_metric(&load, "memory.full_bytes"));
    assert_true(load_run_metric(&load, "memory.peak_bytes") >=
                load_run_metric(&load, "memory.subscribed_bytes"));
    assert_true(load_run_metric(&load, "memory.after_bytes") > 0);
    // A subscription is some structure and a place in a tree: no less than a pointer, no more than a page.
    double each = load_run_metric(&load, "memory.per_subscription_bytes");
    assert_true(each > 8 && each < 4096);
    assert_true(load_run_metric(&load, "cpu.per_change_ns") > 0);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// At QoS 1 and 2 a session has what a client was sent and has not acknowledged: its bounds are above these numbers.
static void test_each_subscribe_brings_all_retained_messages(void **state)
{
    (void)state;
    enum { RETAINED = 50, READERS = 20, ROUNDS = 2 };
    static const char *const levels[] = {"0", "1", "2"};
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES * 3; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "subscribe", load_run_engines[i / 3]);
        load_run_add(&load, "--connections", "20", "--retained", "50", "--repeat", "2", "--subscribe-rate",
                     "100", "--workers", "2", "--qos", levels[i % 3], NULL);
        load_run_completes(&load);
        assert_int_equal(book(&load, "retains", "measured"), 2 * RETAINED); // published, and removed
        assert_int_equal(book(&load, "replays", "measured"), READERS * ROUNDS);
        assert_int_equal(book(&load, "replayed", "measured"), READERS * ROUNDS * RETAINED);
        assert_true(load_run_metric(&load, "replay.messages") == READERS * ROUNDS * RETAINED);
        assert_true(load_run_metric(&load, "replay.count") == READERS * ROUNDS);
        assert_true(load_run_metric(&load, "replay.p50") > 0);
        assert_true(load_run_metric(&load, "subscriptions.added") == READERS * ROUNDS);
        load_run_assert_file(&load, "latency.hlog", "Tag=replay,");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_subscriptions_come_and_go),
        cmocka_unit_test(test_memory_is_read_with_all_subscriptions_and_without),
        cmocka_unit_test(test_each_subscribe_brings_all_retained_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
