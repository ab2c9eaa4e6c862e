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

enum { CLIENTS = 40, FILTERS = 5, REPEATS = 2, ALL = CLIENTS * FILTERS * REPEATS };

// A change that is due while the client's change before is under way is not sent, by the definition of the scenario. On a
// busy host an answer may take long. So a run that has some is made again at a lower rate; at the lowest each client of the
// tests here has seconds for an answer.
struct rates {
    const char *const *list; // the highest first; NULL ends it
    int used;
};

// The rate of the next run; fails after the lowest.
static const char *next_rate(struct rates *rates)
{
    const char *rate = rates->list[rates->used++];
    if (!rate)
        fail_msg("at the lowest rate, too, changes were not sent since the one before was under way");
    return rate;
}

// The changes that were not sent are accounted for, whatever their number. Returns it.
static int64_t come_and_go(struct process *broker, const char *engine, const char *rate)
{
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "subscribe", engine);
    load_run_add(&load, "--connections", "40", "--filters", "5", "--repeat", "2", "--subscribe-rate", rate,
                 "--wildcards", "0.5", "--workers", "2", "--prove", NULL);
    int code = load_run_to_end(&load);
    int64_t added = load_run_book(&load, "subacks", "measured"),
            removed = load_run_book(&load, "unsubacks", "measured");
    int64_t not_sent =
        load_run_book(&load, "subacks", "not_sent") + load_run_book(&load, "unsubacks", "not_sent");
    assert_int_equal(code, not_sent > 0 ? 1 : 0);
    assert_string_equal(load_run_status(&load), not_sent > 0 ? "incomplete" : "complete");
    assert_int_equal(load_run_book(&load, "subacks", "attempted"), ALL);
    assert_int_equal(load_run_book(&load, "unsubacks", "attempted"), ALL);
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
    static const char *const list[] = {"500", "250", "100", "40", "16", NULL};
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct rates rates = {.list = list};
        while (come_and_go(broker, load_run_engines[i], next_rate(&rates)) > 0) {
        }
    }
    assert_int_equal(process_stop(broker), 0);
}

// A run against a broker that it starts, and gives. Of few subscriptions their memory cannot be told from the rest, so at
// least half of them have to stand.
static struct process *subscribe_many(struct load_run *load)
{
    enum { MOST = 100 * 200 };
    static const char *const list[] = {"40k", "10k", "2500", "600", NULL};
    struct rates rates = {.list = list};
    for (;;) {
        const char *rate = next_rate(&rates);
        struct process *broker = process_start_broker(NULL, NULL);
        char watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        load_run_prepare(load, process_port(broker), "subscribe", "raw");
        load_run_add(load, "--connections", "100", "--filters", "200", "--repeat", "1", "--subscribe-rate",
                     rate, "--settle", "500ms", "--watch-pid", watch, "--workers", "1", NULL);
        (void)load_run_to_end(load);
        double standing = load_run_metric(load, "subscriptions.standing");
        assert_true(standing >= 0 && standing <= MOST);
        if (standing >= MOST / 2.0)
            return broker;
        load_run_finish(load);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void test_memory_is_read_with_all_subscriptions_and_without(void **state)
{
    (void)state;
    struct load_run load;
    struct process *broker = subscribe_many(&load);
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

enum { RETAINED = 50, READERS = 20, ROUNDS = 2 };

// A run in which every client subscribed when it was due.
static void replay(struct process *broker, const char *engine, const char *qos, struct load_run *load)
{
    static const char *const list[] = {"100", "30", "10", NULL};
    struct rates rates = {.list = list};
    for (;;) {
        const char *rate = next_rate(&rates);
        load_run_prepare(load, process_port(broker), "subscribe", engine);
        load_run_add(load, "--connections", "20", "--retained", "50", "--repeat", "2", "--subscribe-rate",
                     rate, "--workers", "2", "--qos", qos, NULL);
        if (load_run_to_end(load) == 0)
            return;
        int64_t not_sent =
            load_run_book(load, "subacks", "not_sent") + load_run_book(load, "unsubacks", "not_sent");
        if (not_sent == 0) // it is not the rate
            load_run_check_complete(load, 1);
        load_run_finish(load);
    }
}

// At QoS 1 and 2 a session has what a client was sent and has not acknowledged: its bounds are above these numbers.
static void test_each_subscribe_brings_all_retained_messages(void **state)
{
    (void)state;
    static const char *const levels[] = {"0", "1", "2"};
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES * 3; i++) {
        struct load_run load;
        replay(broker, load_run_engines[i / 3], levels[i % 3], &load);
        assert_int_equal(load_run_book(&load, "retains", "measured"), 2 * RETAINED); // published, and removed
        assert_int_equal(load_run_book(&load, "replays", "measured"), READERS * ROUNDS);
        assert_int_equal(load_run_book(&load, "replayed", "measured"), READERS * ROUNDS * RETAINED);
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
