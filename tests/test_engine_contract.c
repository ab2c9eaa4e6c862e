// SPDX-License-Identifier: Apache-2.0
// What every engine promises of connections (loadgen/engine.h), tested alike over all of them, against a peer
// that answers at once. Messages: test_engine_messages.c.
#include "tests/engine_bench.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = ENGINE_BENCH_CLIENTS };

static void check_connects_once_and_says_when(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    int64_t before_ns = clock_now_ns();
    engine_bench_connect_all(&bench);
    int64_t after_ns = clock_now_ns();
    bool seen[CLIENTS] = {false};
    for (int i = 0; i < CLIENTS; i++) {
        const struct engine_event *event = engine_bench_event(&bench, ENGINE_CONNECTED, i);
        assert_false(seen[event->client]);
        seen[event->client] = true;
        assert_true(event->started_ns >= before_ns && event->at_ns >= event->started_ns &&
                    event->at_ns <= after_ns);
        assert_int_equal(engine->connect(bench.run, event->client), -EISCONN);
    }
    assert_int_equal(bench.counts[ENGINE_FAILED], 0);
    engine_bench_stop(&bench);
}

static void check_refusals_carry_their_code(const struct engine *engine)
{
    static struct engine_bench bench;
    for (int code = 1; code <= 5; code++) {
        engine_bench_start(&bench, engine, &(struct responder_config){.refuse = code}, 60 * NS_PER_S, 0);
        assert_int_equal(engine->connect(bench.run, 0), 0);
        engine_bench_step_until(&bench, ENGINE_FAILED, 1);
        assert_int_equal(engine_bench_event(&bench, ENGINE_FAILED, 0)->reason, tally_reason_of_connack(code));
        assert_int_equal(bench.counts[ENGINE_CONNECTED], 0);
        engine_bench_stop(&bench);
    }
}

static void check_nobody_listening_is_a_failure(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    // A port that is bound and does not listen refuses for certain.
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    memcpy(&bench.plan.targets[0].address, &address, sizeof address);
    snprintf(bench.plan.targets[0].uri, sizeof bench.plan.targets[0].uri, "tcp://127.0.0.1:%u",
             (unsigned)ntohs(address.sin_port));
    assert_int_equal(engine->connect(bench.run, 3), 0);
    engine_bench_step_until(&bench, ENGINE_FAILED, 1);
    enum tally_reason reason = engine_bench_event(&bench, ENGINE_FAILED, 0)->reason;
    assert_true(reason == REASON_TCP_REFUSED || reason == REASON_UNTOLD);
    assert_int_equal(engine_bench_event(&bench, ENGINE_FAILED, 0)->client, 3);
    close(fd);
    engine_bench_stop(&bench);
}

static void check_silence_is_a_timeout(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){.silent = true}, NS_PER_S, 0);
    assert_int_equal(engine->connect(bench.run, 0), 0);
    engine_bench_step_until(&bench, ENGINE_FAILED, 1);
    assert_int_equal(engine_bench_event(&bench, ENGINE_FAILED, 0)->reason, REASON_TIMEOUT);
    engine_bench_stop(&bench);
}

static void check_a_lost_connection_is_told_once(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    responder_drop(bench.responder);
    engine_bench_step_until(&bench, ENGINE_DROPPED, CLIENTS);
    bool seen[CLIENTS] = {false};
    for (int i = 0; i < CLIENTS; i++) {
        const struct engine_event *event = engine_bench_event(&bench, ENGINE_DROPPED, i);
        assert_false(seen[event->client]);
        seen[event->client] = true;
        assert_true(event->reason == REASON_CLOSED || event->reason == REASON_RESET ||
                    event->reason == REASON_LOST);
    }
    struct engine_message message = {.topic = "t", .payload = (const uint8_t *)"x", .payload_bytes = 1};
    assert_int_equal(engine->publish(bench.run, 0, &message), -ENOTCONN);
    assert_int_equal(engine->subscribe(bench.run, 0, "t", 0), -ENOTCONN);
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_DISCONNECT), -ENOTCONN);
    engine_bench_stop(&bench);
}

static void check_pings_are_answered(const struct engine *engine)
{
    if (!(engine->caps & ENGINE_CAP_PING))
        return;
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->ping(bench.run, i), 0);
    engine_bench_step_until(&bench, ENGINE_PONG, CLIENTS);
    engine_bench_stop(&bench);
}

static void check_a_deaf_peer_is_found_by_keep_alive(const struct engine *engine)
{
    if (!(engine->caps & ENGINE_CAP_PING)) // paho's own keep alive is paho's business
        return;
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){.deaf = true}, 60 * NS_PER_S, 1);
    engine_bench_connect_all(&bench);
    engine_bench_step_until(&bench, ENGINE_DROPPED, CLIENTS);
    assert_int_equal(engine_bench_event(&bench, ENGINE_DROPPED, 0)->reason, REASON_TIMEOUT);
    engine_bench_stop(&bench);
}

static void check_closing_is_told_and_is_no_drop(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->close_client(bench.run, i, LEAVE_DISCONNECT), 0);
    engine_bench_step_until(&bench, ENGINE_CLOSED, CLIENTS);
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_DISCONNECT), -ENOTCONN);
    engine_bench_stop(&bench);
}

static void check_a_client_that_has_ended_comes_back(const struct engine *engine)
{
    enum { ROUNDS = 3 };
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    for (int round = 2; round <= ROUNDS; round++) {
        int64_t left_ns = clock_now_ns();
        for (int i = 0; i < CLIENTS; i++) {
            assert_int_equal(engine->close_client(bench.run, i, LEAVE_DISCONNECT), 0);
            assert_int_equal(engine->connect(bench.run, i), -EISCONN); // its end is not reported yet
        }
        engine_bench_step_until(&bench, ENGINE_CLOSED, (round - 1) * CLIENTS);
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(engine->connect(bench.run, i), 0);
        engine_bench_step_until(&bench, ENGINE_CONNECTED, round * CLIENTS);
        assert_true(engine_bench_event(&bench, ENGINE_CONNECTED, round * CLIENTS - 1)->started_ns >= left_ns);
    }
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    assert_int_equal(bench.counts[ENGINE_FAILED], 0);
    // And after an end that was not its doing.
    responder_drop(bench.responder);
    engine_bench_step_until(&bench, ENGINE_DROPPED, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    engine_bench_step_until(&bench, ENGINE_CONNECTED, (ROUNDS + 1) * CLIENTS);
    assert_int_equal(bench.counts[ENGINE_DROPPED], CLIENTS);
    engine_bench_stop(&bench);
}

static void check_clients_leave_in_the_ways_that_the_engine_knows(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    int can_cut = engine->caps & ENGINE_CAP_CUT ? 0 : -EOPNOTSUPP;
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_FIN), can_cut);
    assert_int_equal(engine->close_client(bench.run, 1, LEAVE_RST), can_cut);
    assert_int_equal(engine->close_client(bench.run, 2, LEAVE_DISCONNECT), 0);
    engine_bench_step_until(&bench, ENGINE_CLOSED, can_cut == 0 ? 3 : 1);
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    engine_bench_stop(&bench);
}

// An engine whose library has the sockets does not know them, and says nothing.
static void check_bytes_are_those_that_the_peer_got_and_gave(const struct engine *engine)
{
    enum { CONNECT_LEAST = 14, CONNACK = 4, DISCONNECT = 2 };
    static struct engine_bench bench;
    int64_t connecting, sent, received;
    if (!engine->bytes)
        return;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    engine->bytes(bench.run, &connecting, &received);
    assert_true(connecting > CLIENTS * CONNECT_LEAST);
    assert_int_equal(received, CLIENTS * CONNACK);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->close_client(bench.run, i, LEAVE_DISCONNECT), 0);
    engine_bench_step_until(&bench, ENGINE_CLOSED, CLIENTS);
    engine->bytes(bench.run, &sent, &received);
    assert_int_equal(sent, connecting + CLIENTS * DISCONNECT);
    assert_int_equal(received, CLIENTS * CONNACK);
    engine_bench_stop(&bench);
}

static void check_closing_an_engine_at_any_moment_is_clean(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    engine->step(bench.run, 0);
    engine_bench_stop(&bench);
}

ENGINE_BENCH_FOR_EACH(connects_once_and_says_when)
ENGINE_BENCH_FOR_EACH(refusals_carry_their_code)
ENGINE_BENCH_FOR_EACH(nobody_listening_is_a_failure)
ENGINE_BENCH_FOR_EACH(silence_is_a_timeout)
ENGINE_BENCH_FOR_EACH(a_lost_connection_is_told_once)
ENGINE_BENCH_FOR_EACH(pings_are_answered)
ENGINE_BENCH_FOR_EACH(a_deaf_peer_is_found_by_keep_alive)
ENGINE_BENCH_FOR_EACH(closing_is_told_and_is_no_drop)
ENGINE_BENCH_FOR_EACH(a_client_that_has_ended_comes_back)
ENGINE_BENCH_FOR_EACH(clients_leave_in_the_ways_that_the_engine_knows)
ENGINE_BENCH_FOR_EACH(bytes_are_those_that_the_peer_got_and_gave)
ENGINE_BENCH_FOR_EACH(closing_an_engine_at_any_moment_is_clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects_once_and_says_when),
        cmocka_unit_test(test_refusals_carry_their_code),
        cmocka_unit_test(test_nobody_listening_is_a_failure),
        cmocka_unit_test(test_silence_is_a_timeout),
        cmocka_unit_test(test_a_lost_connection_is_told_once),
        cmocka_unit_test(test_pings_are_answered),
        cmocka_unit_test(test_a_deaf_peer_is_found_by_keep_alive),
        cmocka_unit_test(test_closing_is_told_and_is_no_drop),
        cmocka_unit_test(test_a_client_that_has_ended_comes_back),
        cmocka_unit_test(test_clients_leave_in_the_ways_that_the_engine_knows),
        cmocka_unit_test(test_bytes_are_those_that_the_peer_got_and_gave),
        cmocka_unit_test(test_closing_an_engine_at_any_moment_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
