// SPDX-License-Identifier: Apache-2.0
// A target that is not there yet, and one that restarts, in each scenario whose clients come back by themselves (--backoff): all are
// there again, what they are to receive arrives again, and every line of the books balances.
#include "base/clock.h"
#include "tests/load_run.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 20 };

static void assert_balanced(const struct load_run *load)
{
    const char *source, *column;
    json_t *line, *value;
    json_object_foreach(json_object_get(load->json, "books"), source, line)
    {
        int64_t sum = 0;
        json_object_foreach(line, column, value) sum += json_integer_value(value);
        if (sum != 2 * json_integer_value(json_object_get(line, "attempted")))
            fail_msg("books.%s does not balance", source);
    }
}

static int64_t guard_ns(void)
{
    return clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
}

// What the generator says from its `from`-th byte on has the text.
static void await_said(struct process *generator, size_t from, const char *text)
{
    for (int64_t limit_ns = guard_ns(); !strstr(process_errors(generator) + from, text);) {
        if (clock_now_ns() > limit_ns)
            fail_msg("the generator never said \"%s\", but: %s", text, process_errors(generator) + from);
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

static void await_statistic(struct process *broker, const char *name, int64_t least)
{
    for (int64_t limit_ns = guard_ns(); process_statistic(broker, name) < least;) {
        if (clock_now_ns() > limit_ns)
            fail_msg("%s never came to %lld", name, (long long)least);
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

// A port of this host on which nobody listens and from which nobody connects, while the descriptor is open. A broker can listen there.
static int hold_port(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static struct process *start_at(uint16_t port)
{
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)port);
    return process_start_broker("--listen", listen, NULL);
}

static const struct {
    const char *scenario, *begun; // what the generator says when all are there
    const char *options[10];
    bool delivers;
    int probes;
} scenarios[] = {
    {"connect",
     "hold     20 of 20 connected",
     {"--connections", "20", "--subscribe", "--hold", "24h"},
     false,
     0},
    {"publish",
     "publish  20 of 20 connected",
     {"--pairs", "10", "--publish-rate", "200", "--duration", "24h", "--qos", "1"},
     true,
     0},
    {"publish",
     "publish  20 of 20 connected",
     {"--pattern", "fan-out", "--publishers", "2", "--subscribers", "18", "--publish-rate", "0", "--duration",
      "24h"},
     true,
     0},
    {"steps",
     "hold     20 of 20 connected",
     {"--steps", "10,20", "--probe", "4", "--settle", "0", "--hold", "24h", "--duration", "100ms"},
     false,
     4},
    {"subscribe",
     "subscribe 20 of 20 connected",
     {"--connections", "20", "--filters", "10000", "--subscribe-rate", "20"},
     false,
     0},
    {"slow",
     "before   20 of 20 connected",
     {"--publishers", "1", "--subscribers", "19", "--before", "24h", "--message-bytes", "64"},
     true,
     0},
};

static void prepare(struct load_run *load, uint16_t port, const char *engine, size_t number)
{
    load_run_prepare(load, port, scenarios[number].scenario, engine);
    for (int i = 0; i < 10 && scenarios[number].options[i]; i++)
        load_run_add(load, scenarios[number].options[i], NULL);
    load_run_add(load, "--backoff", "20ms", "--backoff-max", "200ms", "--jitter", "0.5", "--give-up", "1h",
                 NULL);
}

static void assert_came_back(const struct load_run *load, size_t number)
{
    assert_balanced(load);
    assert_int_equal(load_run_book(load, "connects", "attempted"), CLIENTS + scenarios[number].probes);
    assert_int_equal(load_run_book(load, "connects", "measured"), CLIENTS + scenarios[number].probes);
    assert_true(load_run_metric(load, "clients.dropped") == 0);
    assert_int_equal(load_run_book(load, "arrivals", "attempted"), CLIENTS + scenarios[number].probes);
    assert_true(load_run_book(load, "arrivals", "measured") >= CLIENTS);
    assert_true(load_run_metric(load, "arrivals.count") >= CLIENTS);
    assert_true(load_run_metric(load, "arrivals.failed") == 0);
    assert_true(load_run_metric(load, "arrivals.retries") > 0); // nobody listened for a while
    if (strcmp(scenarios[number].scenario, "connect") == 0)
        assert_int_equal(load_run_book(load, "subscribes", "attempted"), 2 * CLIENTS);
}

static void restart_under(const char *engine, size_t number)
{
    uint16_t port;
    struct load_run load;
    int fd = hold_port(&port);
    struct process *broker = start_at(port);
    prepare(&load, port, engine, number);
    struct process *generator = process_start("poolmark-loadgen", load.arguments);
    await_said(generator, 0, scenarios[number].begun);
    size_t said = strlen(process_errors(generator));
    process_signal(broker, SIGKILL);
    assert_int_equal(process_wait(broker), -SIGKILL);
    await_said(generator, said, " 0 of 20 connected");
    said = strlen(process_errors(generator));
    broker = start_at(port);
    await_said(generator, said, " 20 of 20 connected");
    if (scenarios[number].delivers)
        await_statistic(broker, "messages_sent", 100);
    process_signal(generator, SIGINT);
    assert_int_equal(process_wait(generator), 1);
    load_run_read(&load);
    assert_came_back(&load, number);
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
    close(fd);
}

static void test_clients_come_back_to_a_target_that_restarts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        for (int engine = 0; engine < LOAD_ENGINES; engine++)
            restart_under(load_run_engines[engine], i);
}

static void test_clients_await_a_target_that_is_not_there_yet(void **state)
{
    (void)state;
    for (int engine = 0; engine < LOAD_ENGINES; engine++)
        for (int paced = 0; paced < 2; paced++) {
            uint16_t port;
            struct load_run load;
            int fd = hold_port(&port);
            load_run_prepare(&load, port, "connect", load_run_engines[engine]);
            load_run_add(&load, "--connections", "20", "--subscribe", "--rate", paced ? "200" : "0",
                         "--backoff", "20ms", "--give-up", "1h", "--prove", NULL);
            struct process *generator = process_start("poolmark-loadgen", load.arguments);
            await_said(generator, 0, " 0 of 20 connected");
            // Seen a second later again: nobody gave up.
            size_t said = strlen(process_errors(generator));
            await_said(generator, said, " 0 of 20 connected, 0 failed");
            struct process *broker = start_at(port);
            int code = process_wait(generator);
            load_run_read(&load);
            load_run_check_complete(&load, code);
            assert_balanced(&load);
            assert_int_equal(load_run_book(&load, "connects", "measured"), CLIENTS);
            assert_int_equal(load_run_book(&load, "subscribes", "measured"), CLIENTS);
            assert_true(load_run_metric(&load, "clients.alive") == CLIENTS);
            assert_true(load_run_metric(&load, "connect.retries") >= CLIENTS);
            // The first connect began before the target, so the latency is more than that of the try that succeeded.
            assert_true(load_run_metric(&load, "connect.p50") >
                        load_run_metric(&load, "connect_uncorrected.p50"));
            load_run_finish(&load);
            assert_int_equal(process_stop(broker), 0);
            close(fd);
        }
}

static void test_who_gives_up_has_failed(void **state)
{
    (void)state;
    static const char *const why[] = {"untold", "tcp_refused"};
    for (int engine = 0; engine < LOAD_ENGINES; engine++) {
        uint16_t port;
        struct load_run load;
        int fd = hold_port(&port);
        load_run_prepare(&load, port, "connect", load_run_engines[engine]);
        load_run_add(&load, "--connections", "5", "--backoff", "10ms", "--give-up", "300ms", NULL);
        assert_int_equal(load_run_to_end(&load), 1);
        assert_balanced(&load);
        assert_int_equal(load_run_reason(&load, "failed", why[engine]), 5);
        load_run_finish(&load);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_come_back_to_a_target_that_restarts),
        cmocka_unit_test(test_clients_await_a_target_that_is_not_there_yet),
        cmocka_unit_test(test_who_gives_up_has_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
