// SPDX-License-Identifier: Apache-2.0
// Against a real broker: which subscribers get a message, how often and with which QoS; retained messages;
// packet ids.
//
// A sentinel shows that nothing was delivered: the same client publishes it afterwards, and it must be the
// next message to arrive.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct fixture {
    struct process *broker;
    struct raw_client publisher, subscriber; // connected anew for each test
};

static int start(void **state, struct process *broker)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->broker = broker;
    *state = fixture;
    return 0;
}

static int start_lean(void **state)
{
    return start(state, process_start_lean_broker());
}

static int start_classic(void **state)
{
    return start(state, process_start_classic_broker());
}

static int start_small(void **state)
{
    return start(state, process_start_small_broker());
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    int code = process_stop(fixture->broker);
    free(fixture);
    return code;
}

static int set_up(void **state)
{
    struct fixture *fixture = *state;
    raw_connect_clean(&fixture->publisher, process_port(fixture->broker), "publisher");
    raw_connect_clean(&fixture->subscriber, process_port(fixture->broker), "subscriber");
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    raw_close(&fixture->publisher);
    raw_close(&fixture->subscriber);
    return 0;
}

// Takes a PUBLISH's handshake to its end, from the subscriber's side.
static void acknowledge(struct raw_client *client, uint8_t qos, uint16_t packet_id)
{
    if (qos == 1)
        raw_ack(client, MQTT_PUBACK, packet_id);
    if (qos == 2) {
        raw_ack(client, MQTT_PUBREC, packet_id);
        raw_expect_ack(client, MQTT_PUBREL, packet_id);
        raw_ack(client, MQTT_PUBCOMP, packet_id);
    }
}

static void receive(struct raw_client *client, const char *topic, const char *payload, uint8_t qos)
{
    acknowledge(client, qos, raw_expect_publish(client, topic, payload, qos));
}

// Receives messages that say `from`, `from` + 1 ... and finishes them, in whatever order PUBLISH and PUBREL
// come.
static void receive_numbers(struct raw_client *client, int from, int count, uint8_t qos)
{
    for (int next = from, open = count; next < from + count || (qos == 2 && open > 0);) {
        struct mqtt_frame frame = raw_receive(client);
        uint16_t packet_id;
        if (frame.type == MQTT_PUBREL) {
            assert_int_equal(mqtt_ack_decode(&frame, &packet_id), MQTT_OK);
            raw_ack(client, MQTT_PUBCOMP, packet_id);
            open--;
            continue;
        }
        struct mqtt_publish publish;
        char wanted[16];
        assert_int_equal(frame.type, MQTT_PUBLISH);
        assert_int_equal(mqtt_publish_decode(&frame, &publish), MQTT_OK);
        snprintf(wanted, sizeof wanted, "%d", next++);
        assert_int_equal(publish.payload.bytes, strlen(wanted));
        assert_memory_equal(publish.payload.data, wanted, strlen(wanted));
        assert_int_equal(publish.qos, qos);
        if (qos > 0)
            raw_ack(client, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
    }
}

static void expect_nothing_but_sentinel(struct fixture *fixture, const char *topic)
{
    raw_publish(&fixture->publisher, topic, "sentinel", 0, false);
    raw_expect_publish(&fixture->subscriber, topic, "sentinel", 0);
}

static void test_mqtt_3_8_4_6_a_message_comes_at_the_lower_of_both_qos(void **state)
{
    struct fixture *fixture = *state;
    for (uint8_t asked = 0; asked <= 2; asked++) {
        assert_int_equal(raw_subscribe(&fixture->subscriber, "qos", asked), asked);
        for (uint8_t published = 0; published <= 2; published++) {
            raw_publish_done(&fixture->publisher, "qos", "x", published, false);
            receive(&fixture->subscriber, "qos", "x", published < asked ? published : asked);
        }
    }
    expect_nothing_but_sentinel(fixture, "qos");
}

static void test_mqtt_4_3_3_2_a_publish_at_qos_2_sent_twice_is_delivered_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "twice", 2), 2);
    RAW_SEND(&fixture->publisher, "\x34\x0A\x00\x05twice\x00\x05"
                                  "1");
    RAW_EXPECT(&fixture->publisher, "\x50\x02\x00\x05");
    RAW_SEND(&fixture->publisher, "\x3C\x0A\x00\x05twice\x00\x05"
                                  "1");
    RAW_EXPECT(&fixture->publisher, "\x50\x02\x00\x05");
    RAW_SEND(&fixture->publisher, "\x62\x02\x00\x05");
    RAW_EXPECT(&fixture->publisher, "\x70\x02\x00\x05");
    RAW_SEND(&fixture->publisher,
             "\x62\x02\x00\x05"); // a PUBREL of an id that is done has its PUBCOMP as well
    RAW_EXPECT(&fixture->publisher, "\x70\x02\x00\x05");
    RAW_SEND(&fixture->publisher, "\x34\x0A\x00\x05twice\x00\x05"
                                  "2"); // now the id is free again
    RAW_EXPECT(&fixture->publisher, "\x50\x02\x00\x05");
    RAW_SEND(&fixture->publisher, "\x62\x02\x00\x05");
    RAW_EXPECT(&fixture->publisher, "\x70\x02\x00\x05");
    receive_numbers(&fixture->subscriber, 1, 2, 2);
    expect_nothing_but_sentinel(fixture, "twice");
}

static void test_answers_that_come_twice_bring_no_message_twice(void **state)
{
    struct fixture *fixture = *state;
    struct raw_client *subscriber = &fixture->subscriber;
    assert_int_equal(raw_subscribe(subscriber, "answers", 2), 2);
    raw_publish_done(&fixture->publisher, "answers", "one", 1, false);
    uint16_t one = raw_expect_publish(subscriber, "answers", "one", 1);
    raw_ack(subscriber, MQTT_PUBACK, one);
    raw_ack(subscriber, MQTT_PUBACK, one);
    raw_publish_done(&fixture->publisher, "answers", "two", 2, false);
    uint16_t two = raw_expect_publish(subscriber, "answers", "two", 2);
    raw_ack(subscriber, MQTT_PUBREC, two);
    raw_ack(subscriber, MQTT_PUBREC, two);
    raw_expect_ack(subscriber, MQTT_PUBREL, two);
    raw_expect_ack(subscriber, MQTT_PUBREL, two);
    raw_ack(subscriber, MQTT_PUBCOMP, two);
    raw_ack(subscriber, MQTT_PUBCOMP, two);
    raw_ack(subscriber, MQTT_PUBACK, 777); // never sent
    raw_ping(subscriber);
    expect_nothing_but_sentinel(fixture, "answers");
}

static void test_mqtt_4_6_0_messages_of_a_topic_come_in_their_order(void **state)
{
    enum { MANY = 1000, BURST = 200 }; // a burst is more than the broker has in flight
    struct fixture *fixture = *state;
    for (uint8_t qos = 0; qos <= 2; qos++) {
        assert_int_equal(raw_subscribe(&fixture->subscriber, "order", qos), qos);
        for (int i = 0; i < MANY; i += BURST) {
            for (int k = i; k < i + BURST; k++) {
                char payload[16];
                snprintf(payload, sizeof payload, "%d", k);
                raw_publish_done(&fixture->publisher, "order", payload, qos, false);
            }
            receive_numbers(&fixture->subscriber, i, BURST, qos);
        }
    }
}

static void test_mqtt_3_3_5_1_overlapping_subscriptions_bring_one_copy_at_the_highest_qos(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "over/+", 0), 0);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "over/lap", 2), 2);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "over/#", 1), 1);
    raw_publish_done(&fixture->publisher, "over/lap", "once", 2, false);
    receive(&fixture->subscriber, "over/lap", "once", 2);
    raw_publish_done(&fixture->publisher, "over/x", "once", 2, false);
    receive(&fixture->subscriber, "over/x", "once", 1);
    expect_nothing_but_sentinel(fixture, "over/lap");
}

static void test_mqtt_4_7_2_1_wildcards_do_not_bring_topics_that_begin_with_a_dollar(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "#", 0), 0);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "+/hidden", 0), 0);
    raw_publish(&fixture->publisher, "$own/hidden", "x", 0, false);
    expect_nothing_but_sentinel(fixture, "seen");
    assert_int_equal(raw_subscribe(&fixture->subscriber, "$own/#", 0), 0);
    raw_publish(&fixture->publisher, "$own/hidden", "x", 0, false);
    raw_expect_publish(&fixture->subscriber, "$own/hidden", "x", 0);
}

static void test_mqtt_3_8_4_5_a_list_of_filters_is_answered_in_its_order(void **state)
{
    struct fixture *fixture = *state;
    RAW_SEND(&fixture->subscriber, "\x82\x16\x00\x07\x00\x03"
                                   "l/a\x02\x00\x03"
                                   "l/b\x00\x00\x01"
                                   "l\x01\x00\x01"
                                   "l\x02");
    RAW_EXPECT(&fixture->subscriber, "\x90\x06\x00\x07\x02\x00\x01\x02");
    raw_publish_done(&fixture->publisher, "l/a", "a", 2, false);
    receive(&fixture->subscriber, "l/a", "a", 2);
    raw_publish_done(&fixture->publisher, "l/b", "b", 2, false);
    receive(&fixture->subscriber, "l/b", "b", 0);
    raw_publish_done(&fixture->publisher, "l", "l", 2, false);
    receive(&fixture->subscriber, "l", "l", 2); // the later of the two stands [MQTT-3.8.4-3]
}

static void test_mqtt_3_10_4_an_unsubscribe_ends_deliveries_and_is_always_answered(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "un/a", 1), 1);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "un/b", 0), 0);
    raw_unsubscribe(&fixture->subscriber, "un/a");
    raw_unsubscribe(&fixture->subscriber, "un/+"); // that was never subscribed to
    raw_publish_done(&fixture->publisher, "un/a", "x", 1, false);
    expect_nothing_but_sentinel(fixture, "un/b");
}

static void test_mqtt_3_10_4_3_what_is_in_flight_is_finished_after_an_unsubscribe(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "fly", 2), 2);
    raw_publish_done(&fixture->publisher, "fly", "x", 2, false);
    uint16_t packet_id = raw_expect_publish(&fixture->subscriber, "fly", "x", 2);
    raw_unsubscribe(&fixture->subscriber, "fly");
    acknowledge(&fixture->subscriber, 2, packet_id);
    raw_ping(&fixture->subscriber);
}

// The retained message itself: RETAIN set, as sent because of a new subscription.
static void receive_retained(struct raw_client *client, const char *topic, const char *payload, uint8_t qos)
{
    struct mqtt_publish publish = raw_receive_publish(client);
    assert_true(mqtt_text_equal(publish.topic, mqtt_text_of(topic)));
    assert_true(mqtt_text_equal(((struct mqtt_text){publish.payload.data, publish.payload.bytes}),
                                mqtt_text_of(payload)));
    assert_true(publish.retain && !publish.dup);
    assert_int_equal(publish.qos, qos);
    acknowledge(client, qos, publish.packet_id);
}

static void
test_mqtt_3_3_1_6_and_8_a_retained_message_comes_to_who_subscribes_later_with_retain_set(void **state)
{
    struct fixture *fixture = *state;
    raw_publish_done(&fixture->publisher, "kept/a", "old", 1, true);
    raw_publish_done(&fixture->publisher, "kept/a", "new", 1, true);
    raw_publish_done(&fixture->publisher, "kept/b", "b", 2, true);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "kept/a", 2), 2);
    receive_retained(&fixture->subscriber, "kept/a", "new", 1);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "kept/b", 0), 0);
    receive_retained(&fixture->subscriber, "kept/b", "b", 0);
    raw_publish_done(&fixture->publisher, "kept/a", "", 1, true);
    receive(&fixture->subscriber, "kept/a", "", 1); // and the message that clears it comes as any other
    raw_publish_done(&fixture->publisher, "kept/b", "", 1, true);
    receive(&fixture->subscriber, "kept/b", "", 0);
}

static void test_mqtt_3_3_1_9_who_is_subscribed_gets_retain_not_set(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "live", 1), 1);
    raw_publish_done(&fixture->publisher, "live", "x", 1, true);
    receive(&fixture->subscriber, "live", "x", 1); // asserts that RETAIN is 0
    raw_publish_done(&fixture->publisher, "live", "", 0, true);
    raw_expect_publish(&fixture->subscriber, "live", "", 0);
}

static void test_mqtt_3_3_1_10_an_empty_payload_clears_what_was_retained(void **state)
{
    struct fixture *fixture = *state;
    raw_publish_done(&fixture->publisher, "clear", "x", 1, true);
    raw_publish_done(&fixture->publisher, "clear", "", 1, true);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "clear", 1), 1);
    expect_nothing_but_sentinel(fixture, "clear");
}

static void test_mqtt_3_3_1_12_a_message_without_retain_leaves_the_retained_one(void **state)
{
    struct fixture *fixture = *state;
    raw_publish_done(&fixture->publisher, "stay", "kept", 1, true);
    raw_publish_done(&fixture->publisher, "stay", "passing", 1, false);
    assert_int_equal(raw_subscribe(&fixture->subscriber, "stay", 1), 1);
    receive_retained(&fixture->subscriber, "stay", "kept", 1);
    raw_publish_done(&fixture->publisher, "stay", "", 1, true);
    receive(&fixture->subscriber, "stay", "", 1);
}

static void test_mqtt_3_8_4_3_subscribing_once_more_brings_the_retained_message_again(void **state)
{
    struct fixture *fixture = *state;
    raw_publish_done(&fixture->publisher, "again", "x", 0, true);
    raw_ping(&fixture->publisher);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(raw_subscribe(&fixture->subscriber, "again", 1), 1);
        receive_retained(&fixture->subscriber, "again", "x", 0);
    }
    raw_publish_done(&fixture->publisher, "again", "", 1, true);
    receive(&fixture->subscriber, "again", "", 1);
}

static void test_a_wildcard_brings_every_retained_message_it_matches(void **state)
{
    enum { MANY = 300 };
    struct fixture *fixture = *state;
    char topic[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(topic, sizeof topic, "wild/%d/x", i);
        raw_publish_done(&fixture->publisher, topic, "kept", 1, true);
    }
    assert_int_equal(raw_subscribe(&fixture->subscriber, "wild/+/x", 1), 1);
    for (int i = 0; i < MANY; i++) {
        struct mqtt_publish publish = raw_receive_publish(&fixture->subscriber);
        assert_true(publish.retain && publish.qos == 1);
        raw_ack(&fixture->subscriber, MQTT_PUBACK, publish.packet_id);
    }
    raw_unsubscribe(&fixture->subscriber, "wild/+/x");
    for (int i = 0; i < MANY; i++) {
        snprintf(topic, sizeof topic, "wild/%d/x", i);
        raw_publish_done(&fixture->publisher, topic, "", 1, true);
    }
    assert_int_equal(raw_subscribe(&fixture->subscriber, "wild/#", 0), 0);
    expect_nothing_but_sentinel(fixture, "wild/0");
}

// One message stays unacknowledged while 66 000 others come: its id is left out when the ids begin anew.
static void test_mqtt_2_3_1_2_a_packet_id_in_use_is_not_given_again(void **state)
{
    enum { MANY = 66000, BURST = 50 };
    struct fixture *fixture = *state;
    struct raw_client *subscriber = &fixture->subscriber;
    assert_int_equal(raw_subscribe(subscriber, "ids", 1), 1);
    raw_publish_done(&fixture->publisher, "ids", "held", 1, false);
    uint16_t held = raw_expect_publish(subscriber, "ids", "held", 1);
    for (int i = 0; i < MANY; i += BURST) {
        uint16_t sent[BURST];
        for (int k = 0; k < BURST; k++) {
            if (fixture->publisher.next_id == 0)
                fixture->publisher.next_id = 1;
            sent[k] = raw_publish(&fixture->publisher, "ids", "x", 1, false);
        }
        for (int k = 0; k < BURST; k++)
            raw_expect_ack(&fixture->publisher, MQTT_PUBACK, sent[k]);
        for (int k = 0; k < BURST; k++) {
            uint16_t packet_id = raw_expect_publish(subscriber, "ids", "x", 1);
            assert_int_not_equal(packet_id, held);
            raw_ack(subscriber, MQTT_PUBACK, packet_id);
        }
    }
    raw_ack(subscriber, MQTT_PUBACK, held);
    raw_ping(subscriber);
}

static void test_a_client_gets_what_it_publishes_itself(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "echo", 0), 0);
    raw_publish(&fixture->subscriber, "echo", "x", 0, false);
    raw_expect_publish(&fixture->subscriber, "echo", "x", 0);
}

static void test_payloads_of_every_size_come_whole(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0,    1,     127,   128,   4000,   4090,  4096,
                                   5000, 16383, 16384, 65536, 300000, 900000};
    assert_int_equal(raw_subscribe(&fixture->subscriber, "size", 2), 2);
    for (uint8_t qos = 0; qos <= 2; qos++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t bytes = sizes[i];
            uint8_t *payload = malloc(bytes + 1), *packet = malloc(bytes + 64);
            assert_true(payload && packet);
            for (size_t k = 0; k < bytes; k++)
                payload[k] = (uint8_t)(k * 31 + k / 251 + i);
            struct mqtt_publish publish = {.qos = qos,
                                           .packet_id = qos ? 1 : 0,
                                           .topic = mqtt_text_of("size"),
                                           .payload = {payload, bytes}};
            int length = mqtt_publish_encode(packet, bytes + 64, &publish);
            assert_true(length > 0);
            raw_send(&fixture->publisher, packet, (size_t)length);
            if (qos == 1)
                raw_expect_ack(&fixture->publisher, MQTT_PUBACK, 1);
            if (qos == 2) {
                raw_expect_ack(&fixture->publisher, MQTT_PUBREC, 1);
                raw_ack(&fixture->publisher, MQTT_PUBREL, 1);
                raw_expect_ack(&fixture->publisher, MQTT_PUBCOMP, 1);
            }
            struct mqtt_publish back = raw_receive_publish(&fixture->subscriber);
            assert_int_equal(back.payload.bytes, bytes);
            assert_memory_equal(back.payload.data, payload, bytes);
            acknowledge(&fixture->subscriber, qos, back.packet_id);
            free(payload);
            free(packet);
        }
}

// The subscriber does not read until everything was published: more than its socket and buffers hold, so it
// waits in its session, and comes whole and in order.
static void test_a_slow_reader_gets_everything_that_was_acknowledged(void **state)
{
    enum { MANY = 200, BYTES = 100000 };
    struct fixture *fixture = *state;
    assert_int_equal(raw_subscribe(&fixture->subscriber, "slow", 1), 1);
    uint8_t *packet = malloc(BYTES + 64), *payload = calloc(1, BYTES);
    assert_true(packet && payload);
    for (int i = 0; i < MANY; i++) {
        struct mqtt_publish publish = {.qos = 1,
                                       .packet_id = (uint16_t)(i + 1),
                                       .topic = mqtt_text_of("slow"),
                                       .payload = {payload, BYTES}};
        memcpy(payload, &i, sizeof i);
        int length = mqtt_publish_encode(packet, BYTES + 64, &publish);
        assert_true(length > 0);
        raw_send(&fixture->publisher, packet, (size_t)length);
        raw_expect_ack(&fixture->publisher, MQTT_PUBACK, publish.packet_id);
    }
    for (int i = 0; i < MANY; i++) {
        struct mqtt_publish publish = raw_receive_publish(&fixture->subscriber);
        int number;
        assert_int_equal(publish.payload.bytes, BYTES);
        memcpy(&number, publish.payload.data, sizeof number);
        assert_int_equal(number, i);
        raw_ack(&fixture->subscriber, MQTT_PUBACK, publish.packet_id);
    }
    raw_ping(&fixture->subscriber);
    free(packet);
    free(payload);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mqtt_3_8_4_6_a_message_comes_at_the_lower_of_both_qos),
        TEST(test_mqtt_4_3_3_2_a_publish_at_qos_2_sent_twice_is_delivered_once),
        TEST(test_answers_that_come_twice_bring_no_message_twice),
        TEST(test_mqtt_4_6_0_messages_of_a_topic_come_in_their_order),
        TEST(test_mqtt_3_3_5_1_overlapping_subscriptions_bring_one_copy_at_the_highest_qos),
        TEST(test_mqtt_4_7_2_1_wildcards_do_not_bring_topics_that_begin_with_a_dollar),
        TEST(test_mqtt_3_8_4_5_a_list_of_filters_is_answered_in_its_order),
        TEST(test_mqtt_3_10_4_an_unsubscribe_ends_deliveries_and_is_always_answered),
        TEST(test_mqtt_3_10_4_3_what_is_in_flight_is_finished_after_an_unsubscribe),
        TEST(test_mqtt_3_3_1_6_and_8_a_retained_message_comes_to_who_subscribes_later_with_retain_set),
        TEST(test_mqtt_3_3_1_9_who_is_subscribed_gets_retain_not_set),
        TEST(test_mqtt_3_3_1_10_an_empty_payload_clears_what_was_retained),
        TEST(test_mqtt_3_3_1_12_a_message_without_retain_leaves_the_retained_one),
        TEST(test_mqtt_3_8_4_3_subscribing_once_more_brings_the_retained_message_again),
        TEST(test_a_wildcard_brings_every_retained_message_it_matches),
        TEST(test_mqtt_2_3_1_2_a_packet_id_in_use_is_not_given_again),
        TEST(test_a_client_gets_what_it_publishes_itself),
        TEST(test_payloads_of_every_size_come_whole),
        TEST(test_a_slow_reader_gets_everything_that_was_acknowledged),
    };
    int failed = cmocka_run_group_tests_name("shape lean", tests, start_lean, stop);
    failed += cmocka_run_group_tests_name("shape classic", tests, start_classic, stop);
    return failed + cmocka_run_group_tests_name("small buffers", tests, start_small, stop);
}
