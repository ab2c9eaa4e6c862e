// SPDX-License-Identifier: Apache-2.0
// A mix over two and three ranks of this host: groups have their clients on all ranks, phases begin on all of them, and every
// count is in the books of its group and phase.
#include "base/clock.h"
#include "loadgen/pattern.h"
#include "tests/load_run.h"
#include "tests/mix_text.h"
#include "tests/ranks_run.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *const columns[] = {"attempted", "measured",   "lost",      "failed",
                                      "not_sent",  "unreadable", "unfinished"};
enum { COLUMNS = 7 };

// --- what the record says ----------------------------------------------------------------------------------

static void assert_line(const struct load_run *load, const char *source, int64_t attempted)
{
    if (load_run_book(load, source, "attempted") != attempted ||
        load_run_book(load, source, "measured") != attempted)
        fail_msg("%s: %lld attempted, %lld measured, and not %lld", source,
                 (long long)load_run_book(load, source, "attempted"),
                 (long long)load_run_book(load, source, "measured"), (long long)attempted);
}

static void assert_metric(const struct load_run *load, const char *name, double value)
{
    double found = load_run_metric(load, name);
    if (found != value)
        fail_msg("%s is %.10g, and not %.10g", name, found, value);
}

static int64_t column_of(const json_t *line, int column)
{
    return json_integer_value(json_object_get(line, columns[column]));
}

// Each line balances, and those of all groups and phases add up to that of the run.
static void assert_books(const struct load_run *load)
{
    static const char *const summed[] = {"publishes",       "deliveries", "acks",    "arrivals",
                                         "slow_deliveries", "recoveries", "subacks", "unsubacks"};
    json_t *books = json_object_get(load->json, "books"), *line;
    const char *source;
    json_object_foreach(books, source, line)
    {
        int64_t rest = 0;
        for (int i = 1; i < COLUMNS; i++)
            rest += column_of(line, i);
        if (rest != column_of(line, 0))
            fail_msg("%s does not balance", source);
    }
    for (size_t s = 0; s < sizeof summed / sizeof *summed; s++)
        for (int i = 0; json_object_get(books, summed[s]) && i < COLUMNS; i++) {
            int64_t sum = 0;
            json_object_foreach(books, source, line)
            {
                const char *dot = strrchr(source, '.');
                sum += dot && strcmp(dot + 1, summed[s]) == 0 ? column_of(line, i) : 0;
            }
            int64_t whole = column_of(json_object_get(books, summed[s]), i);
            if (sum != whole)
                fail_msg("%s: %lld %s, and %lld in all groups and phases", summed[s], (long long)whole,
                         columns[i], (long long)sum);
        }
}

static json_t *rank_of(const struct load_run *load, int rank)
{
    return json_array_get(json_object_get(load->json, "ranks"), (size_t)rank);
}

static int64_t group_of(const struct load_run *load, int rank, const char *group, const char *key)
{
    json_t *value =
        json_object_get(json_object_get(json_object_get(rank_of(load, rank), "groups"), group), key);
    if (!json_is_integer(value))
        fail_msg("rank %d has no %s of group %s", rank, key, group);
    return json_integer_value(value);
}

static void print(const struct load_run *load)
{
    static const char *const parts[] = {"status", "books", "anomalies", "ranks"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *text = json_dumps(json_object_get(load->json, parts[i]), JSON_COMPACT | JSON_ENCODE_ANY);
        print_error("%s: %s\n", parts[i], text ? text : "-");
        free(text);
    }
}

// --- playing -----------------------------------------------------------------------------------------------

static void prepare(struct load_run *load, struct process *broker, const char *engine, const char *text,
                    char file[TEMP_PATH_SIZE])
{
    load_run_prepare(load, process_port(broker), "mix", engine);
    mix_text_write(text, temp_dir_file(load->dir, "mix.json", file));
    load_run_add(load, "--mix", file, "--quiet", NULL);
}

static void completes(struct load_run *load, int ranks)
{
    struct ranks_run run;
    ranks_run_start(&run, ranks, load->arguments);
    int code = ranks_run_wait(&run);
    load_run_read(load);
    if (code != 0 || strcmp(load_run_status(load), "complete") != 0) {
        print(load);
        fail_msg("the generator ended with %d", code);
    }
    assert_int_equal(json_array_size(json_object_get(load->json, "ranks")), ranks);
    assert_books(load);
}

static const char office[] = "group sensors role=publisher connections=12 qos=1\n"
                             "group boards role=subscriber from=sensors connections=4\n"
                             "group archive role=subscriber from=sensors connections=3 qos=0\n"
                             "group control role=publisher connections=1 pattern=fan-out topic=house/lights\n"
                             "group lights role=subscriber from=control connections=5\n"
                             "group grid role=publisher connections=6 pattern=topics:4\n"
                             "group meters role=subscriber from=grid connections=8\n"
                             "group chat role=pairs connections=12 qos=2 payload=40..90\n"
                             "group phones role=idle connections=40 subscribe\n"
                             "phase arrive\n"
                             "sensors do=connect\n"
                             "boards do=connect\n"
                             "archive do=connect\n"
                             "control do=connect\n"
                             "lights do=connect rate=100\n"
                             "grid do=connect\n"
                             "meters do=connect\n"
                             "chat do=connect\n"
                             "phones do=connect to=30\n"
                             "phase day duration=1s\n"
                             "sensors do=publish rate=300\n"
                             "control do=publish rate=100\n"
                             "grid do=publish rate=120\n"
                             "chat do=publish every=100ms\n"
                             "phones do=churn rate=15\n"
                             "phase night duration=500ms\n"
                             "sensors do=publish rate=48\n"
                             "phones do=storm\n"
                             "phase more\n"
                             "phones do=connect\n"
                             "boards do=subscribe rate=1000\n"
                             "phase less\n"
                             "phones do=leave to=5\n"
                             "boards do=unsubscribe rate=1000\n";

// Deliveries at `readers` of messages of `publishers`, each of which sends so many: on each rank those that are there.
static int64_t fan_in(const struct load_run *load, int ranks, const char *publishers, const char *readers,
                      int64_t each)
{
    int64_t due = 0;
    for (int rank = 0; rank < ranks; rank++)
        due += each * group_of(load, rank, publishers, "clients") * group_of(load, rank, readers, "clients");
    return due;
}

static int64_t by_topics(const struct load_run *load, int ranks, const char *publishers, const char *readers,
                         int64_t each)
{
    int64_t due = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct pattern part = {.kind = PATTERN_TOPICS,
                               .publishers = group_of(load, rank, publishers, "clients"),
                               .subscribers = group_of(load, rank, readers, "clients"),
                               .topics = group_of(load, rank, publishers, "topics")};
        for (int64_t i = 0; i < part.publishers; i++)
            due += each * pattern_receivers(&part, i);
    }
    return due;
}

// Groups that share messages are together on all ranks, those of one publisher on one of them.
static void assert_shares(const struct load_run *load, int ranks)
{
    int64_t topics = 0, sensors = 0;
    int of_control = 0;
    for (int rank = 0; rank < ranks; rank++) {
        assert_true(group_of(load, rank, "sensors", "clients") > 0);
        assert_true(group_of(load, rank, "boards", "clients") > 0);
        assert_true(group_of(load, rank, "archive", "clients") > 0);
        assert_true(group_of(load, rank, "phones", "clients") > 0);
        assert_int_equal(group_of(load, rank, "chat", "clients") % 2, 0);
        assert_true((group_of(load, rank, "control", "clients") > 0) ==
                    (group_of(load, rank, "lights", "clients") == 5));
        of_control += group_of(load, rank, "control", "clients") > 0;
        topics += group_of(load, rank, "grid", "topics");
        sensors += group_of(load, rank, "sensors", "clients");
        json_t *counts = json_object_get(rank_of(load, rank), "counts");
        assert_true(json_integer_value(json_object_get(counts, "sent")) > 0);
        assert_true(json_integer_value(json_object_get(counts, "arrived")) > 0);
    }
    assert_int_equal(of_control, 1);
    assert_int_equal(topics, 4);
    assert_int_equal(sensors, 12);
}

static void assert_office(const struct load_run *load, struct process *broker, int ranks)
{
    assert_shares(load, ranks);
    assert_line(load, "connects", 12 + 4 + 3 + 1 + 5 + 6 + 8 + 12 + 30);
    assert_line(load, "sensors.arrive.connects", 12);
    assert_line(load, "boards.arrive.subscribes", 4);
    assert_line(load, "phones.arrive.connects", 30);
    assert_metric(load, "chat.arrive.clients.connected", 12);
    assert_metric(load, "phones.arrive.connect.count", 30);
    // 300 messages of twelve sensors are 25 of each; 48 in the night's half second are 24, two of each.
    int64_t boards = fan_in(load, ranks, "sensors", "boards", 25),
            archive = fan_in(load, ranks, "sensors", "archive", 25),
            meters = by_topics(load, ranks, "grid", "meters", 20),
            night =
                fan_in(load, ranks, "sensors", "boards", 2) + fan_in(load, ranks, "sensors", "archive", 2);
    assert_line(load, "sensors.day.publishes", 300);
    assert_line(load, "sensors.day.acks", 300);
    assert_line(load, "boards.day.deliveries", boards);
    assert_line(load, "archive.day.deliveries", archive);
    assert_metric(load, "boards.day.deliveries.expected", (double)boards);
    assert_metric(load, "boards.day.delivery.count", (double)boards);
    assert_line(load, "control.day.publishes", 100);
    assert_line(load, "lights.day.deliveries", 500);
    assert_line(load, "grid.day.publishes", 120);
    assert_line(load, "meters.day.deliveries", meters);
    assert_line(load, "chat.day.publishes", 60);
    assert_line(load, "chat.day.deliveries", 60);
    assert_line(load, "phones.day.arrivals", 15);
    assert_line(load, "sensors.night.publishes", 24);
    assert_line(load, "phones.night.arrivals", 30);
    assert_line(load, "phones.more.arrivals", 10);
    assert_line(load, "boards.more.subacks", 4);
    assert_line(load, "boards.less.unsubacks", 4);
    assert_metric(load, "phase.arrive.connections", 81);
    assert_metric(load, "phase.more.connections", 91);
    assert_metric(load, "phase.less.connections", 56);
    assert_metric(load, "messages.lost", 0);
    assert_metric(load, "messages.duplicates", 0);
    assert_line(load, "publishes", 300 + 100 + 120 + 60 + 24);
    assert_line(load, "deliveries", boards + archive + 500 + meters + 60 + night);
    // By the broker's own counts.
    assert_int_equal(process_statistic(broker, "messages_received"), 300 + 100 + 120 + 60 + 24);
    assert_int_equal(process_statistic(broker, "messages_sent"),
                     boards + archive + 500 + meters + 60 + night);
    load_run_assert_file(load, "latency.hlog", "Tag=boards.day.delivery,");
    load_run_assert_file(load, "latency.hlog", "Tag=phones.night.arrival,");
    load_run_assert_file(load, "ranks/1/latency.hlog", "Tag=boards.day.delivery,");
    load_run_assert_file(load, "ranks/1/memory.csv", ",day,");
    load_run_assert_file(load, "ranks/1/rank.json", "\"in order\"");
}

static void groups_live_on_all_ranks_and_every_count_is_in_its_books(void **state)
{
    (void)state;
    for (int ranks = 2; ranks <= 3; ranks++)
        for (int i = 0; i < LOAD_ENGINES; i++) {
            struct process *broker = process_start_broker(NULL, NULL);
            struct load_run load;
            char file[TEMP_PATH_SIZE];
            prepare(&load, broker, load_run_engines[i], office, file);
            completes(&load, ranks);
            assert_office(&load, broker, ranks);
            load_run_finish(&load);
            assert_int_equal(process_stop(broker), 0);
        }
}

static const char slow[] = "group news role=publisher connections=3 pattern=fan-out payload=4KiB\n"
                           "group readers role=subscriber from=news connections=6\n"
                           "group lazy role=slow-reader from=news connections=3\n"
                           "phase arrive\n"
                           "news do=connect\n"
                           "readers do=connect\n"
                           "lazy do=connect\n"
                           "phase before duration=500ms\n"
                           "news do=publish rate=120\n"
                           "phase slow duration=1500ms\n"
                           "news do=publish rate=60\n"
                           "lazy do=slow for=500ms\n"
                           "phase flood duration=300ms\n"
                           "news do=publish in-flight=5\n";

static void slow_readers_are_apart_on_each_rank(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char file[TEMP_PATH_SIZE];
        prepare(&load, broker, load_run_engines[i], slow, file);
        completes(&load, 3);
        // One publisher, two readers and a lazy one on each rank.
        assert_line(&load, "readers.before.deliveries", 60 * 2);
        assert_line(&load, "lazy.before.slow_deliveries", 60);
        assert_line(&load, "readers.slow.deliveries", 90 * 2);
        assert_line(&load, "lazy.slow.slow_deliveries", 90);
        assert_line(&load, "lazy.slow.recoveries", 3);
        assert_metric(&load, "lazy.slow.slow.closed", 0);
        assert_true(load_run_metric(&load, "lazy.slow.delivery_slow.max") > 100e6);
        assert_true(load_run_metric(&load, "news.flood.messages.sent") > 3 * 5); // more than the windows
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// --- a rank that is lost -----------------------------------------------------------------------------------

static const char hours[] = "group sensors role=publisher connections=12 qos=1\n"
                            "group boards role=subscriber from=sensors connections=6\n"
                            "group chat role=pairs connections=12 qos=1\n"
                            "phase arrive\n"
                            "sensors do=connect\n"
                            "boards do=connect\n"
                            "chat do=connect\n"
                            "phase early duration=500ms\n"
                            "sensors do=publish rate=240\n"
                            "phase late duration=1h\n"
                            "sensors do=publish rate=600\n"
                            "chat do=publish rate=300\n";

static void a_lost_rank_leaves_books_of_each_group_that_balance(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    char file[TEMP_PATH_SIZE];
    prepare(&load, broker, "raw", hours, file);
    ranks_run_start(&run, 3, load.arguments);
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (process_statistic(broker, "messages_received") < 2500 && clock_now_ns() < until_ns)
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    assert_int_equal(kill(ranks_run_generator(&run, 1), SIGKILL), 0);
    assert_int_equal(ranks_run_wait(&run), 1);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "incomplete");
    assert_true(json_is_true(json_object_get(rank_of(&load, 1), "lost")));
    assert_books(&load);
    assert_metric(&load, "messages.lost", 0);
    assert_line(&load, "sensors.early.publishes", 120);
    assert_line(&load, "boards.early.deliveries", 120 * 2);
    assert_int_equal(load_run_reason(&load, "dropped", "worker_died"), 10);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// --- refusals ----------------------------------------------------------------------------------------------

static void assert_refused(struct process *broker, const char *text, const char *last_text)
{
    struct load_run load;
    struct ranks_run run;
    struct stat there;
    char file[TEMP_PATH_SIZE], other[TEMP_PATH_SIZE];
    const char *last[LOAD_ARGUMENTS_MAX];
    prepare(&load, broker, "raw", text, file);
    memcpy(last, load.arguments, sizeof last);
    if (last_text) {
        mix_text_write(last_text, temp_dir_file(load.dir, "other.json", other));
        for (int i = 0; last[i]; i++)
            last[i] = last[i] == file ? other : last[i];
    }
    ranks_run_start_last(&run, 3, load.arguments, last);
    assert_int_equal(ranks_run_wait(&run), 2);
    assert_int_equal(stat(load.record, &there), -1);
    assert_int_equal(errno, ENOENT);
    load_run_finish(&load);
    assert_int_equal(process_statistic(broker, "accepted"), 0);
}

static void a_mix_that_cannot_be_divided_is_refused_before_anything_is_opened(void **state)
{
    (void)state;
    static const char phases[] = "phase arrive\nsensors do=connect\nboards do=connect\n"
                                 "phase day duration=1s\nsensors do=publish rate=10\n";
    char topic[500], more[500];
    struct process *broker = process_start_broker(NULL, NULL);
    snprintf(topic, sizeof topic,
             "group sensors role=publisher connections=6 topic=house/%%i\n"
             "group boards role=subscriber from=sensors connections=6\n%s",
             phases);
    assert_refused(broker, topic, NULL); // the same topics on several ranks
    snprintf(more, sizeof more,
             "group sensors role=publisher connections=6\n"
             "group boards role=subscriber from=sensors connections=6\n%s",
             phases);
    assert_refused(broker, hours, more); // a rank that would play another mix
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_live_on_all_ranks_and_every_count_is_in_its_books),
        cmocka_unit_test(slow_readers_are_apart_on_each_rank),
        cmocka_unit_test(a_lost_rank_leaves_books_of_each_group_that_balance),
        cmocka_unit_test(a_mix_that_cannot_be_divided_is_refused_before_anything_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
