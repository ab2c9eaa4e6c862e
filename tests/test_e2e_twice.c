// SPDX-License-Identifier: Apache-2.0
// Against a real broker: acknowledgements that come twice, in each order, in one write or in several, and across a
// reconnect. They acknowledge nothing else, so no message is lost and no connection ends (section 4.3.3).
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct raw_client publisher, subscriber;
static uint16_t port;

static int set_up(void **state)
{
    port = process_port(*state);
    raw_connect_clean(&publisher, port, "publisher");
    raw_connect_kept(&subscriber, port, "subscriber");
    assert_int_equal(raw_subscribe(&subscriber, "t", 2), 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raw_ping(&subscriber); // the very next packet: nothing came twice
    raw_disconnect(&subscriber);
    raw_connect_clean(&subscriber, port, "subscriber"); // ends the session
    raw_disconnect(&subscriber);
    raw_disconnect(&publisher);
    return 0;
}

static void come_back(void)
{
    raw_close(&subscriber);
    assert_true(raw_connect_kept(&subscriber, port, "subscriber"));
}

static uint16_t get(const char *payload, uint8_t qos)
{
    raw_publish_done(&publisher, "t", payload, qos, false);
    return raw_expect_publish(&subscriber, "t", payload, qos);
}

static void get_again(const char *payload, uint16_t packet_id)
{
    struct mqtt_publish again = raw_receive_publish(&subscriber);
    assert_true(again.dup);
    assert_int_equal(again.packet_id, packet_id);
    assert_memory_equal(again.payload.data, payload, again.payload.bytes);
}

static void finish(uint16_t packet_id)
{
    raw_ack(&subscriber, MQTT_PUBREC, packet_id);
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    raw_ack(&subscriber, MQTT_PUBCOMP, packet_id);
}

// Both in one write, which the broker reads at once.
static void ack_twice(enum mqtt_packet_type type, uint16_t packet_id)
{
    uint8_t both[8];
    assert_int_equal(mqtt_ack_encode(both, 4, type, packet_id), 4);
    assert_int_equal(mqtt_ack_encode(both + 4, 4, type, packet_id), 4);
    raw_send(&subscriber, both, sizeof both);
}

static void expect_twice(enum mqtt_packet_type type, uint16_t packet_id)
{
    raw_expect_ack(&subscriber, type, packet_id);
    raw_expect_ack(&subscriber, type, packet_id);
}

// Each PUBREL has its PUBCOMP, of which the second one comes when the next message is in flight.
static void test_two_pubrecs_for_each_of_many_messages_lose_none(void **state)
{
    (void)state;
    uint16_t before = 0;
    for (int i = 0; i < 20; i++) {
        char payload[16];
        snprintf(payload, sizeof payload, "%d", i);
        uint16_t packet_id = get(payload, 2);
        if (before)
            raw_ack(&subscriber, MQTT_PUBCOMP, before);
        ack_twice(MQTT_PUBREC, packet_id);
        expect_twice(MQTT_PUBREL, packet_id);
        raw_ack(&subscriber, MQTT_PUBCOMP, packet_id);
        raw_ping(&subscriber);
        before = packet_id;
    }
    raw_ack(&subscriber, MQTT_PUBCOMP, before);
}

static void test_mqtt_4_3_3_1_a_pubrec_gets_its_pubrel_as_often_as_it_comes(void **state)
{
    (void)state;
    uint16_t packet_id = get("one", 2);
    ack_twice(MQTT_PUBREC, packet_id);
    expect_twice(MQTT_PUBREL, packet_id);
    raw_ack(&subscriber, MQTT_PUBREC, packet_id); // in a read of its own
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    raw_ack(&subscriber, MQTT_PUBCOMP, packet_id);
    raw_ack(&subscriber, MQTT_PUBREC, packet_id); // after the end
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    ack_twice(MQTT_PUBCOMP, packet_id);
}

static void test_a_packet_in_two_writes_is_one(void **state)
{
    (void)state;
    uint16_t packet_id = get("one", 2);
    uint8_t both[8];
    assert_int_equal(mqtt_ack_encode(both, 4, MQTT_PUBREC, packet_id), 4);
    assert_int_equal(mqtt_ack_encode(both + 4, 4, MQTT_PUBREC, packet_id), 4);
    raw_send(&subscriber, both, 6); // one and a half
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    raw_send(&subscriber, both + 6, 2);
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    ack_twice(MQTT_PUBCOMP, packet_id);
}

// The second one of a message that is done finds the next message in flight, and must not acknowledge it: that one is sent
// again after a reconnect.
static void test_the_second_one_of_a_message_acknowledges_no_other_message(void **state)
{
    static const enum mqtt_packet_type types[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBCOMP};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint8_t qos = types[i] == MQTT_PUBACK ? 1 : 2;
        uint16_t one = get("one", qos);
        if (qos == 1)
            raw_ack(&subscriber, MQTT_PUBACK, one);
        else
            finish(one);
        raw_ping(&subscriber); // the broker has forgotten it
        uint16_t two = get("two", qos);
        raw_ack(&subscriber, types[i], one);
        if (types[i] == MQTT_PUBREC)
            raw_expect_ack(&subscriber, MQTT_PUBREL, one);
        raw_ping(&subscriber);
        come_back();
        get_again("two", two);
        if (qos == 1)
            raw_ack(&subscriber, MQTT_PUBACK, two);
        else
            finish(two);
    }
}

static void test_a_pubrec_before_and_after_a_reconnect(void **state)
{
    (void)state;
    uint16_t packet_id = get("one", 2);
    ack_twice(MQTT_PUBREC, packet_id);
    expect_twice(MQTT_PUBREL, packet_id);
    come_back();
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id); // and not the PUBLISH [MQTT-4.4.0-1]
    ack_twice(MQTT_PUBREC, packet_id);
    expect_twice(MQTT_PUBREL, packet_id);
    raw_ack(&subscriber, MQTT_PUBCOMP, packet_id);
    come_back();
    raw_ack(&subscriber, MQTT_PUBREC, packet_id); // it is done
    raw_expect_ack(&subscriber, MQTT_PUBREL, packet_id);
    ack_twice(MQTT_PUBCOMP, packet_id);
}

// A client that got the PUBLISH twice, before and after a reconnect, answers each.
static void test_a_publish_that_was_sent_again_has_two_pubrecs(void **state)
{
    (void)state;
    uint16_t packet_id = get("one", 2);
    come_back();
    get_again("one", packet_id);
    ack_twice(MQTT_PUBREC, packet_id);
    expect_twice(MQTT_PUBREL, packet_id);
    ack_twice(MQTT_PUBCOMP, packet_id);
    finish(get("two", 2));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_pubrecs_for_each_of_many_messages_lose_none),
        TEST(test_mqtt_4_3_3_1_a_pubrec_gets_its_pubrel_as_often_as_it_comes),
        TEST(test_a_packet_in_two_writes_is_one),
        TEST(test_the_second_one_of_a_message_acknowledges_no_other_message),
        TEST(test_a_pubrec_before_and_after_a_reconnect),
        TEST(test_a_publish_that_was_sent_again_has_two_pubrecs),
    };
    int failed = cmocka_run_group_tests_name("acknowledgements twice, lean", tests, process_group_lean,
                                             process_group_stop);
    return failed + cmocka_run_group_tests_name("acknowledgements twice, small", tests, process_group_small,
                                                process_group_stop);
}
