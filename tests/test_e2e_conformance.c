// SPDX-License-Identifier: Apache-2.0
// Against a real broker: statements of MQTT 3.1.1 that the tests by topic do not show. tests/conformance.md has
// all statements.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fixture {
    struct raw_client watcher, client;
};

static struct fixture connect_both(void **state, const char *filter, uint8_t qos)
{
    struct fixture fixture;
    raw_connect_clean(&fixture.watcher, process_port(*state), "watcher");
    assert_int_equal(raw_subscribe(&fixture.watcher, filter, qos), qos);
    raw_connect_clean(&fixture.client, process_port(*state), "client");
    return fixture;
}

static void disconnect_both(struct fixture *fixture)
{
    raw_disconnect(&fixture->client);
    raw_disconnect(&fixture->watcher);
}

// Closes the client and waits for its end: another connection of its id finds no session to take over.
static void end_without_disconnect(void **state, struct fixture *fixture)
{
    raw_close(&fixture->client);
    raw_connect_clean(&fixture->client, process_port(*state), "client");
}

static void test_mqtt_3_1_2_12_without_a_will_flag_no_will_is_published(void **state)
{
    struct fixture fixture = connect_both(state, "#", 0);
    end_without_disconnect(state, &fixture);
    raw_publish(&fixture.client, "after", "x", 0, false);
    raw_expect_publish(&fixture.watcher, "after", "x", 0);
    disconnect_both(&fixture);
}

static void test_mqtt_3_1_2_16_a_will_without_retain_is_not_kept(void **state)
{
    struct fixture fixture = connect_both(state, "will", 0);
    struct raw_client dying, late;
    struct mqtt_connect connect = {.clean_session = true,
                                   .has_will = true,
                                   .client_id = mqtt_text_of("dying"),
                                   .will_topic = mqtt_text_of("will"),
                                   .will_message = {"gone", 4}};
    raw_connect(&dying, process_port(*state), &connect);
    raw_close(&dying);
    raw_expect_publish(&fixture.watcher, "will", "gone", 0);
    raw_connect_clean(&late, process_port(*state), "late");
    assert_int_equal(raw_subscribe(&late, "will", 0), 0);
    raw_ping(&late); // and nothing before its answer
    raw_disconnect(&late);
    disconnect_both(&fixture);
}

static void test_mqtt_3_1_3_5_ids_of_1_to_23_letters_and_digits_are_let_in(void **state)
{
    static const char *const ids[] = {"a", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ",
                                      "KLMNOPQRSTUVWXYZ"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct raw_client client;
        raw_connect_clean(&client, process_port(*state), ids[i]);
        raw_disconnect(&client);
    }
}

static void test_mqtt_3_1_3_11_a_user_name_that_is_not_utf8_closes(void **state)
{
    struct raw_client client;
    raw_open(&client, process_port(*state));
    RAW_SEND(&client, "\x10\x10\x00\x04MQTT\x04\x82\x00\x00\x00\x01"
                      "c\x00\x01\xFF");
    raw_expect_closed(&client);
    raw_close(&client);
}

static void test_mqtt_3_1_4_5_what_follows_a_refused_connect_is_not_done(void **state)
{
    struct fixture fixture = connect_both(state, "#", 0);
    struct raw_client refused;
    raw_open(&refused, process_port(*state));
    RAW_SEND(&refused, "\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x01"
                       "c\x30\x06\x00\x03"
                       "badx"); // another protocol level, and a PUBLISH
    assert_true(raw_try_receive(&refused, MQTT_CONNACK));
    raw_expect_closed(&refused);
    raw_close(&refused);
    raw_publish(&fixture.client, "good", "x", 0, false);
    raw_expect_publish(&fixture.watcher, "good", "x", 0);
    disconnect_both(&fixture);
}

// raw_expect_publish asserts that DUP is not set.
static void test_mqtt_3_3_1_3_dup_of_the_publisher_is_not_passed_on(void **state)
{
    struct fixture fixture = connect_both(state, "dup", 1);
    RAW_SEND(&fixture.client, "\x3A\x08\x00\x03"
                              "dup\x00\x09"
                              "x");
    RAW_EXPECT(&fixture.client, "\x40\x02\x00\x09");
    struct mqtt_publish publish = raw_receive_publish(&fixture.watcher);
    assert_int_equal(publish.qos, 1);
    assert_false(publish.dup);
    raw_ack(&fixture.watcher, MQTT_PUBACK, publish.packet_id);
    disconnect_both(&fixture);
}

static void test_mqtt_3_3_1_7_a_retained_message_of_qos_0_takes_the_place_of_the_one_before(void **state)
{
    struct fixture fixture = connect_both(state, "other", 0);
    raw_publish_done(&fixture.client, "kept", "one", 1, true);
    raw_publish(&fixture.client, "kept", "two", 0, true);
    raw_ping(&fixture.client);
    assert_int_equal(raw_subscribe(&fixture.watcher, "kept", 1), 1);
    struct mqtt_publish publish = raw_receive_publish(&fixture.watcher);
    assert_memory_equal(publish.payload.data, "two", 3);
    assert_true(publish.retain && publish.qos == 0);
    raw_publish(&fixture.client, "kept", "", 0, true);
    raw_expect_publish(&fixture.watcher, "kept", "", 0);
    disconnect_both(&fixture);
}

static void test_mqtt_4_3_1_1_qos_0_is_sent_once_without_dup(void **state)
{
    struct fixture fixture = connect_both(state, "zero", 2);
    raw_publish(&fixture.client, "zero", "x", 0, false);
    struct mqtt_publish publish = raw_receive_publish(&fixture.watcher);
    assert_true(publish.qos == 0 && !publish.dup && publish.packet_id == 0);
    raw_ping(&fixture.watcher); // and not again
    disconnect_both(&fixture);
}

// The session of a client that has published it, and has ended by a clean session of the same client.
static void test_mqtt_3_1_2_7_retained_messages_outlive_their_publishers_session(void **state)
{
    struct raw_client publisher, late;
    assert_false(raw_connect_kept(&publisher, process_port(*state), "owner"));
    raw_publish_done(&publisher, "left", "x", 1, true);
    raw_disconnect(&publisher);
    raw_connect_clean(&publisher, process_port(*state), "owner");
    raw_disconnect(&publisher);
    raw_connect_clean(&late, process_port(*state), "late");
    assert_int_equal(raw_subscribe(&late, "left", 0), 0);
    struct mqtt_publish publish = raw_receive_publish(&late);
    assert_true(publish.retain && publish.payload.bytes == 1);
    raw_publish(&late, "left", "", 0, true);
    raw_expect_publish(&late, "left", "", 0);
    raw_disconnect(&late);
}

// At its beginning too: a topic with it is another one than without.
static void test_mqtt_1_5_3_3_the_byte_order_mark_is_not_stripped(void **state)
{
    struct fixture fixture = connect_both(state, "\xEF\xBB\xBFmark", 0);
    raw_publish(&fixture.client, "mark", "without", 0, false);
    raw_publish(&fixture.client, "\xEF\xBB\xBFmark", "with", 0, false);
    raw_expect_publish(&fixture.watcher, "\xEF\xBB\xBFmark", "with", 0);
    disconnect_both(&fixture);
}

// e with an acute accent as one character, and as two: no normalization makes them one topic.
static void test_mqtt_4_7_3_4_topics_are_not_normalized(void **state)
{
    struct fixture fixture = connect_both(state, "caf\xC3\xA9", 0);
    raw_publish(&fixture.client, "cafe\xCC\x81", "two characters", 0, false);
    raw_publish(&fixture.client, "caf\xC3\xA9/", "a level more", 0, false);
    raw_publish(&fixture.client, "Caf\xC3\xA9", "another case", 0, false);
    raw_publish(&fixture.client, "caf\xC3\xA9", "the same", 0, false);
    raw_expect_publish(&fixture.watcher, "caf\xC3\xA9", "the same", 0);
    disconnect_both(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_3_1_2_12_without_a_will_flag_no_will_is_published),
        cmocka_unit_test(test_mqtt_3_1_2_16_a_will_without_retain_is_not_kept),
        cmocka_unit_test(test_mqtt_3_1_3_5_ids_of_1_to_23_letters_and_digits_are_let_in),
        cmocka_unit_test(test_mqtt_3_1_3_11_a_user_name_that_is_not_utf8_closes),
        cmocka_unit_test(test_mqtt_3_1_4_5_what_follows_a_refused_connect_is_not_done),
        cmocka_unit_test(test_mqtt_3_3_1_3_dup_of_the_publisher_is_not_passed_on),
        cmocka_unit_test(test_mqtt_3_3_1_7_a_retained_message_of_qos_0_takes_the_place_of_the_one_before),
        cmocka_unit_test(test_mqtt_4_3_1_1_qos_0_is_sent_once_without_dup),
        cmocka_unit_test(test_mqtt_3_1_2_7_retained_messages_outlive_their_publishers_session),
        cmocka_unit_test(test_mqtt_1_5_3_3_the_byte_order_mark_is_not_stripped),
        cmocka_unit_test(test_mqtt_4_7_3_4_topics_are_not_normalized),
    };
    return cmocka_run_group_tests(tests, process_group_lean, process_group_stop);
}
