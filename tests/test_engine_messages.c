// SPDX-License-Identifier: Apache-2.0
// What every engine promises of messages (loadgen/engine.h), tested alike over all of them, against a peer that
// answers at once: each arrives once, whole, where it was sent to, after it was sent, and is acknowledged.
#include "tests/engine_bench.h"

#include "base/clock.h"
#include "loadgen/engines/engines.h"
#include "loadgen/topic_mark.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/written_payload.h"

static void publish(struct engine_bench *bench, int client, int qos, uint64_t sequence)
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

static void check_messages_arrive_and_are_acknowledged(const struct engine *engine)
{
    enum { MESSAGES = 100 };
    static struct engine_bench bench;
    for (int qos = 0; qos <= 2; qos++) {
        engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
        engine_bench_connect_all(&bench);
        assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", qos), 0);
        engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, 1);
        for (uint64_t i = 0; i < MESSAGES; i++)
            publish(&bench, 1, qos, i);
        engine_bench_step_until(&bench, ENGINE_MESSAGE, MESSAGES);
        engine_bench_step_until(&bench, ENGINE_ACKED, qos > 0 ? MESSAGES : 0);
        for (int i = 0; i < MESSAGES; i++) {
            const struct engine_event *event = engine_bench_event(&bench, ENGINE_MESSAGE, i);
            assert_int_equal(event->client, 0);
            assert_true(event->content == PAYLOAD_WHOLE);
            assert_int_equal(event->payload.sequence, i);
            assert_int_equal(event->payload.pair, 5);
            assert_true(event->topic == topic_mark("poolmark/test/t", strlen("poolmark/test/t")));
            assert_false(event->retained);
            assert_true(event->at_ns >= event->payload.sent_ns);
        }
        for (int i = 0; qos > 0 && i < MESSAGES; i++) {
            const struct engine_event *event = engine_bench_event(&bench, ENGINE_ACKED, i);
            assert_int_equal(event->client, 1);
            assert_int_equal(event->started_ns - event->intended_ns, 1000);
            assert_true(event->at_ns >= event->started_ns);
        }
        assert_int_equal(bench.counts[ENGINE_MESSAGE], MESSAGES);
        engine_bench_stop(&bench);
    }
}

// Two clients have a message each. While the first is handed out both get another: whoever stamps the second
// client's with a time from before makes it arrive before it was sent.
struct meanwhile {
    struct engine_bench *bench, *other;
    bool done;
};

static void publish_to(struct engine_bench *bench, const char *topic)
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

static void publish_to_both(struct engine_bench *bench)
{
    int acked = bench->counts[ENGINE_ACKED];
    publish_to(bench, "poolmark/test/a");
    publish_to(bench, "poolmark/test/b");
    engine_bench_step_until(bench, ENGINE_ACKED, acked + 2); // forwarded by then
}

static void listen_and_publish(void *context, const struct engine_event *event)
{
    struct meanwhile *meanwhile = context;
    engine_bench_listen(meanwhile->bench, event);
    if (event->kind != ENGINE_MESSAGE || meanwhile->done)
        return;
    meanwhile->done = true;
    publish_to_both(meanwhile->other);
}

static void check_a_message_arrives_after_it_was_sent(const struct engine *engine)
{
    static struct engine_bench bench, other;
    static struct meanwhile meanwhile;
    meanwhile = (struct meanwhile){.bench = &bench, .other = &other};
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine->close(bench.run);
    struct engine_config config = {.plan = &bench.plan,
                                   .clients = 2,
                                   .prefix = "test",
                                   .timeout_ns = 60 * NS_PER_S,
                                   .listener = listen_and_publish,
                                   .context = &meanwhile};
    struct err err = {0};
    assert_int_equal(engine->open(&bench.run, &config, &err), 0);
    other = (struct engine_bench){.engine = engine};
    config.prefix = "other";
    config.listener = engine_bench_listen;
    config.context = &other;
    assert_int_equal(engine->open(&other.run, &config, &err), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(engine->connect(bench.run, i), 0);
    assert_int_equal(engine->connect(other.run, 0), 0);
    engine_bench_step_until(&bench, ENGINE_CONNECTED, 2);
    engine_bench_step_until(&other, ENGINE_CONNECTED, 1);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/a", 0), 0);
    assert_int_equal(engine->subscribe(bench.run, 1, "poolmark/test/b", 0), 0);
    engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, 2);
    publish_to_both(&other);
    engine_bench_step_until(&bench, ENGINE_MESSAGE, 4);
    for (int i = 0; i < 4; i++) {
        const struct engine_event *event = engine_bench_event(&bench, ENGINE_MESSAGE, i);
        assert_true(event->content == PAYLOAD_WHOLE && event->at_ns >= event->payload.sent_ns);
    }
    engine->close(other.run);
    engine_bench_stop(&bench);
}

// Messages of one client, one after the other, to topics of the same length and in any mixture of QoS: each
// arrives where it was sent to.
static void check_each_message_has_its_own_topic_and_qos(const struct engine *engine)
{
    enum { MESSAGES = 60 };
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/a", 0), 0);
    assert_int_equal(engine->subscribe(bench.run, 1, "poolmark/test/b", 0), 0);
    engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, 2);
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
    engine_bench_step_until(&bench, ENGINE_MESSAGE, MESSAGES);
    engine_bench_step_until(&bench, ENGINE_ACKED, acks);
    for (int i = 0; i < MESSAGES; i++) {
        const struct engine_event *event = engine_bench_event(&bench, ENGINE_MESSAGE, i);
        assert_true(event->content == PAYLOAD_WHOLE);
        assert_int_equal(event->payload.pair, event->client);
    }
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    engine_bench_stop(&bench);
}

static void check_refused_subscriptions_are_told(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){.refuse_subscriptions = true},
                       60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", 1), 0);
    engine_bench_step_until(&bench, ENGINE_REFUSED, 1);
    assert_int_equal(engine_bench_event(&bench, ENGINE_REFUSED, 0)->reason, REASON_SUBSCRIBE_REFUSED);
    engine_bench_stop(&bench);
}

static void check_a_subscription_that_was_removed_gets_nothing(const struct engine *engine)
{
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    for (int i = 0; i < 2; i++)
        assert_int_equal(engine->subscribe(bench.run, i, "poolmark/test/t", 0), 0);
    engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, 2);
    assert_int_equal(engine->unsubscribe(bench.run, 0, "poolmark/test/t"), 0);
    engine_bench_step_until(&bench, ENGINE_UNSUBSCRIBED, 1);
    assert_int_equal(engine_bench_event(&bench, ENGINE_UNSUBSCRIBED, 0)->client, 0);
    publish(&bench, 2, 0, 0);
    engine_bench_step_until(&bench, ENGINE_MESSAGE, 1);
    assert_int_equal(engine_bench_event(&bench, ENGINE_MESSAGE, 0)->client, 1);
    responder_drop(bench.responder);
    engine_bench_step_until(&bench, ENGINE_DROPPED, ENGINE_BENCH_CLIENTS);
    assert_int_equal(bench.counts[ENGINE_MESSAGE], 1); // all that was on its way has come by now
    assert_int_equal(engine->unsubscribe(bench.run, 0, "poolmark/test/t"), -ENOTCONN);
    engine_bench_stop(&bench);
}

// Each answer belongs to a request of its own, also while several have none yet.
static void check_several_requests_at_once_have_an_answer_each(const struct engine *engine)
{
    enum { REQUESTS = 20 };
    static struct engine_bench bench;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", 1), 0);
        assert_int_equal(engine->unsubscribe(bench.run, 0, "poolmark/test/t"), 0);
        publish(&bench, 0, 1 + i % 2, (uint64_t)i);
        if (engine->caps & ENGINE_CAP_PING)
            assert_int_equal(engine->ping(bench.run, 0), 0);
    }
    engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, REQUESTS);
    engine_bench_step_until(&bench, ENGINE_UNSUBSCRIBED, REQUESTS);
    engine_bench_step_until(&bench, ENGINE_ACKED, REQUESTS);
    assert_int_equal(bench.counts[ENGINE_DROPPED], 0);
    engine_bench_stop(&bench);
}

// A topic is known by its number: each of its bytes, and how many there are, make another one.
static void test_topics_that_differ_have_other_numbers(void **state)
{
    (void)state;
    char topic[41] = "poolmark/a1b2c3d4/p/0123456789/and/more";
    for (size_t bytes = 1; bytes <= 40; bytes++) {
        uint64_t mark = topic_mark(topic, bytes);
        assert_true(mark != 0 && mark == topic_mark(topic, bytes));
        assert_true(mark != topic_mark(topic, bytes - 1));
        for (size_t at = 0; at < bytes; at++)
            for (int bit = 0; bit < 8; bit++) {
                topic[at] = (char)(topic[at] ^ 1 << bit);
                assert_true(mark != topic_mark(topic, bytes));
                topic[at] = (char)(topic[at] ^ 1 << bit);
            }
    }
}

// A client of engine raw at the same peer.
static void open_other(const struct engine_bench *bench, struct engine_bench *other)
{
    struct err err = {0};
    *other = (struct engine_bench){.engine = engine_find("raw")};
    struct engine_config config = {.plan = &bench->plan,
                                   .clients = 1,
                                   .prefix = "other",
                                   .timeout_ns = 60 * NS_PER_S,
                                   .listener = engine_bench_listen,
                                   .context = other};
    assert_int_equal(other->engine->open(&other->run, &config, &err), 0);
    assert_int_equal(other->engine->connect(other->run, 0), 0);
    engine_bench_step_until(other, ENGINE_CONNECTED, 1);
}

// All clients of the process stand still, and read again.
static void check_clients_that_do_not_read_get_it_later(const struct engine *engine)
{
    enum { MESSAGES = 10 };
    static struct engine_bench bench, other;
    engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
    engine_bench_connect_all(&bench);
    assert_int_equal(engine->subscribe(bench.run, 0, "poolmark/test/t", 0), 0);
    engine_bench_step_until(&bench, ENGINE_SUBSCRIBED, 1);
    open_other(&bench, &other);
    engine->read_at(bench.run, 0);
    for (uint64_t i = 0; i < MESSAGES; i++)
        publish(&other, 0, 1, i);
    engine_bench_step_until(&other, ENGINE_ACKED, MESSAGES); // forwarded by then
    for (int i = 0; i < 10; i++)
        engine->step(bench.run, clock_now_ns() + 20 * NS_PER_MS);
    assert_int_equal(bench.counts[ENGINE_MESSAGE], 0);
    engine->read_at(bench.run, 10000); // some 80 bytes each
    engine_bench_step_until(&bench, ENGINE_MESSAGE, MESSAGES / 2);
    engine->read_at(bench.run, ENGINE_READ_ALL);
    engine_bench_step_until(&bench, ENGINE_MESSAGE, MESSAGES);
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(engine_bench_event(&bench, ENGINE_MESSAGE, i)->payload.sequence, i);
    // Those that have read again are told of a lost connection.
    responder_drop(bench.responder);
    engine_bench_step_until(&bench, ENGINE_DROPPED, ENGINE_BENCH_CLIENTS);
    other.engine->close(other.run);
    engine_bench_stop(&bench);
}

ENGINE_BENCH_FOR_EACH(messages_arrive_and_are_acknowledged)
ENGINE_BENCH_FOR_EACH(a_message_arrives_after_it_was_sent)
ENGINE_BENCH_FOR_EACH(each_message_has_its_own_topic_and_qos)
ENGINE_BENCH_FOR_EACH(refused_subscriptions_are_told)
ENGINE_BENCH_FOR_EACH(a_subscription_that_was_removed_gets_nothing)
ENGINE_BENCH_FOR_EACH(several_requests_at_once_have_an_answer_each)
ENGINE_BENCH_FOR_EACH(clients_that_do_not_read_get_it_later)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_arrive_and_are_acknowledged),
        cmocka_unit_test(test_a_message_arrives_after_it_was_sent),
        cmocka_unit_test(test_each_message_has_its_own_topic_and_qos),
        cmocka_unit_test(test_refused_subscriptions_are_told),
        cmocka_unit_test(test_a_subscription_that_was_removed_gets_nothing),
        cmocka_unit_test(test_several_requests_at_once_have_an_answer_each),
        cmocka_unit_test(test_topics_that_differ_have_other_numbers),
        cmocka_unit_test(test_clients_that_do_not_read_get_it_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
