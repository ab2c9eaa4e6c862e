// SPDX-License-Identifier: Apache-2.0
// What docs/ten-million-connections.md says of scenarios and options over ranks, where no other test shows it: a target that goes
// away and comes back, random schedules, retained messages, the verdicts of a soak, and files that ranks read.
#include "base/clock.h"
#include "tests/ranks_load.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

// Each rank has its order: its memory.csv has a line of that phase.
static void await_phase(const struct load_run *load, const char *name, const char *phase)
{
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    char path[TEMP_PATH_SIZE];
    temp_dir_file(load->record, name, path);
    for (;;) {
        char *text = temp_file_read(path);
        bool there = text && strstr(text, phase);
        free(text);
        if (there)
            return;
        if (clock_now_ns() > until_ns)
            fail_msg("%s has no line of%s", name, phase);
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

// Each rank's clients lose their connections and come back by themselves; what they tell is one storm.
static void a_target_that_comes_back_gets_the_clients_of_all_ranks(void **state)
{
    (void)state;
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct load_run load;
        struct ranks_run run;
        char listen[32];
        const char *again[] = {"--listen", listen, NULL};
        snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)process_port(broker));
        load_run_prepare(&load, process_port(broker), "storm", load_run_engines[i]);
        load_run_add(&load, "--connections", "90", "--backoff", "50ms", "--backoff-max", "500ms", "--give-up",
                     "60s", "--subscribe", "--prove", "--settle", "0", "--quiet", NULL);
        ranks_run_start(&run, RANKS_LOAD, load.arguments);
        await_phase(&load, "memory.csv", ",storm,");
        await_phase(&load, "ranks/1/memory.csv", ",arrive,");
        await_phase(&load, "ranks/2/memory.csv", ",arrive,");
        process_signal(broker, SIGKILL);
        assert_int_equal(process_wait(broker), -SIGKILL);
        broker = process_start("poolmark-broker", again);
        assert_non_null(process_wait_line(broker, "ready"));
        int code = ranks_run_wait(&run);
        load_run_read(&load);
        if (code != 0)
            ranks_load_print(&load);
        assert_int_equal(code, 0);
        assert_string_equal(load_run_status(&load), "complete");
        assert_int_equal(load_run_book(&load, "arrivals", "measured"), 90);
        assert_int_equal(ranks_load_sum(&load, "arrived"), 90);
        assert_true(load_run_metric(&load, "clients.alive") == 90);
        for (size_t rank = 0; rank < RANKS_LOAD; rank++)
            assert_int_equal(ranks_load_count(&load, rank, "arrived"), 30);
        load_run_finish(&load);
        assert_int_equal(process_stop(broker), 0);
    }
}

// The same without an order that awaits it, until somebody ends the run.
static void clients_of_all_ranks_come_back_by_themselves(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    char listen[32];
    const char *again[] = {"--listen", listen, NULL};
    snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)process_port(broker));
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    load_run_add(&load, "--connections", "90", "--backoff", "50ms", "--backoff-max", "500ms", "--give-up",
                 "1h", "--hold", "1h", "--settle", "0", "--quiet", NULL);
    ranks_run_start(&run, RANKS_LOAD, load.arguments);
    await_phase(&load, "memory.csv", ",hold,");
    process_signal(broker, SIGKILL);
    assert_int_equal(process_wait(broker), -SIGKILL);
    broker = process_start("poolmark-broker", again);
    assert_non_null(process_wait_line(broker, "ready"));
    process_await_connections(broker, 90);
    for (int rank = 0; rank < RANKS_LOAD; rank++) // as mpirun does when its user ends it
        assert_int_equal(kill(ranks_run_relay(&run, rank), SIGTERM), 0);
    assert_int_equal(ranks_run_wait(&run), 1);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "incomplete");
    json_t *line = json_object_get(json_object_get(load.json, "books"), "arrivals");
    int64_t unfinished =
        json_integer_value(json_object_get(line, "unfinished")); // CONNACKs that were not read yet
    assert_int_equal(json_integer_value(json_object_get(line, "attempted")), 90);
    assert_int_equal(load_run_book(&load, "arrivals", "measured") + unfinished, 90);
    assert_true(load_run_metric(&load, "clients.dropped") == 0);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static void random_turns_of_all_ranks_are_one_schedule(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "churn", "raw");
    load_run_add(&load, "--connections", "300", "--churn-rate", "300", "--duration", "1s", "--schedule",
                 "poisson", "--seed", "7", "--settle", "0", NULL);
    ranks_load_completes(&load);
    double count = load_run_metric(&load, "arrivals.count");
    assert_true(count > 230 && count < 370); // 300 and four standard deviations
    assert_true(ranks_load_sum(&load, "arrived") == (int64_t)count);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static void each_subscribe_brings_the_retained_messages_of_all_ranks(void **state)
{
    (void)state;
    enum { READERS = 30, RETAINED = 60 };
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "subscribe", "raw");
    load_run_add(&load, "--connections", "30", "--retained", "60", "--repeat", "1", "--subscribe-rate", "20",
                 "--qos", "1", "--settle", "0", NULL);
    ranks_load_completes(&load);
    assert_int_equal(load_run_book(&load, "retains", "measured"), 2 * RETAINED); // published, and removed
    assert_int_equal(load_run_book(&load, "replays", "measured"), READERS);
    assert_int_equal(load_run_book(&load, "replayed", "measured"), READERS * RETAINED);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static const char *verdict(const struct load_run *load, const char *name)
{
    json_t *verdicts = json_object_get(json_object_get(load->json, "summary"), "verdicts");
    return json_string_value(json_object_get(json_object_get(verdicts, name), "verdict"));
}

static void a_soak_has_its_verdicts_and_the_turns_of_all_ranks(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    char watch[16];
    snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
    load_run_prepare(&load, process_port(broker), "soak", "raw");
    load_run_add(&load, "--connections", "60", "--churn-rate", "30", "--pairs", "3", "--publish-rate", "100",
                 "--duration", "2s", "--settle", "0", "--watch-pid", watch, NULL);
    ranks_load_completes(&load);
    assert_int_equal(load_run_book(&load, "arrivals", "measured"), 60);
    assert_int_equal(load_run_book(&load, "probe_deliveries", "measured"),
                     200); // of the pairs, which are on rank 0
    assert_true(ranks_load_count(&load, 2, "arrived") > 0);
    assert_string_equal(verdict(&load, "memory"), "too short to tell");
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// --- files that every rank reads ---------------------------------------------------------------------------

static void write_text(const char *file, const char *text)
{
    FILE *to = fopen(file, "we");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

// The last rank reads `other`. Gives the exit code of rank 0.
static int with_files(struct load_run *load, const char *option, const char *own, const char *other)
{
    struct ranks_run run;
    const char *last[LOAD_ARGUMENTS_MAX];
    load_run_add(load, "--quiet", option, own, NULL);
    memcpy(last, load->arguments, sizeof last);
    last[load->count - 1] = other;
    ranks_run_start_last(&run, RANKS_LOAD, load->arguments, last);
    return ranks_run_wait(&run);
}

static void ranks_that_read_other_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *scenario, *option, *own, *other;
    } files[] = {{"connect", "--users", "ann,1\nben,2\n", "ann,1\nben,3\n"},
                 {"publish", "--payload-file", "one content", "two content"},
                 {"publish", "--payload-template", "{\"id\": \"%UNIQUE%\", \"a\": 1}",
                  "{\"id\": \"%UNIQUE%\", \"a\": 2}"}};
    struct process *broker = process_start_broker(NULL, NULL);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int same = 0; same < 2; same++) {
            struct load_run load;
            struct stat there;
            char own[TEMP_PATH_SIZE], other[TEMP_PATH_SIZE];
            load_run_prepare(&load, process_port(broker), files[i].scenario, "raw");
            // In folders of their own, as on hosts of their own: the name is the same.
            write_text(temp_dir_file(load.dir, "file", own), files[i].own);
            assert_int_equal(mkdir(temp_dir_file(load.dir, "host", other), 0700), 0);
            temp_dir_file(load.dir, "host/file", other);
            write_text(other, same ? files[i].own : files[i].other);
            if (i == 0)
                load_run_add(&load, "--connections", "30", "--settle", "0", NULL);
            else
                load_run_add(&load, "--pairs", "30", "--duration", "200ms", "--warmup", "0", NULL);
            int code = with_files(&load, files[i].option, own, other);
            if (code != (same ? 0 : 2))
                fail_msg("%s: the exit code is %d", files[i].option, code);
            if (!same)
                assert_true(stat(load.record, &there) < 0 && errno == ENOENT);
            load_run_finish(&load);
        }
    assert_int_equal(process_stop(broker), 0);
}

static void a_rank_with_other_options_is_refused(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    assert_int_equal(with_files(&load, "--seed", "1", "2"), 2); // the number of rank 0
    load_run_finish(&load);
    assert_int_equal(process_statistic(broker, "accepted"), 0);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_that_comes_back_gets_the_clients_of_all_ranks),
        cmocka_unit_test(clients_of_all_ranks_come_back_by_themselves),
        cmocka_unit_test(random_turns_of_all_ranks_are_one_schedule),
        cmocka_unit_test(each_subscribe_brings_the_retained_messages_of_all_ranks),
        cmocka_unit_test(a_soak_has_its_verdicts_and_the_turns_of_all_ranks),
        cmocka_unit_test(ranks_that_read_other_files_are_refused),
        cmocka_unit_test(a_rank_with_other_options_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
