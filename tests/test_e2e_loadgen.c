// SPDX-License-Identifier: Apache-2.0
// The load generator as a program, against the reference broker and against mosquitto: what it records, how
// it ends when something goes wrong, and that it leaves nothing running.
#include "base/clock.h"
#include "tests/broker_process.h"
#include "tests/temp_dir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const engines[] = {"paho", "raw"};

enum { ARGUMENTS_MAX = 40, WORKERS_MAX = 64 };

struct load { // one run of the generator
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], target[64];
    const char *arguments[ARGUMENTS_MAX];
    int count;
    json_t *json; // run.json
};

static void add(struct load *load, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    for (const char *next = first; next; next = va_arg(list, const char *)) {
        assert_true(load->count < ARGUMENTS_MAX - 1);
        load->arguments[load->count++] = next;
    }
    va_end(list);
    load->arguments[load->count] = NULL;
}

static void prepare(struct load *load, uint16_t port, const char *scenario, const char *engine)
{
    *load = (struct load){0};
    temp_dir_make(load->dir);
    temp_dir_file(load->dir, "load", load->record);
    snprintf(load->target, sizeof load->target, "mqtt://127.0.0.1:%u", (unsigned)port);
    add(load, scenario, "--target", load->target, "--engine", engine, "--record", load->record, NULL);
}

static void read_record(struct load *load)
{
    char file[TEMP_PATH_SIZE];
    char *text = temp_file_read(temp_dir_file(load->record, "run.json", file));
    assert_non_null(text);
    load->json = json_loads(text, 0, NULL);
    assert_non_null(load->json);
    free(text);
}

static void finish(struct load *load)
{
    json_decref(load->json);
    temp_dir_remove(load->dir);
}

static double metric(const struct load *load, const char *name)
{
    json_t *value = json_object_get(json_object_get(json_object_get(load->json, "metrics"), name), "value");
    if (!json_is_number(value))
        fail_msg("the record has no metric %s", name);
    return json_number_value(value);
}

static const char *status(const struct load *load)
{
    return json_string_value(json_object_get(load->json, "status"));
}

static int64_t reason(const struct load *load, const char *what, const char *name)
{
    return json_integer_value(
        json_object_get(json_object_get(json_object_get(load->json, "summary"), what), name));
}

// Runs it to its end.
static int run(struct load *load)
{
    add(load, "--quiet", NULL);
    int code = process_run("poolmark-loadgen", load->arguments, NULL);
    read_record(load);
    return code;
}

static void assert_file_has(const struct load *load, const char *name, const char *text)
{
    char file[TEMP_PATH_SIZE];
    char *content = temp_file_read(temp_dir_file(load->record, name, file));
    assert_non_null(content);
    if (!strstr(content, text))
        fail_msg("%s has no \"%s\"", name, text);
    free(content);
}

// --- runs that go well -------------------------------------------------------------------------------------

static void check_connects(uint16_t port, pid_t pid, const char *engine)
{
    struct load load;
    char watch[16];
    snprintf(watch, sizeof watch, "%d", (int)pid);
    prepare(&load, port, "connect", engine);
    add(&load, "--connections", "200", "--subscribe", "--prove", "--settle", "1s", "--watch-pid", watch,
        NULL);
    assert_int_equal(run(&load), 0);
    assert_string_equal(status(&load), "complete");
    assert_true(metric(&load, "clients.connected") == 200);
    assert_true(metric(&load, "clients.alive") == 200);
    assert_true(metric(&load, "clients.failed") == 0);
    assert_true(metric(&load, "connect.count") == 200);
    assert_true(metric(&load, "connect.rate") > 0);
    assert_true(metric(&load, "memory.full_bytes") > 0);
    assert_file_has(&load, "latency.hlog", "Tag=connect,");
    assert_file_has(&load, "memory.csv", ",hold,200,");
    finish(&load);
}

static void check_publishes(uint16_t port, const char *engine, const char *qos)
{
    struct load load;
    prepare(&load, port, "publish", engine);
    add(&load, "--pairs", "10", "--qos", qos, "--publish-rate", "500", "--duration", "1s", "--warmup", "0",
        NULL);
    assert_int_equal(run(&load), 0);
    assert_string_equal(status(&load), "complete");
    assert_true(metric(&load, "messages.sent") == 500);
    assert_true(metric(&load, "messages.received") == 500);
    assert_true(metric(&load, "messages.lost") == 0);
    assert_true(metric(&load, "delivery.count") == 500);
    assert_true(metric(&load, "delivery.p50") >= metric(&load, "delivery_uncorrected.p50") * 0.99);
    if (qos[0] != '0')
        assert_true(metric(&load, "ack.count") == 500);
    assert_file_has(&load, "latency.hlog", "Tag=delivery,");
    finish(&load);
}

static void test_both_engines_connect_to_the_reference_broker(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++)
        check_connects(process_port(broker), process_pid(broker), engines[i]);
    assert_int_equal(process_stop(broker), 0);
}

static void test_both_engines_publish_at_every_qos(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        check_publishes(process_port(broker), engines[i], "0");
        check_publishes(process_port(broker), engines[i], "1");
        check_publishes(process_port(broker), engines[i], "2");
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_connects_at_a_rate_are_measured_from_their_intended_times(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load load;
        prepare(&load, process_port(broker), "connect", engines[i]);
        add(&load, "--connections", "100", "--rate", "500", NULL);
        assert_int_equal(run(&load), 0);
        assert_true(metric(&load, "connect.count") == 100);
        assert_true(metric(&load, "connect.max") >= metric(&load, "connect_uncorrected.p50"));
        assert_true(metric(&load, "connect.seconds") >= 0.198); // the hundredth is due then
        assert_true(metric(&load, "schedule.lag_max") >= metric(&load, "schedule.lag_p99"));
        finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_publishing_without_a_rate_loses_nothing(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load load;
        prepare(&load, process_port(broker), "publish", engines[i]);
        add(&load, "--pairs", "4", "--publish-rate", "0", "--qos", "1", "--duration", "500ms", "--warmup",
            "0", NULL);
        assert_int_equal(run(&load), 0);
        assert_true(metric(&load, "messages.sent") > 0);
        assert_true(metric(&load, "messages.received") == metric(&load, "messages.sent"));
        finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_steps_are_in_the_record_and_in_a_table(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load load;
        char watch[16];
        snprintf(watch, sizeof watch, "%d", (int)process_pid(broker));
        prepare(&load, process_port(broker), "steps", engines[i]);
        add(&load, "--steps", "10,60", "--probe", "4", "--prove", "--settle", "500ms", "--duration", "300ms",
            "--watch-pid", watch, NULL);
        assert_int_equal(run(&load), 0);
        assert_string_equal(status(&load), "complete");
        json_t *steps = json_object_get(load.json, "steps");
        assert_int_equal(json_array_size(steps), 2);
        json_t *last = json_array_get(steps, 1);
        assert_int_equal(json_integer_value(json_object_get(last, "connections")), 60);
        assert_true(json_integer_value(json_object_get(last, "target_pss_bytes")) > 0);
        assert_true(json_integer_value(json_object_get(last, "probe_messages")) > 0);
        assert_true(metric(&load, "clients.alive") == 60);
        assert_file_has(&load, "steps.csv", "at_ns,connections,took_ns,target_pss_bytes");
        finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_the_generator_measures_itself(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct load load;
        prepare(&load, process_port(broker), "connect", engines[i]);
        add(&load, "--connections", "2", "--self-latency", NULL);
        assert_int_equal(run(&load), 0);
        assert_true(metric(&load, "generator.added_latency_p99") >=
                    metric(&load, "generator.added_latency_p50"));
        assert_true(metric(&load, "generator.added_latency_p50") > 0);
        finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// A free port, by asking for one and giving it back: mosquitto does not say which it got. Should somebody
// else take it meanwhile, mosquitto ends, and the test is tried again with another.
static struct process *start_mosquitto(const char *dir, uint16_t *port)
{
    char file[TEMP_PATH_SIZE];
    for (int attempt = 0; attempt < 5; attempt++) {
        struct process *free_port = process_start_broker(NULL, NULL);
        *port = process_port(free_port);
        assert_int_equal(process_stop(free_port), 0);
        FILE *config = fopen(temp_dir_file(dir, "mosquitto.conf", file), "w");
        assert_non_null(config);
        fprintf(config, "listener %u 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n",
                (unsigned)*port);
        fclose(config);
        const char *arguments[] = {"-c", file, NULL};
        struct process *mosquitto = process_start("mosquitto", arguments);
        int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
        while (clock_now_ns() < limit_ns && kill(process_pid(mosquitto), 0) == 0) {
            const char *said = process_errors(mosquitto);
            if (strstr(said, " running"))
                return mosquitto;
            if (strstr(said, "Error:"))
                break;
            clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
        }
        process_stop(mosquitto);
    }
    fail_msg("mosquitto did not start");
    return NULL;
}

static void test_mosquitto_is_a_target_like_any_other(void **state)
{
    (void)state;
    if (access("/usr/sbin/mosquitto", X_OK) < 0)
        skip();
    char dir[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    uint16_t port;
    struct process *mosquitto = start_mosquitto(dir, &port);
    for (int i = 0; i < 2; i++) {
        check_connects(port, process_pid(mosquitto), engines[i]);
        check_publishes(port, engines[i], "1");
    }
    process_stop(mosquitto);
    temp_dir_remove(dir);
}

// --- runs that go wrong ------------------------------------------------------------------------------------

static void test_refused_clients_are_counted_with_their_reason(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-connections", "30", NULL);
    for (int i = 0; i < 2; i++) {
        struct load load;
        prepare(&load, process_port(broker), "connect", engines[i]);
        add(&load, "--connections", "50", "--workers", "1", NULL);
        assert_int_equal(run(&load), 1);
        assert_true(metric(&load, "clients.connected") == 30);
        assert_true(metric(&load, "clients.failed") == 20);
        assert_int_equal(reason(&load, "failed", "connack_3"), 20);
        finish(&load);
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
static void assert_ends_at_once(struct load *load, int failed, const char *why)
{
    assert_int_equal(run(load), 1);
    assert_string_equal(status(load), "failed");
    assert_true(metric(load, "clients.connected") == 0);
    if (failed > 0)
        assert_int_equal(reason(load, "failed", why), failed);
    assert_file_has(load, "run.json", "\"what\": \"broken\"");
    finish(load);
}

static void test_a_target_that_refuses_everybody_ends_the_run(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_unused(&port);
    static const char *const why[] = {"untold", "tcp_refused"};
    for (int i = 0; i < 2; i++) {
        struct load load;
        prepare(&load, port, "connect", engines[i]);
        add(&load, "--connections", "5", NULL);
        assert_ends_at_once(&load, 5, why[i]);
        prepare(&load, port, "connect", engines[i]);
        add(&load, "--connections", "5", "--rate", "100", "--hold", "24h", NULL);
        assert_ends_at_once(&load, 5, why[i]);
        prepare(&load, port, "publish", engines[i]);
        add(&load, "--pairs", "3", "--duration", "24h", NULL);
        assert_ends_at_once(&load, 6, why[i]);
        for (int probes = 0; probes < 2; probes++) {
            prepare(&load, port, "steps", engines[i]);
            add(&load, "--steps", "5,10", "--probe", probes ? "4" : "0", "--settle", "0", "--hold", "24h",
                NULL);
            assert_ends_at_once(&load, probes ? 0 : 5, why[i]);
        }
    }
    close(fd);
}

static void test_a_source_address_of_somebody_else_ends_the_run(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load load;
    prepare(&load, process_port(broker), "connect", "raw");
    add(&load, "--connections", "5", "--source", "192.0.2.1", NULL); // for documentation: nobody's
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

// Started and holding 100 connections.
static struct process *start_holding(struct load *load, struct process *broker, const char *engine,
                                     bool watch)
{
    static char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)process_pid(broker));
    prepare(load, process_port(broker), "connect", engine);
    add(load, "--connections", "100", "--workers", "4", "--hold", "1h", "--settle", "0", NULL);
    if (watch)
        add(load, "--watch-pid", pid, NULL);
    struct process *generator = process_start("poolmark-loadgen", load->arguments);
    int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (!strstr(process_errors(generator), "hold     100 of 100")) {
        if (clock_now_ns() > limit_ns)
            fail_msg("the generator does not hold its connections: %s", process_errors(generator));
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
    return generator;
}

static void test_a_broker_killed_half_way_ends_the_run_with_the_count_of_what_was_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int watch = 0; watch < 2; watch++) {
            struct process *broker = process_start_broker(NULL, NULL);
            struct load load;
            pid_t workers[WORKERS_MAX];
            struct process *generator = start_holding(&load, broker, engines[i], watch);
            int count = workers_of(process_pid(generator), workers);
            assert_int_equal(count, 4);
            process_signal(broker, SIGKILL);
            assert_int_equal(process_wait(broker), -SIGKILL);
            assert_int_equal(process_wait(generator), 1);
            assert_gone(workers, count);
            read_record(&load);
            assert_string_equal(status(&load), "incomplete");
            assert_true(metric(&load, "clients.connected") == 100);
            // Watched, the end of the broker may be seen before that of the last connection.
            if (!watch)
                assert_true(metric(&load, "clients.dropped") == 100);
            assert_true(json_array_size(json_object_get(load.json, "anomalies")) > 0);
            finish(&load);
        }
}

// More workers than stay awake: those that are done are stopped, and yet answer when asked, and notice
// losses.
static void test_sleeping_workers_are_alive_and_notice_what_they_lost(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load load;
    prepare(&load, process_port(broker), "connect", "paho");
    add(&load, "--connections", "140", "--clients-per-worker", "2", "--prove", NULL);
    assert_int_equal(run(&load), 0);
    assert_true(metric(&load, "clients.alive") == 140);
    finish(&load);

    prepare(&load, process_port(broker), "connect", "paho");
    add(&load, "--connections", "140", "--clients-per-worker", "2", "--hold", "1h", NULL);
    struct process *generator = process_start("poolmark-loadgen", load.arguments);
    int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (!strstr(process_errors(generator), "hold     140 of 140") && clock_now_ns() < limit_ns)
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    process_signal(broker, SIGKILL);
    assert_int_equal(process_wait(broker), -SIGKILL);
    assert_int_equal(process_wait(generator), 1);
    read_record(&load);
    assert_string_equal(status(&load), "incomplete");
    assert_true(metric(&load, "clients.dropped") == 140);
    finish(&load);
}

static void test_a_killed_worker_ends_the_run_with_the_count_of_its_clients(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct load load;
        pid_t workers[WORKERS_MAX];
        struct process *generator = start_holding(&load, broker, engines[i], false);
        int count = workers_of(process_pid(generator), workers);
        assert_int_equal(kill(workers[2], SIGKILL), 0);
        assert_int_equal(process_wait(generator), 1);
        assert_gone(workers, count);
        read_record(&load);
        assert_string_equal(status(&load), "incomplete");
        assert_int_equal(reason(&load, "dropped", "worker_died"), 25);
        assert_true(metric(&load, "clients.dropped") == 25);
        finish(&load);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void test_an_interrupted_run_keeps_what_it_measured(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct load load;
        pid_t workers[WORKERS_MAX];
        struct process *generator = start_holding(&load, broker, engines[i], true);
        int count = workers_of(process_pid(generator), workers);
        process_signal(generator, signals[i]);
        assert_int_equal(process_wait(generator), 1);
        assert_gone(workers, count);
        read_record(&load);
        assert_string_equal(status(&load), "incomplete");
        assert_true(metric(&load, "clients.connected") == 100);
        assert_true(metric(&load, "clients.failed") == 0);
        assert_true(metric(&load, "clients.dropped") == 0);
        assert_true(metric(&load, "connect.p50") > 0);
        assert_file_has(&load, "latency.hlog", "Tag=connect,");
        finish(&load);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void assert_usage(const char *names, ...)
{
    const char *arguments[ARGUMENTS_MAX];
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
        cmocka_unit_test(test_both_engines_connect_to_the_reference_broker),
        cmocka_unit_test(test_both_engines_publish_at_every_qos),
        cmocka_unit_test(test_connects_at_a_rate_are_measured_from_their_intended_times),
        cmocka_unit_test(test_publishing_without_a_rate_loses_nothing),
        cmocka_unit_test(test_steps_are_in_the_record_and_in_a_table),
        cmocka_unit_test(test_the_generator_measures_itself),
        cmocka_unit_test(test_mosquitto_is_a_target_like_any_other),
        cmocka_unit_test(test_refused_clients_are_counted_with_their_reason),
        cmocka_unit_test(test_a_target_that_refuses_everybody_ends_the_run),
        cmocka_unit_test(test_a_source_address_of_somebody_else_ends_the_run),
        cmocka_unit_test(test_a_broker_killed_half_way_ends_the_run_with_the_count_of_what_was_lost),
        cmocka_unit_test(test_sleeping_workers_are_alive_and_notice_what_they_lost),
        cmocka_unit_test(test_a_killed_worker_ends_the_run_with_the_count_of_its_clients),
        cmocka_unit_test(test_an_interrupted_run_keeps_what_it_measured),
        cmocka_unit_test(test_bad_usage_is_named_and_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
