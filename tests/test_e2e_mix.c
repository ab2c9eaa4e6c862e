// SPDX-License-Identifier: Apache-2.0
// A mix against the reference broker: each group did in each phase what the file says, and every count is in the books
// of that group and phase.
#include "tests/load_run.h"
#include "tests/mix_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_line(const struct load_run *load, const char *source, int64_t attempted)
{
    assert_int_equal(load_run_book(load, source, "attempted"), attempted);
    assert_int_equal(load_run_book(load, source, "measured"), attempted);
}

static void assert_metric(const struct load_run *load, const char *name, double value)
{
    double found = load_run_metric(load, name);
    if (found != value)
        fail_msg("%s is %.10g, and not %.10g", name, found, value);
}

static void assert_no_metric(const struct load_run *load, const char *name)
{
    if (json_object_get(json_object_get(load->json, "metrics"), name))
        fail_msg("the record has %s", name);
}

static const char office[] = "group sensors role=publisher connections=12 qos=1 workers=3\n"
                             "group boards role=subscriber from=sensors connections=3\n"
                             "group archive role=subscriber from=sensors connections=1 qos=0\n"
                             "group control role=publisher connections=2 pattern=fan-out topic=house/lights\n"
                             "group lights role=subscriber from=control connections=5 workers=2\n"
                             "group chat role=pairs connections=8 qos=2 payload=40..90\n"
                             "group phones role=idle connections=40 subscribe\n"
                             "phase arrive\n"
                             "sensors do=connect\n"
                             "boards do=connect\n"
                             "archive do=connect\n"
                             "control do=connect\n"
                             "lights do=connect rate=100\n"
                             "chat do=connect\n"
                             "phones do=connect to=30\n"
                             "phase day duration=1s\n"
                             "sensors do=publish rate=300\n"
                             "control do=publish rate=100\n"
                             "chat do=publish every=80ms\n"
                             "phones do=churn rate=15\n"
                             "phase night duration=500ms\n"
                             "sensors do=publish rate=50\n"
                             "phones do=storm\n"
                             "phase more\n"
                             "phones do=connect\n"
                             "boards do=subscribe rate=1000\n"
                             "phase less\n"
                             "phones do=leave to=5\n"
                             "boards do=unsubscribe rate=1000\n";

static void assert_office(const struct load_run *load)
{
    assert_line(load, "connects", 12 + 3 + 1 + 2 + 5 + 8 + 30);
    assert_line(load, "sensors.arrive.connects", 12);
    assert_line(load, "boards.arrive.subscribes", 3);
    assert_line(load, "lights.arrive.connects", 5);
    assert_line(load, "phones.arrive.connects", 30);
    assert_metric(load, "chat.arrive.clients.connected", 8);
    assert_metric(load, "phones.arrive.connect.count", 30);
    assert_metric(load, "phones.day.clients.dropped", 0);
    assert_no_metric(load, "phones.day.connect.count");

    // 300 messages of the sensors, at three boards and an archive.
    assert_line(load, "sensors.day.publishes", 300);
    assert_line(load, "sensors.day.acks", 300);
    assert_line(load, "boards.day.deliveries", 900);
    assert_line(load, "archive.day.deliveries", 300);
    assert_metric(load, "sensors.day.messages.sent", 300);
    assert_metric(load, "sensors.day.messages.rate_asked", 300);
    assert_metric(load, "boards.day.deliveries.expected", 900);
    assert_metric(load, "boards.day.messages.received", 900);
    assert_metric(load, "boards.day.delivery.count", 900);
    assert_no_metric(load, "sensors.day.delivery.count");
    assert_no_metric(load, "boards.day.ack.count");
    // 100 of control to five lights; eight clients are four pairs, with a message in 80 ms each.
    assert_line(load, "control.day.publishes", 100);
    assert_line(load, "lights.day.deliveries", 500);
    assert_line(load, "chat.day.publishes", 50);
    assert_line(load, "chat.day.deliveries", 50);
    assert_line(load, "chat.day.acks", 50);
    assert_line(load, "phones.day.arrivals", 15);
    assert_metric(load, "phones.day.arrival.count", 15);

    assert_line(load, "sensors.night.publishes", 25);
    assert_line(load, "boards.night.deliveries", 75);
    assert_no_metric(load, "lights.night.messages.received");
    assert_line(load, "phones.night.arrivals", 30);
    assert_line(load, "phones.more.arrivals", 10); // of those that had not come
    assert_line(load, "boards.more.subacks", 3);   // one each: on a busy host a second could come too early
    assert_line(load, "boards.less.unsubacks", 3);

    assert_metric(load, "phase.arrive.connections", 61);
    assert_metric(load, "phase.more.connections", 71);
    assert_metric(load, "phase.less.connections", 36);
    // The sums.
    assert_line(load, "publishes", 300 + 100 + 50 + 25);
    assert_line(load, "deliveries", 900 + 300 + 500 + 50 + 75 + 25);
    assert_line(load, "arrivals", 15 + 30 + 10);
    assert_metric(load, "messages.lost", 0);
    assert_metric(load, "messages.duplicates", 0);
    load_run_assert_file(load, "latency.hlog", "Tag=boards.day.delivery,");
    load_run_assert_file(load, "latency.hlog", "Tag=phones.night.arrival,");
    load_run_assert_file(load, "memory.csv", ",day,");
}

static void test_each_group_has_its_own_counts_in_each_phase(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char file[TEMP_PATH_SIZE], watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        load_run_prepare(&load, process_port(broker), "mix", load_run_engines[i]);
        mix_text_write(office, temp_dir_file(load.dir, "mix.json", file));
        load_run_add(&load, "--mix", file, "--watch-pid", watch, NULL);
        load_run_completes(&load);
        assert_office(&load);
        assert_true(load_run_metric(&load, "phase.day.memory_bytes") > 0);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static const char slow[] = "group news role=publisher connections=1 pattern=fan-out payload=4KiB\n"
                           "group readers role=subscriber from=news connections=3\n"
                           "group lazy role=slow-reader from=news connections=2\n"
                           "phase arrive\n"
                           "news do=connect\n"
                           "readers do=connect\n"
                           "lazy do=connect\n"
                           "phase before duration=500ms\n"
                           "news do=publish rate=100\n"
                           "phase slow duration=1500ms\n"
                           "news do=publish rate=100\n"
                           "lazy do=slow for=500ms\n";

static void test_slow_readers_are_apart_and_recover(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char file[TEMP_PATH_SIZE];
        load_run_prepare(&load, process_port(broker), "mix", load_run_engines[i]);
        mix_text_write(slow, temp_dir_file(load.dir, "mix.json", file));
        load_run_add(&load, "--mix", file, NULL);
        load_run_completes(&load);
        assert_line(&load, "readers.before.deliveries", 150);
        assert_line(&load, "lazy.before.slow_deliveries", 100);
        assert_line(&load, "readers.slow.deliveries", 450);
        assert_line(&load, "lazy.slow.slow_deliveries", 300);
        assert_line(&load, "lazy.slow.recoveries", 2);
        assert_metric(&load, "lazy.slow.slow.closed", 0);
        // What was due at the beginning has waited for as long as they were slow.
        assert_true(load_run_metric(&load, "lazy.slow.delivery_slow.max") > 100e6);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static const char closed[] = "group news role=publisher connections=2 pattern=topics:2\n"
                             "group readers role=subscriber from=news connections=5\n"
                             "phase arrive\n"
                             "readers do=connect\n"
                             "news do=connect\n"
                             "phase flood duration=500ms\n"
                             "news do=publish in-flight=5\n";

static void test_without_a_rate_the_subscribers_of_another_group_set_the_pace(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    char file[TEMP_PATH_SIZE];
    load_run_prepare(&load, process_port(broker), "mix", "raw");
    mix_text_write(closed, temp_dir_file(load.dir, "mix.json", file));
    load_run_add(&load, "--mix", file, NULL);
    load_run_completes(&load);
    assert_true(load_run_metric(&load, "news.flood.messages.sent") > 2 * 5); // more than the windows
    assert_true(load_run_metric(&load, "readers.flood.messages.received") ==
                load_run_metric(&load, "readers.flood.deliveries.expected"));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_group_has_its_own_counts_in_each_phase),
        cmocka_unit_test(test_slow_readers_are_apart_and_recover),
        cmocka_unit_test(test_without_a_rate_the_subscribers_of_another_group_set_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
