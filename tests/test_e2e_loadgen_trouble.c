// SPDX-License-Identifier: Apache-2.0
// The load generator as a program when something fails: how it ends, what its record keeps, that it leaves no
// process running; and its errors for invalid arguments.
#include "base/clock.h"
#include "loadgen/responder.h"
#include "tests/load_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS_MAX = 64 };

static void test_refused_clients_are_counted_with_their_reason(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-connections", "30", NULL);
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "50", "--workers", "1", NULL);
        assert_int_equal(load_run_to_end(&load), 1);
        assert_true(load_run_metric(&load, "clients.connected") == 30);
        assert_true(load_run_metric(&load, "clients.failed") == 20);
        assert_int_equal(load_run_reason(&load, "failed", "connack_3"), 20);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// A port of this host that refuses for certain: bound, and nobody listens.
static int bind_unused(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

// What would go on for hours ends at once, with the reason in the record.
static void assert_ends_at_once(struct load_run *load, int failed, const char *why)
{
    assert_int_equal(load_run_to_end(load), 1);
    assert_string_equal(load_run_status(load), "failed");
    assert_true(load_run_metric(load, "clients.connected") == 0);
    if (failed > 0)
        assert_int_equal(load_run_reason(load, "failed", why), failed);
    load_run_assert_file(load, "run.json", "\"what\": \"broken\"");
    load_run_finish(load);
}

static void test_a_target_that_refuses_everybody_ends_the_run(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_unused(&port);
    static const char *const why[] = {"untold", "tcp_refused"};
    for (int i = 0; i < 2; i++) {
        struct load_run load;
        load_run_prepare(&load, port, "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "5", NULL);
        assert_ends_at_once(&load, 5, why[i]);
        load_run_prepare(&load, port, "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "5", "--rate", "100", "--hold", "24h", NULL);
        assert_ends_at_once(&load, 5, why[i]);
        load_run_prepare(&load, port, "publish", load_run_engines[i]);
        load_run_add(&load, "--pairs", "3", "--duration", "24h", NULL);
        assert_ends_at_once(&load, 6, why[i]);
        for (int probes = 0; probes < 2; probes++) {
            load_run_prepare(&load, port, "steps", load_run_engines[i]);
            load_run_add(&load, "--steps", "5,10", "--probe", probes ? "4" : "0", "--settle", "0", "--hold",
                         "24h", NULL);
            assert_ends_at_once(&load, probes ? 0 : 5, why[i]);
        }
    }
    close(fd);
}

static void test_a_source_address_of_somebody_else_ends_the_run(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "raw");
    load_run_add(&load, "--connections", "5", "--source", "192.0.2.1", NULL); // for documentation: nobody's
    assert_ends_at_once(&load, 5, "no_source");
    assert_int_equal(process_stop(broker), 0);
}

static int workers_of(pid_t parent, pid_t pids[WORKERS_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int count = 0, pid;
    while (count < WORKERS_MAX && fscanf(file, "%d", &pid) == 1)
        pids[count++] = pid;
    fclose(file);
    return count;
}

static void assert_gone(const pid_t *pids, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(kill(pids[i], 0), -1);
        assert_int_equal(errno, ESRCH);
    }
}

static void await_progress(struct process *generator, const char *text)
{
    int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (!strstr(process_errors(generator), text)) {
        if (clock_now_ns() > limit_ns)
            fail_msg("the generator never said \"%s\", but: %s", text, process_errors(generator));
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

// Started and holding 100 connections.
static struct process *start_holding(struct load_run *load, struct process *broker, const char *engine,
                                     bool watch)
{
    static char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)process_pid(broker));
    load_run_prepare(load, process_port(broker), "connect", engine);
    load_run_add(load, "--connections", "100", "--workers", "4", "--hold", "1h", "--settle", "0", NULL);
    if (watch)
        load_run_add(load, "--watch-pid", pid, NULL);
    struct process *generator = process_start("poolmark-loadgen", load->arguments);
    await_progress(generator, "hold     100 of 100");
    return generator;
}

static void test_a_broker_killed_half_way_ends_the_run_with_the_count_of_what_was_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int watch = 0; watch < 2; watch++) {
            struct process *broker = process_start_broker(NULL, NULL);
            struct load_run load;
            pid_t workers[WORKERS_MAX];
            struct process *generator = start_holding(&load, broker, load_run_engines[i], watch);
            int count = workers_of(process_pid(generator), workers);
            assert_int_equal(count, 4);
            process_signal(broker, SIGKILL);
            assert_int_equal(process_wait(broker), -SIGKILL);
            assert_int_equal(process_wait(generator), 1);
            assert_gone(workers, count);
            load_run_read(&load);
            assert_string_equal(load_run_status(&load), "incomplete");
            assert_true(load_run_metric(&load, "clients.connected") == 100);
            // Watched, the end of the broker may be seen before that of the last connection.
            if (!watch)
                assert_true(load_run_metric(&load, "clients.dropped") == 100);
            assert_true(json_array_size(json_object_get(load.json, "anomalies")) > 0);
            load_run_finish(&load);
        }
}

// More workers than stay awake: those that are done are stopped, and yet answer when asked, and notice
// losses.
static void test_sleeping_workers_are_alive_and_notice_what_they_lost(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "connect", "paho");
    load_run_add(&load, "--connections", "140", "--clients-per-worker", "2", "--prove", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_true(load_run_metric(&load, "clients.alive") == 140);
    load_run_finish(&load);

    load_run_prepare(&load, process_port(broker), "connect", "paho");
    load_run_add(&load, "--connections", "140", "--clients-per-worker", "2", "--hold", "1h", NULL);
    struct process *generator = process_start("poolmark-loadgen", load.arguments);
    await_progress(generator, "hold     140 of 140");
    process_signal(broker, SIGKILL);
    assert_int_equal(process_wait(broker), -SIGKILL);
    assert_int_equal(process_wait(generator), 1);
    load_run_read(&load);
    assert_string_equal(load_run_status(&load), "incomplete");
    assert_true(load_run_metric(&load, "clients.dropped") == 140);
    load_run_finish(&load);
}

static void test_a_killed_worker_ends_the_run_with_the_count_of_its_clients(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct load_run load;
        pid_t workers[WORKERS_MAX];
        struct process *generator = start_holding(&load, broker, load_run_engines[i], false);
        int count = workers_of(process_pid(generator), workers);
        assert_int_equal(kill(workers[2], SIGKILL), 0);
        assert_int_equal(process_wait(generator), 1);
        assert_gone(workers, count);
        load_run_read(&load);
        assert_string_equal(load_run_status(&load), "incomplete");
        assert_int_equal(load_run_reason(&load, "dropped", "worker_died"), 25);
        assert_true(load_run_metric(&load, "clients.dropped") == 25);
        load_run_finish(&load);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void test_an_interrupted_run_keeps_what_it_measured(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct load_run load;
        pid_t workers[WORKERS_MAX];
        struct process *generator = start_holding(&load, broker, load_run_engines[i], true);
        int count = workers_of(process_pid(generator), workers);
        process_signal(generator, signals[i]);
        assert_int_equal(process_wait(generator), 1);
        assert_gone(workers, count);
        load_run_read(&load);
        assert_string_equal(load_run_status(&load), "incomplete");
        assert_true(load_run_metric(&load, "clients.connected") == 100);
        assert_true(load_run_metric(&load, "clients.failed") == 0);
        assert_true(load_run_metric(&load, "clients.dropped") == 0);
        assert_true(load_run_metric(&load, "connect.p50") > 0);
        load_run_assert_file(&load, "latency.hlog", "Tag=connect,");
        load_run_finish(&load);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void assert_usage(const char *names, ...)
{
    const char *arguments[LOAD_ARGUMENTS_MAX];
    int count = 0;
    va_list list;
    va_start(list, names);
    do
        arguments[count] = va_arg(list, const char *);
    while (arguments[count++]);
    va_end(list);
    struct process *generator = process_start("poolmark-loadgen", arguments);
    while (process_wait_line(generator, "")) // until it has closed its stdout
        ;
    char said[1024];
    // Its error came before it ended; its end is waited for with the errors still readable.
    int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    do
        snprintf(said, sizeof said, "%s", process_errors(generator));
    while (!strchr(said, '\n') && clock_now_ns() < limit_ns);
    assert_int_equal(process_wait(generator), 2);
    if (!strstr(said, names))
        fail_msg("\"%s\" does not name \"%s\"", said, names);
}

static void *respond(void *context)
{
    responder_run(context);
    return NULL;
}

// Without a rate a pair has ten messages on its way. One of ten is lost: whoever waits for those stands still
// after a hundred.
static void test_a_pair_without_a_rate_does_not_wait_for_what_was_lost(void **state)
{
    (void)state;
    struct responder *responder;
    struct err err = {0};
    assert_int_equal(responder_open(&responder, &(struct responder_config){.lose_every = 10}, &err), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, respond, responder), 0);
    struct load_run load;
    load_run_prepare(&load, responder_port(responder), "publish", "raw");
    load_run_add(&load, "--pairs", "1", "--publish-rate", "0", "--in-flight", "10", "--duration", "1s",
                 "--warmup", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 1); // messages were lost
    double sent = load_run_metric(&load, "messages.sent"), lost = load_run_metric(&load, "messages.lost");
    assert_true(sent > 200);
    // The last of them may not have been overtaken when the time was over.
    assert_true(lost >= (double)(int64_t)(sent / 10));
    assert_true(load_run_metric(&load, "messages.received") == sent - lost);
    load_run_finish(&load);
    responder_stop(responder);
    pthread_join(thread, NULL);
    responder_close(responder);
}

// With one message on its way no later one overtakes the lost one: the pair stood still until the end.
static void test_a_pair_that_lost_its_whole_window_goes_on(void **state)
{
    (void)state;
    struct responder *responder;
    struct err err = {0};
    assert_int_equal(responder_open(&responder, &(struct responder_config){.lose_every = 10}, &err), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, respond, responder), 0);
    struct load_run load;
    load_run_prepare(&load, responder_port(responder), "publish", "raw");
    load_run_add(&load, "--pairs", "1", "--publish-rate", "0", "--in-flight", "1", "--duration", "4s",
                 "--warmup", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 1); // messages were lost
    assert_true(load_run_metric(&load, "messages.sent") > 10);
    assert_true(load_run_metric(&load, "messages.lost") >= 2);
    load_run_finish(&load);
    responder_stop(responder);
    pthread_join(thread, NULL);
    responder_close(responder);
}

static void *tell_tid(void *tid)
{
    atomic_store((atomic_int *)tid, gettid());
    pause(); // where it is cancelled
    return NULL;
}

static void test_bad_usage_is_named_and_nothing_is_written(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "record", record);
    const char *target = "mqtt://127.0.0.1:1";
    assert_usage("scenario", "--target", target, NULL);
    assert_usage("\"dance\"", "dance", "--target", target, "--record", record, NULL);
    assert_usage("--target", "connect", "--record", record, NULL);
    assert_usage("--ports: \"free\"", "connect", "--target", target, "--ports", "free", "--record", record,
                 NULL);
    assert_usage("--ports bind", "connect", "--target", target, "--engine", "paho", "--ports", "bind",
                 "--record", record, NULL);
    assert_usage("--payload", "publish", "--target", target, "--payload", "31", "--record", record, NULL);
    assert_usage("at least 1", "steps", "--target", target, "--steps", "0", "--record", record, NULL);
    assert_usage("does not rise", "steps", "--target", target, "--steps", "10,5", "--record", record, NULL);
    assert_usage("--steps: \"10,5\": \"5\" does not rise", "steps", "--target", target, "--steps", "10,5",
                 NULL);
    assert_usage("--steps: \"\"", "steps", "--target", target, "--steps", "", "--record", record, NULL);
    assert_usage("--steps: \"10,\"", "steps", "--target", target, "--steps", "10,", "--record", record, NULL);
    assert_usage("--steps: scenario connect", "connect", "--target", target, "--steps", "10,20", "--record",
                 record, NULL);
    assert_usage("--pairs: scenario connect", "connect", "--target", target, "--pairs", "10", NULL);
    assert_usage("--hold: scenario publish", "publish", "--target", target, "--hold=1s", NULL);
    assert_usage("--connections: scenario steps", "steps", "--target", target, "--connections", "5", NULL);
    assert_usage("--watch-record: cannot read /nonexist/pools.csv", "steps", "--target", target,
                 "--watch-record", "/nonexist", "--record", record, NULL);
    assert_usage("--conn", "connect", "--target", target, "--conn", "2", "--record", record, NULL);
    assert_usage("--probe", "steps", "--target", target, "--probe", "3", "--record", record, NULL);
    assert_usage("--connections", "publish", "--target", target, "--connections", "10", "--record", record,
                 NULL);
    // A thread of a process is in /proc as well; it would count its process once more.
    char thread[32], said[64];
    pthread_t waits;
    atomic_int tid = 0;
    assert_int_equal(pthread_create(&waits, NULL, tell_tid, &tid), 0);
    while (atomic_load(&tid) == 0)
        ;
    snprintf(thread, sizeof thread, "%d", atomic_load(&tid));
    snprintf(said, sizeof said, "%s: is a thread of process %d", thread, (int)getpid());
    assert_usage(said, "connect", "--target", target, "--watch-pid", thread, "--record", record, NULL);
    pthread_cancel(waits);
    pthread_join(waits, NULL);
    assert_usage("no such process", "connect", "--target", target, "--watch-pid", "4194303", "--record",
                 record, NULL);
    assert_usage("70000", "connect", "--target", "mqtt://127.0.0.1:70000", "--record", record, NULL);
    assert_usage("--engine", "connect", "--target", target, "--engine", "steam", "--record", record, NULL);
    assert_usage("routes", "connect", "--target", target, "--connections", "20k", "--record", record, NULL);
    assert_int_equal(access(record, F_OK), -1);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_clients_are_counted_with_their_reason),
        cmocka_unit_test(test_a_target_that_refuses_everybody_ends_the_run),
        cmocka_unit_test(test_a_source_address_of_somebody_else_ends_the_run),
        cmocka_unit_test(test_a_broker_killed_half_way_ends_the_run_with_the_count_of_what_was_lost),
        cmocka_unit_test(test_sleeping_workers_are_alive_and_notice_what_they_lost),
        cmocka_unit_test(test_a_killed_worker_ends_the_run_with_the_count_of_its_clients),
        cmocka_unit_test(test_an_interrupted_run_keeps_what_it_measured),
        cmocka_unit_test(test_a_pair_without_a_rate_does_not_wait_for_what_was_lost),
        cmocka_unit_test(test_a_pair_that_lost_its_whole_window_goes_on),
        cmocka_unit_test(test_bad_usage_is_named_and_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
