// SPDX-License-Identifier: Apache-2.0
// What every engine promises (loadgen/engine.h), tested alike over all of them, against a peer that answers
// at once.
#include "loadgen/engines/engines.h"

#include "base/clock.h"
#include "loadgen/responder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/written_payload.h"

enum { CLIENTS = 8, EVENTS_MAX = 4096, KINDS = ENGINE_PONG + 1 };

struct bench {
    const struct engine *engine;
    struct responder *responder;
    pthread_t thread;
    struct plan plan;
    struct engine_run *run;
    int counts[KINDS];
    struct engine_event events[EVENTS_MAX];
    int event_count;
    bool running;
};

static void listen_to(void *context, const struct engine_event *event)
{
    struct bench *bench = context;
    bench->counts[event->kind]++;
    if (bench->event_count < EVENTS_MAX)
        bench->events[bench->event_count++] = *event;
}

static void *respond(void *context)
{
    responder_run(context);
    return NULL;
}

static void start(struct bench *bench, const struct engine *engine, const struct responder_config *config,
                  int64_t timeout_ns, int keep_alive_s)
{
    *bench = (struct bench){.engine = engine};
    struct err err = {0};
    if (responder_open(&bench->responder, config, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pthread_create(&bench->thread, NULL, respond, bench->responder), 0);
    bench->running = true;
    char target[40];
    snprintf(target, sizeof target, "mqtt://127.0.0.1:%u", (unsigned)responder_port(bench->responder));
    const char *targets[] = {target};
    struct plan_request request = {.clients = CLIENTS,
                                   .engine_clients = CLIENTS,
                                   .clients_max = CLIENTS,
                                   .cores = 1,
                                   .can_bind = engine->caps & ENGINE_CAP_BIND,
                                   .targets = targets,
                                   .target_count = 1};
    if (plan_make(&bench->plan, &request, &err) < 0)
        fail_msg("%s", err.text);
    struct engine_config engine_config = {.plan = &bench->plan,
                                          .clients = CLIENTS,
                                          .prefix = "test",
                                          .timeout_ns = timeout_ns,
                                          .keep_alive_s = keep_alive_s,
                                          .listener = listen_to,
                                          .context = bench};
    if (engine->open(&bench->run, &engine_config, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop_responder(struct bench *bench)
{
    if (!bench->running)
        return;
    responder_stop(bench->responder);
    pthread_join(bench->thread, NULL);
    bench->running = false;
}

static void stop(struct bench *bench)
{
    bench->engine->close(bench->run);
    stop_responder(bench);
    responder_close(bench->responder);
    plan_free(&bench->plan);
}

static void step_until(struct bench *bench, enum engine_event_kind kind, int count)
{
    int64_t limit_ns = clock_now_ns() + 60 * NS_PER_S;
    while (bench->counts[kind] < count) {
        if (clock_now_ns() > limit_ns)
            fail_msg("%s: %d events of kind %d, %d awaited; failed %d, closed %d, dropped %d",
                     bench->engine->name, bench->counts[kind], kind, count, bench->counts[ENGINE_FAILED],
                     bench->counts[ENGINE_CLOSED], bench->counts[ENGINE_DROPPED]);
        bench->engine->step(bench->run, clock_now_ns() + 50 * NS_PER_MS);
    }
}

static void connect_all(struct bench *bench)
{
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(bench->engine->connect(bench->run, i), 0);
    step_until(bench, ENGINE_CONNECTED, CLIENTS);
}

static const struct engine_event *event_of(const struct bench *bench, enum engine_event_kind kind, int nth)
{
    for (int i = 0; i < bench->event_count; i++)
        if (bench->events[i].kind == kind && nth-- == 0)
            return &bench->events[i];
    fail_msg("no such event");
    return NULL;
}

static void publish(struct bench *bench, int client, int qos, uint64_t sequence)
{
    uint8_t bytes[64] = {0};
    int64_t now_ns = clock_now_ns();
    struct payload payload = {
        .pair = 5, .sequence = sequence, .intended_ns = now_ns - 1000, .sent_ns = now_ns};
    written_payload(bytes, sizeof bytes, &payload);
    struct engine_message message = {.topic = "poolmark/test/t",
                                     .payload = bytes,
                                     .payload_bytes = sizeof bytes,
                                     .qos = qos,
                                     .intended_ns = payload.intended_ns,
                                     .sent_ns = payload.sent_ns};
    assert_int_equal(bench->engine->publish(bench->run, client, &message), 0);
}

// --- tests, each for every engine --------------------------------------------------------------------------

static void check_connects_once_and_says_when(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    int64_t before_ns = clock_now_ns();
    connect_all(&bench);
    int64_t after_ns = clock_now_ns();
    bool seen[CLIENTS] = {false};
    for (int i = 0; i < CLIENTS; i++) {
        const struct engine_event *event = event_of(&bench, ENGINE_CONNECTED, i);
        assert_false(seen[event->client]);
        seen[event->client] = true;
        assert_true(event->started_ns >= before_ns && event->at_ns >= event->started_ns &&
                    event->at_ns <= after_ns);
        assert_int_equal(engine->connect(bench.run, event->client), -EISCONN);
    }
    assert_int_equal(bench.counts[ENGINE_FAILED], 0);
    stop(&bench);
}

static void check_refusals_carry_their_code(const struct engine *engine)
{
    static struct bench bench;
    for (int code = 1; code <= 5; code++) {
        start(&bench, engine, &(struct responder_config){.refuse = code}, 60 * NS_PER_S, 0);
        assert_int_equal(engine->connect(bench.run, 0), 0);
        step_until(&bench, ENGINE_FAILED, 1);
        assert_int_equal(event_of(&bench, ENGINE_FAILED, 0)->reason, tally_reason_of_connack(code));
        assert_int_equal(bench.counts[ENGINE_CONNECTED], 0);
        stop(&bench);
    }
}

static void check_nobody_listening_is_a_failure(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
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
    step_until(&bench, ENGINE_FAILED, 1);
    enum tally_reason reason = event_of(&bench, ENGINE_FAILED, 0)->reason;
    assert_true(reason == REASON_TCP_REFUSED || reason == REASON_UNTOLD);
    assert_int_equal(event_of(&bench, ENGINE_FAILED, 0)->client, 3);
    close(fd);
    stop(&bench);
}

static void check_silence_is_a_timeout(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){.silent = true}, NS_PER_S, 0);
    assert_int_equal(engine->connect(bench.run, 0), 0);
    step_until(&bench, ENGINE_FAILED, 1);
    assert_int_equal(event_of(&bench, ENGINE_FAILED, 0)->reason, REASON_TIMEOUT);
    stop(&bench);
}

static void check_a_lost_connection_is_told_once(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    responder_drop(bench.responder);
    step_until(&bench, ENGINE_DROPPED, CLIENTS);
    bool seen[CLIENTS] = {false};
    for (int i = 0; i < CLIENTS; i++) {
        const struct engine_event *event = event_of(&bench, ENGINE_DROPPED, i);
        assert_false(seen[event->client]);
        seen[event->client] = true;
        assert_true(event->reason == REASON_CLOSED || event->reason == REASON_RESET ||
                    event->reason == REASON_LOST);
    }
    struct engine_message message = {.topic = "t", .payload = (const uint8_t *)"x", .payload_bytes = 1};
    assert_int_equal(engine->publish(bench.run, 0, &message), -ENOTCONN);
    assert_int_equal(engine->subscribe(bench.run, 0, "t", 0), -ENOTCONN);
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_DISCONNECT), -ENOTCONN);
    stop(&bench);
}

static void check_messages_arrive_and_are_acknowledged(const struct engine *engine)
{
    enum { MESSAGES = 100 };
    static struct bench bench;
    for (int qos = 0; qos <= 2; qos++) {
        start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
        connect_all(&bench);
        assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", qos), 0);
        step_until(&bench, ENGINE_SUBSCRIBED, 1);
        for (uint64_t i = 0; i < MESSAGES; i++)
            publish(&bench, 1, qos, i);
        step_until(&bench, ENGINE_MESSAGE, MESSAGES);
        step_until(&bench, ENGINE_ACKED, qos > 0 ? MESSAGES : 0);
        for (int i = 0; i < MESSAGES; i++) {
            const struct engine_event *event = event_of(&bench, ENGINE_MESSAGE, i);
            assert_int_equal(event->client, 0);
            assert_true(event->content == PAYLOAD_WHOLE);
            assert_int_equal(event->payload.sequence, i);
            assert_int_equal(event->payload.pair, 5);
            assert_true(event->at_ns >= event->payload.sent_ns);
        }
        for (int i = 0; qos > 0 && i < MESSAGES; i++) {
            const struct engine_event *event = event_of(&bench, ENGINE_ACKED, i);
            assert_int_equal(event->client, 1);
            assert_int_equal(event->started_ns - event->intended_ns, 1000);
            assert_true(event->at_ns >= event->started_ns);
        }
        assert_int_equal(bench.counts[ENGINE_MESSAGE], MESSAGES);
        stop(&bench);
    }
}

// Two clients have a message each. While the first is handed out both get another: whoever stamps the second
// client's with a time from before makes it arrive before it was sent.
struct meanwhile {
    struct bench *bench, *other;
    bool done;
};

static void publish_to(struct bench *bench, const char *topic)
{
    uint8_t bytes[64] = {0};
    struct payload payload = {.sent_ns = clock_now_ns()};
    written_payload(bytes, sizeof bytes, &payload);
    struct engine_message message = {.topic = topic,
                                     .payload = bytes,
                                     .payload_bytes = sizeof bytes,
                                     .qos = 1,
                                     .intended_ns = payload.sent_ns,
                                     .sent_ns = payload.sent_ns};
    assert_int_equal(bench->engine->publish(bench->run, 0, &message), 0);
}

static void publish_to_both(struct bench *bench)
{
    int acked = bench->counts[ENGINE_ACKED];
    publish_to(bench, "poolmark/test/a");
    publish_to(bench, "poolmark/test/b");
    step_until(bench, ENGINE_ACKED, acked + 2); // forwarded by then
}

static void listen_and_publish(void *context, const struct engine_event *event)
{
    struct meanwhile *meanwhile = context;
    listen_to(meanwhile->bench, event);
    if (event->kind != ENGINE_MESSAGE || meanwhile->done)
        return;
    meanwhile->done = true;
    publish_to_both(meanwhile->other);
}

static void check_a_message_arrives_after_it_was_sent(const struct engine *engine)
{
    static struct bench bench, other;
    static struct meanwhile meanwhile;
    meanwhile = (struct meanwhile){.bench = &bench, .other = &other};
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine->close(bench.run);
    struct engine_config config = {.plan = &bench.plan,
                                   .clients = 2,
                                   .prefix = "test",
                                   .timeout_ns = 60 * NS_PER_S,
                                   .listener = listen_and_publish,
                                   .context = &meanwhile};
    struct err err = {0};
    assert_int_equal(engine->open(&bench.run, &config, &err), 0);
    other = (struct bench){.engine = engine};
    config.prefix = "other";
    config.listener = listen_to;
    config.context = &other;
    assert_int_equal(engine->open(&other.run, &config, &err), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    assert_int_equal(engine->connect(other.run, 0), 0);
    step_until(&bench, ENGINE_CONNECTED, 2);
    step_until(&other, ENGINE_CONNECTED, 1);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/a", 0), 0);
    assert_int_equal(engine->subscribe(bench.run, 1, "poolmark/test/b", 0), 0);
    step_until(&bench, ENGINE_SUBSCRIBED, 2);
    publish_to_both(&other);
    step_until(&bench, ENGINE_MESSAGE, 4);
    for (int i = 0; i < 4; i++) {
        const struct engine_event *event = event_of(&bench, ENGINE_MESSAGE, i);
        assert_true(event->content == PAYLOAD_WHOLE && event->at_ns >= event->payload.sent_ns);
    }
    engine->close(other.run);
    stop(&bench);
}

// Messages of one client, one after the other, to topics of the same length and in any mixture of QoS: each
// arrives where it was sent to.
static void check_each_message_has_its_own_topic_and_qos(const struct engine *engine)
{
    enum { MESSAGES = 60 };
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/a", 0), 0);
    assert_int_equal(engine->subscribe(bench.run, 1, "poolmark/test/b", 0), 0);
    step_until(&bench, ENGINE_SUBSCRIBED, 2);
    int acks = 0;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint8_t bytes[80] = {0};
        struct payload payload = {.pair = i / 3 % 2, .sequence = i, .sent_ns = i + 1};
        uint32_t length = i % 4 ? 64 : 80;
        written_payload(bytes, length, &payload);
        struct engine_message message = {.topic = i / 3 % 2 ? "poolmark/test/b" : "poolmark/test/a",
                                         .payload = bytes,
                                         .payload_bytes = length,
                                         .qos = (int)(i / 5 % 3),
                                         .intended_ns = i,
                                         .sent_ns = i + 1};
        acks += message.qos > 0;
        assert_int_equal(engine->publish(bench.run, 2, &message), 0);
        if (engine->flush && i % 13 == 12)
            engine->flush(bench.run);
    }
    step_until(&bench, ENGINE_MESSAGE, MESSAGES);
    step_until(&bench, ENGINE_ACKED, acks);
    for (int i = 0; i < MESSAGES; i++) {
        const struct engine_event *event = event_of(&bench, ENGINE_MESSAGE, i);
        assert_true(event->content == PAYLOAD_WHOLE);
        assert_int_equal(event->payload.pair, event->client);
    }
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    stop(&bench);
}

static void check_refused_subscriptions_are_told(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){.refuse_subscriptions = true}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", 1), 0);
    step_until(&bench, ENGINE_REFUSED, 1);
    assert_int_equal(event_of(&bench, ENGINE_REFUSED, 0)->reason, REASON_SUBSCRIBE_REFUSED);
    stop(&bench);
}

static void check_pings_are_answered(const struct engine *engine)
{
    if (!(engine->caps & ENGINE_CAP_PING))
        return;
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->ping(bench.run, i), 0);
    step_until(&bench, ENGINE_PONG, CLIENTS);
    stop(&bench);
}

static void check_a_deaf_peer_is_found_by_keep_alive(const struct engine *engine)
{
    if (!(engine->caps & ENGINE_CAP_PING)) // paho's own keep alive is paho's business
        return;
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){.deaf = true}, 60 * NS_PER_S, 1);
    connect_all(&bench);
    step_until(&bench, ENGINE_DROPPED, CLIENTS);
    assert_int_equal(event_of(&bench, ENGINE_DROPPED, 0)->reason, REASON_TIMEOUT);
    stop(&bench);
}

static void check_closing_is_told_and_is_no_drop(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->close_client(bench.run, i, LEAVE_DISCONNECT), 0);
    step_until(&bench, ENGINE_CLOSED, CLIENTS);
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_DISCONNECT), -ENOTCONN);
    stop(&bench);
}

static void check_a_client_that_has_ended_comes_back(const struct engine *engine)
{
    enum { ROUNDS = 3 };
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    for (int round = 2; round <= ROUNDS; round++) {
        int64_t left_ns = clock_now_ns();
        for (int i = 0; i < CLIENTS; i++) {
            assert_int_equal(engine->close_client(bench.run, i, LEAVE_DISCONNECT), 0);
            assert_int_equal(engine->connect(bench.run, i), -EISCONN); // its end is not reported yet
        }
        step_until(&bench, ENGINE_CLOSED, (round - 1) * CLIENTS);
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(engine->connect(bench.run, i), 0);
        step_until(&bench, ENGINE_CONNECTED, round * CLIENTS);
        assert_true(event_of(&bench, ENGINE_CONNECTED, round * CLIENTS - 1)->started_ns >= left_ns);
    }
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    assert_int_equal(bench.counts[ENGINE_FAILED], 0);
    // And after an end that was not its doing.
    responder_drop(bench.responder);
    step_until(&bench, ENGINE_DROPPED, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    step_until(&bench, ENGINE_CONNECTED, (ROUNDS + 1) * CLIENTS);
    assert_int_equal(bench.counts[ENGINE_DROPPED], CLIENTS);
    stop(&bench);
}

static void check_clients_leave_in_the_ways_that_the_engine_knows(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    connect_all(&bench);
    int can_cut = engine->caps & ENGINE_CAP_CUT ? 0 : -EOPNOTSUPP;
    assert_int_equal(engine->close_client(bench.run, 0, LEAVE_FIN), can_cut);
    assert_int_equal(engine->close_client(bench.run, 1, LEAVE_RST), can_cut);
    assert_int_equal(engine->close_client(bench.run, 2, LEAVE_DISCONNECT), 0);
    step_until(&bench, ENGINE_CLOSED, can_cut == 0 ? 3 : 1);
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    stop(&bench);
}

static void check_closing_an_engine_at_any_moment_is_clean(const struct engine *engine)
{
    static struct bench bench;
    start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    engine->step(bench.run, 0);
    stop(&bench);
}

static void for_each(void (*check)(const struct engine *))
{
    for (const struct engine *const *engine = engine_list(); *engine; engine++)
        check(*engine);
}

#define FOR_EACH(name)                                                                                       \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        for_each(check_##name);                                                                              \
    }
FOR_EACH(connects_once_and_says_when)
FOR_EACH(refusals_carry_their_code)
FOR_EACH(nobody_listening_is_a_failure)
FOR_EACH(silence_is_a_timeout)
FOR_EACH(a_lost_connection_is_told_once)
FOR_EACH(messages_arrive_and_are_acknowledged)
FOR_EACH(a_message_arrives_after_it_was_sent)
FOR_EACH(each_message_has_its_own_topic_and_qos)
FOR_EACH(refused_subscriptions_are_told)
FOR_EACH(pings_are_answered)
FOR_EACH(a_deaf_peer_is_found_by_keep_alive)
FOR_EACH(closing_is_told_and_is_no_drop)
FOR_EACH(a_client_that_has_ended_comes_back)
FOR_EACH(clients_leave_in_the_ways_that_the_engine_knows)
FOR_EACH(closing_an_engine_at_any_moment_is_clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects_once_and_says_when),
        cmocka_unit_test(test_refusals_carry_their_code),
        cmocka_unit_test(test_nobody_listening_is_a_failure),
        cmocka_unit_test(test_silence_is_a_timeout),
        cmocka_unit_test(test_a_lost_connection_is_told_once),
        cmocka_unit_test(test_messages_arrive_and_are_acknowledged),
        cmocka_unit_test(test_a_message_arrives_after_it_was_sent),
        cmocka_unit_test(test_each_message_has_its_own_topic_and_qos),
        cmocka_unit_test(test_refused_subscriptions_are_told),
        cmocka_unit_test(test_pings_are_answered),
        cmocka_unit_test(test_a_deaf_peer_is_found_by_keep_alive),
        cmocka_unit_test(test_closing_is_told_and_is_no_drop),
        cmocka_unit_test(test_a_client_that_has_ended_comes_back),
        cmocka_unit_test(test_clients_leave_in_the_ways_that_the_engine_knows),
        cmocka_unit_test(test_closing_an_engine_at_any_moment_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
