// SPDX-License-Identifier: Apache-2.0
// The generator over three ranks on this host, without MPI (tests/ranks_run.h): one record, books that balance, and ranks that
// are lost. tests/py/test_mpi.py has the same by mpirun.
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void connects_of_all_ranks_are_in_one_record(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "301", "--subscribe", "--prove", "--settle", "0", NULL);
        ranks_load_completes(&load);
        assert_true(load_run_metric(&load, "clients.connected") == 301);
        assert_true(load_run_metric(&load, "clients.alive") == 301);
        assert_true(load_run_metric(&load, "clients.failed") == 0);
        assert_true(load_run_metric(&load, "connect.count") == 301);
        assert_int_equal(ranks_load_sum(&load, "connected"), 301);
        for (size_t rank = 0; rank < RANKS_LOAD; rank++)
            assert_in_range(ranks_load_count(&load, rank, "connected"), 50, 151);
        // Each has a part of its own; rank 0's is the record.
        load_run_assert_file(&load, "latency.hlog", "Tag=connect,");
        load_run_assert_file(&load, "ranks/1/latency.hlog", "Tag=connect,");
        load_run_assert_file(&load, "ranks/2/memory.csv", "at_ns,phase,");
        load_run_assert_file(&load, "ranks/2/rank.json", "\"in order\"");
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void pairs_publish_on_all_ranks_and_none_is_lost(void **state)
{
    (void)state;
    static const char *const qos[] = {"0", "1", "2"};
    for (int i = 0; i < LOAD_ENGINES; i++)
        for (int q = 0; q < 3; q++) {
            struct process *broker = process_start_broker(NULL, NULL);
            struct load_run load;
            load_run_prepare(&load, process_port(broker), "publish", load_run_engines[i]);
            load_run_add(&load, "--pairs", "30", "--workers", "2", "--qos", qos[q], "--publish-rate", "900",
                         "--duration", "1s", "--warmup", "0", NULL);
            ranks_load_completes(&load);
            assert_true(load_run_metric(&load, "messages.sent") == 900);
            assert_true(load_run_metric(&load, "messages.received") == 900);
            assert_true(load_run_metric(&load, "messages.lost") == 0);
            assert_true(load_run_metric(&load, "messages.duplicates") == 0);
            assert_true(load_run_metric(&load, "delivery.count") == 900);
            if (q > 0)
                assert_true(load_run_metric(&load, "ack.count") == 900);
            assert_int_equal(ranks_load_sum(&load, "sent"), 900);
            for (size_t rank = 0; rank < RANKS_LOAD; rank++) {
                assert_int_equal(ranks_load_count(&load, rank, "sent"), 300);
                assert_int_equal(ranks_load_count(&load, rank, "received"), 300);
            }
            // By the broker's own count.
            assert_int_equal(process_statistic(broker, "messages_received"), 900);
            assert_int_equal(process_statistic(broker, "messages_sent"), 900);
            load_run_finish(&load);
            assert_int_equal(process_stop(broker), 0);
        }
}

static void clients_that_live_do_so_on_all_ranks(void **state)
{
    (void)state;
    static const char *const lives[][14] = {
        {"churn", "--connections", "90", "--churn-rate", "90", "--away", "10ms", "--duration", "1s",
         "--settle", "0", NULL},
        {"burst", "--connections", "30", "--burst", "60", "--repeat", "2", "--stay", "100ms", "--calm",
         "100ms", "--settle", "0", NULL},
        {"storm", "--connections", "90", "--by-client", "--settle", "0", NULL},
        {"subscribe", "--connections", "30", "--filters", "2", "--subscribe-rate", "600", "--settle", "0",
         NULL},
        {"steps", "--steps", "30,90", "--probe", "4", "--hold", "100ms", "--settle", "0", NULL}};
    struct process *broker = process_start_broker(NULL, NULL);
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), lives[i][0], "raw");
        for (int j = 1; lives[i][j]; j++)
            load_run_add(&load, lives[i][j], NULL);
        ranks_load_completes(&load);
        assert_true(load_run_metric(&load, "clients.failed") == 0);
        if (i < 3)
            assert_int_equal(ranks_load_sum(&load, "arrived"), i == 1 ? 120 : 90);
        if (i == 1) // a line for each arrival, of all ranks
            assert_int_equal(
                json_integer_value(json_object_get(
                    json_object_get(json_object_get(load.json, "books"), "arrivals_lines"), "measured")),
                120);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// --- ranks that are lost -----------------------------------------------------------------------------------

static void start_holding(struct load_run *load, struct ranks_run *run, struct process *broker,
                          const char *engine)
{
    load_run_prepare(load, process_port(broker), "connect", engine);
    load_run_add(load, "--connections", "90", "--workers", "2", "--hold", "1h", "--settle", "0", "--quiet",
                 NULL);
    ranks_run_start(run, RANKS_LOAD, load->arguments);
    process_await_connections(broker, 90);
    // The last counts of all are there a second later, at the latest. Nothing depends on it but how much is known.
    clock_sleep_until_ns(clock_now_ns() + 1500 * NS_PER_MS);
}

// The last file of a rank that ends by itself, after the test has waited for all that it started. Of rank 0 the seal.
static void await_part(const struct load_run *load, int rank)
{
    char name[32] = "run.json.sha256", path[TEMP_PATH_SIZE];
    struct stat there;
    if (rank > 0)
        snprintf(name, sizeof name, "ranks/%d/rank.json", rank);
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (stat(temp_dir_file(load->record, name, path), &there) < 0 || there.st_size == 0) {
        if (clock_now_ns() > until_ns)
            fail_msg("rank %d does not end", rank);
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

// The list of files has those of ranks that ended in order, and of no others.
static void assert_lost_ranks_are_left_out(const struct load_run *load)
{
    const json_t *files = json_object_get(load->json, "files");
    json_t *left_out = json_object_get(load->json, "files_left_out");
    size_t lost = 0;
    for (size_t rank = 1; rank < RANKS_LOAD; rank++) {
        char file[40], folder[20];
        bool was_lost = json_is_true(json_object_get(ranks_load_rank(load, rank), "lost"));
        snprintf(folder, sizeof folder, "ranks/%zu", rank);
        snprintf(file, sizeof file, "%s/memory.csv", folder);
        assert_true(was_lost == !json_object_get(files, file));
        if (was_lost)
            assert_string_equal(json_string_value(json_array_get(left_out, lost)), folder);
        lost += was_lost;
    }
    assert_int_equal(json_array_size(left_out), lost);
}

static void assert_lost(struct load_run *load, const char *which, const char *why)
{
    load_run_read(load);
    if (strcmp(load_run_status(load), "incomplete") != 0 ||
        !strstr(ranks_load_anomaly(load, "rank_lost"), which) ||
        !strstr(ranks_load_anomaly(load, "rank_lost"), why)) {
        ranks_load_print(load);
        fail_msg("it does not say that %s was lost: %s", which, why);
    }
    assert_true(load_run_metric(load, "clients.connected") == 90);
    assert_lost_ranks_are_left_out(load);
    load_run_finish(load);
}

static void a_killed_generator_is_named_and_the_others_end_in_order(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        struct ranks_run run;
        start_holding(&load, &run, broker, load_run_engines[i]);
        assert_int_equal(kill(ranks_run_generator(&run, 1), SIGKILL), 0);
        assert_int_equal(ranks_run_wait(&run), 1);
        load_run_assert_file(&load, "ranks/2/rank.json", "\"ended\"");
        load_run_read(&load);
        assert_int_equal(load_run_reason(&load, "dropped", "worker_died"), 30);
        assert_string_equal(json_string_value(json_object_get(ranks_load_rank(&load, 2), "ended")),
                            "in order");
        json_decref(load.json);
        assert_lost(&load, "rank 1 was lost", "its generator was killed by SIGKILL");
    }
    assert_int_equal(process_stop(broker), 0);
}

static void assert_balanced(const struct load_run *load)
{
    static const char *const outcomes[] = {"measured", "lost",       "failed",
                                           "not_sent", "unreadable", "unfinished"};
    const char *source;
    json_t *line;
    json_object_foreach(json_object_get(load->json, "books"), source, line)
    {
        json_int_t sum = 0;
        for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
            json_int_t count = json_integer_value(json_object_get(line, outcomes[i]));
            assert_true(count >= 0);
            sum += count;
        }
        if (sum != json_integer_value(json_object_get(line, "attempted")))
            fail_msg("%s does not balance", source);
    }
}

static void a_rank_killed_while_it_publishes_leaves_books_that_balance(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    load_run_prepare(&load, process_port(broker), "publish", "raw");
    load_run_add(&load, "--pairs", "30", "--workers", "2", "--qos", "1", "--publish-rate", "900",
                 "--duration", "1h", "--warmup", "0", "--quiet", NULL);
    ranks_run_start(&run, RANKS_LOAD, load.arguments);
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (process_statistic(broker, "messages_received") < 2000 && clock_now_ns() < until_ns)
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    assert_int_equal(kill(ranks_run_generator(&run, 1), SIGKILL), 0);
    assert_int_equal(ranks_run_wait(&run), 1);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "incomplete");
    assert_non_null(strstr(ranks_load_anomaly(&load, "rank_lost"), "rank 1 was lost"));
    assert_balanced(&load);
    // Those that go on had sent as much each, and lost nothing of it.
    assert_true(load_run_metric(&load, "messages.lost") == 0);
    assert_true(ranks_load_count(&load, 0, "sent") > 600 && ranks_load_count(&load, 2, "sent") > 600);
    assert_int_equal(ranks_load_count(&load, 2, "sent"),
                     ranks_load_count(&load, 2, "received") + ranks_load_count(&load, 2, "unfinished"));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// As mpirun does when one of its processes is killed: SIGTERM to all others, and SIGKILL later.
static void end_as_mpirun(const struct ranks_run *run, int killed)
{
    for (int rank = 0; rank < RANKS_LOAD; rank++)
        if (rank != killed)
            assert_int_equal(kill(ranks_run_relay(run, rank), SIGTERM), 0);
}

static void a_killed_relay_is_named_by_its_silence(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    start_holding(&load, &run, broker, "raw");
    assert_int_equal(kill(ranks_run_relay(&run, 2), SIGKILL), 0);
    end_as_mpirun(&run, 2);
    assert_int_equal(ranks_run_wait(&run), 1);
    await_part(&load, 2);
    // By the silence since SIGTERM; by the longer one where its last beat was read later than that.
    assert_lost(&load, "rank 2 was lost", "");
    assert_int_equal(process_stop(broker), 0);
}

static void when_all_are_asked_to_end_the_run_was_interrupted(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    start_holding(&load, &run, broker, "raw");
    end_as_mpirun(&run, -1);
    assert_int_equal(ranks_run_wait(&run), 1);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "incomplete");
    assert_string_equal(ranks_load_anomaly(&load, "rank_lost"), "");
    load_run_assert_file(&load, "run.json", "interrupted by SIGTERM");
    assert_true(load_run_metric(&load, "clients.connected") == 90);
    assert_true(load_run_metric(&load, "clients.dropped") == 0);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// The whole job is gone, and rank 0's record is whole all the same.
static void without_any_relay_the_record_is_whole(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    start_holding(&load, &run, broker, "raw");
    for (int rank = 0; rank < RANKS_LOAD; rank++)
        assert_int_equal(kill(ranks_run_relay(&run, rank), SIGKILL), 0);
    assert_int_equal(ranks_run_wait(&run), -SIGKILL);
    for (int rank = 0; rank < RANKS_LOAD; rank++)
        await_part(&load, rank);
    assert_lost(&load, "rank 1 was lost", "the MPI process beside rank 0's generator ended");
    assert_int_equal(process_stop(broker), 0);
}

static void without_rank_0_the_others_end(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    start_holding(&load, &run, broker, "raw");
    assert_int_equal(kill(ranks_run_generator(&run, 0), SIGKILL), 0);
    assert_int_equal(ranks_run_wait(&run), 1);
    load_run_assert_file(&load, "run.json", "\"status\": \"running\"");
    load_run_assert_file(&load, "ranks/1/rank.json", "\"connected\": 30");
    load_run_assert_file(&load, "ranks/2/latency.hlog", "Tag=connect,");
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// --- a rank that only watches -------------------------------------------------------------------------------

// Clients on two ranks; a third watches this process. Reads the record.
static void play_watching(struct load_run *load, const struct process *broker, pid_t watched)
{
    struct ranks_run run;
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)watched);
    load_run_prepare(load, process_port(broker), "connect", "raw");
    load_run_add(load, "--connections", "300", "--hold", "2500ms", "--settle", "0", "--quiet", NULL);
    const char *last[LOAD_ARGUMENTS_MAX];
    memcpy(last, load->arguments, sizeof last);
    last[load->count] = "--only-watch";
    last[load->count + 1] = "--watch-pid";
    last[load->count + 2] = pid;
    last[load->count + 3] = NULL;
    ranks_run_start_last(&run, RANKS_LOAD, load->arguments, last);
    assert_int_equal(ranks_run_wait(&run), 0);
    load_run_read(load);
}

static void a_rank_that_only_watches_tells_of_a_target_that_stood_still(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
    play_watching(&load, broker, pid);
    load_run_assert_file(&load, "run.json", "\"text\": \"rank 2: the watched process ");
    load_run_assert_file(&load, "run.json", " was stopped (SIGSTOP");
    load_run_assert_file(&load, "run.json", "\"doubt\": \"target_stopped\"");
    load_run_finish(&load);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(process_stop(broker), 0);
}

static void a_rank_that_only_watches_has_the_targets_memory_and_no_clients(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    play_watching(&load, broker, process_pid(broker));
    const json_t *rank = ranks_load_rank(&load, 2), *watched = json_object_get(rank, "watched");
    assert_int_equal(json_integer_value(json_object_get(rank, "clients")), 0);
    assert_int_equal(ranks_load_count(&load, 0, "connected") + ranks_load_count(&load, 1, "connected"), 300);
    assert_int_equal(json_integer_value(json_object_get(watched, "processes")), 1);
    assert_true(json_integer_value(json_object_get(watched, "start_rss_bytes")) > 0);
    assert_true(json_integer_value(json_object_get(watched, "peak_rss_bytes")) >=
                json_integer_value(json_object_get(watched, "start_rss_bytes")));
    assert_null(json_object_get(ranks_load_rank(&load, 1), "watched"));
    load_run_assert_file(&load, "ranks/2/memory.csv", ",300,"); // the clients of all ranks
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

// --- refusals ----------------------------------------------------------------------------------------------

static void nothing_is_opened_when_a_run_is_refused(void **state)
{
    (void)state;
    static const char *const refused[][6] = {
        {"publish", "--pattern", "fan-out", "--publishers=1", NULL}, // which two ranks would share
        {"publish", "--pattern", "fan-in", "--topic", "x/%i", NULL}, // the same topics on all ranks
        {"connect", "--connections", "100000000", NULL},             // no room
        {"connect", "--share", "odd", NULL},                         //
        {"connect", "--source", "192.0.2.1", NULL},                  // for documentation: no host's
        {"connect", "--only-watch", NULL},                           // of rank 0 too, and nothing to watch
        {"connect", "--no-such-option", NULL}};
    struct process *broker = process_start_broker(NULL, NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct load_run load;
        struct stat there;
        load_run_prepare(&load, process_port(broker), refused[i][0], "raw");
        for (int j = 1; refused[i][j]; j++)
            load_run_add(&load, refused[i][j], NULL);
        assert_int_equal(ranks_load_run(&load), 2);
        assert_int_equal(stat(load.record, &there), -1);
        assert_int_equal(errno, ENOENT);
        load_run_finish(&load);
    }
    assert_int_equal(process_statistic(broker, "accepted"), 0);
    assert_int_equal(process_stop(broker), 0);
}

static void a_record_that_is_there_is_refused_for_all(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    load_run_add(&load, "--connections", "30", NULL);
    ranks_load_completes(&load);
    json_decref(load.json);
    load.json = NULL;
    struct ranks_run run;
    ranks_run_start(&run, RANKS_LOAD, load.arguments);
    assert_int_equal(ranks_run_wait(&run), 2);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static void one_rank_is_as_without_ranks(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    struct ranks_run run;
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    load_run_add(&load, "--connections", "30", "--share", "fit", "--quiet", NULL);
    ranks_run_start(&run, 1, load.arguments);
    assert_int_equal(ranks_run_wait(&run), 0);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "complete");
    assert_null(json_object_get(load.json, "ranks"));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_of_all_ranks_are_in_one_record),
        cmocka_unit_test(pairs_publish_on_all_ranks_and_none_is_lost),
        cmocka_unit_test(clients_that_live_do_so_on_all_ranks),
        cmocka_unit_test(a_killed_generator_is_named_and_the_others_end_in_order),
        cmocka_unit_test(a_rank_killed_while_it_publishes_leaves_books_that_balance),
        cmocka_unit_test(a_killed_relay_is_named_by_its_silence),
        cmocka_unit_test(when_all_are_asked_to_end_the_run_was_interrupted),
        cmocka_unit_test(without_any_relay_the_record_is_whole),
        cmocka_unit_test(without_rank_0_the_others_end),
        cmocka_unit_test(a_rank_that_only_watches_has_the_targets_memory_and_no_clients),
        cmocka_unit_test(a_rank_that_only_watches_tells_of_a_target_that_stood_still),
        cmocka_unit_test(nothing_is_opened_when_a_run_is_refused),
        cmocka_unit_test(a_record_that_is_there_is_refused_for_all),
        cmocka_unit_test(one_rank_is_as_without_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
