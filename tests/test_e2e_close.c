// SPDX-License-Identifier: Apache-2.0
// Against a real broker: each violation for which MQTT 3.1.1 requires closing the network connection closes
// that connection, and no other.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CONNECT_C                                                                                            \
    "\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01"                                                           \
    "c" // client id "c", clean session

struct row {
    const char *what; // the statement, and how it is broken
    const char *bytes;
    size_t size;
};
#define ROW(what, literal)                                                                                   \
    {                                                                                                        \
        what, literal, sizeof(literal) - 1                                                                   \
    }

// Each row on a connection of its own, after a CONNECT and its CONNACK when `connected`; a bystander lives
// through all.
static void expect_closed(void **state, bool connected, const struct row *rows, size_t count)
{
    struct raw_client bystander;
    raw_connect_clean(&bystander, process_port(*state), "bystander");
    for (size_t i = 0; i < count; i++) {
        struct raw_client client;
        print_message("  %s\n", rows[i].what);
        if (connected)
            raw_connect_clean(&client, process_port(*state), "c");
        else
            raw_open(&client, process_port(*state));
        raw_send(&client, rows[i].bytes, rows[i].size);
        raw_expect_closed(&client);
        raw_close(&client);
        raw_ping(&bystander);
    }
    raw_disconnect(&bystander);
}

static void test_mqtt_3_1_0_1_anything_but_a_connect_first_closes(void **state)
{
    static const struct row rows[] = {
        ROW("CONNACK", "\x20\x02\x00\x00"),
        ROW("PUBLISH", "\x30\x03\x00\x01"
                       "a"),
        ROW("PUBACK", "\x40\x02\x00\x01"),
        ROW("PUBREC", "\x50\x02\x00\x01"),
        ROW("PUBREL", "\x62\x02\x00\x01"),
        ROW("PUBCOMP", "\x70\x02\x00\x01"),
        ROW("SUBSCRIBE", "\x82\x06\x00\x01\x00\x01"
                         "a\x00"),
        ROW("SUBACK", "\x90\x03\x00\x01\x00"),
        ROW("UNSUBSCRIBE", "\xA2\x05\x00\x01\x00\x01"
                           "a"),
        ROW("UNSUBACK", "\xB0\x02\x00\x01"),
        ROW("PINGREQ", "\xC0\x00"),
        ROW("PINGRESP", "\xD0\x00"),
        ROW("DISCONNECT", "\xE0\x00"),
        ROW("type 0", "\x00\x00"),
        ROW("type 15", "\xF0\x00"),
        ROW("an HTTP request", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ROW("a TLS hello", "\x16\x03\x01\x00\xA5\x01\x00\x00\xA1\x03\x03"),
    };
    expect_closed(state, false, rows, sizeof rows / sizeof rows[0]);
}

static void test_a_malformed_connect_closes_without_a_connack(void **state)
{
    static const struct row rows[] = {
        ROW("MQTT-3.1.2-1 protocol name", "\x10\x0D\x00\x04MQTX\x04\x02\x00\x00\x00\x01"
                                          "c"),
        ROW("MQTT-3.1.2-3 reserved flag", "\x10\x0D\x00\x04MQTT\x04\x03\x00\x00\x00\x01"
                                          "c"),
        ROW("MQTT-3.1.2-13 will QoS without a will", "\x10\x0D\x00\x04MQTT\x04\x0A\x00\x00\x00\x01"
                                                     "c"),
        ROW("MQTT-3.1.2-14 will QoS 3", "\x10\x13\x00\x04MQTT\x04\x1E\x00\x00\x00\x01"
                                        "c\x00\x01w\x00\x01m"),
        ROW("MQTT-3.1.2-15 will retain without a will", "\x10\x0D\x00\x04MQTT\x04\x22\x00\x00\x00\x01"
                                                        "c"),
        ROW("MQTT-3.1.2-22 password without a user name", "\x10\x10\x00\x04MQTT\x04\x42\x00\x00\x00\x01"
                                                          "c\x00\x01p"),
        ROW("MQTT-3.1.3-4 client id not UTF-8", "\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01\xC0"),
        ROW("MQTT-1.5.3-2 NUL in the client id", "\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01\x00"),
        ROW("MQTT-3.1.3-10 will topic not UTF-8", "\x10\x12\x00\x04MQTT\x04\x06\x00\x00\x00\x01"
                                                  "c\x00\x01\xFF\x00\x00"),
        ROW("a wildcard in the will topic", "\x10\x12\x00\x04MQTT\x04\x06\x00\x00\x00\x01"
                                            "c\x00\x01#\x00\x00"),
        ROW("MQTT-4.8.0-1 user name announced and missing", "\x10\x0D\x00\x04MQTT\x04\x82\x00\x00\x00\x01"
                                                            "c"),
        ROW("MQTT-4.8.0-1 a byte too many", "\x10\x0E\x00\x04MQTT\x04\x02\x00\x00\x00\x01"
                                            "cc"),
        ROW("MQTT-2.2.2-2 flags of the fixed header", "\x11\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01"
                                                      "c"),
        ROW("section 2.2.3 remaining length", "\x10\xFF\xFF\xFF\xFF\x01"),
    };
    expect_closed(state, false, rows, sizeof rows / sizeof rows[0]);
}

static void test_mqtt_3_1_2_2_another_protocol_level_is_told_and_closed(void **state)
{
    static const struct row rows[] = {
        ROW("MQTT 5", "\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01"
                      "c"),
        ROW("MQTT 3", "\x10\x0D\x00\x04MQTT\x03\x02\x00\x00\x00\x01"
                      "c"),
        ROW("MQIsdp 3", "\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01"
                        "c"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw_client client;
        raw_open(&client, process_port(*state));
        raw_send(&client, rows[i].bytes, rows[i].size);
        RAW_EXPECT(&client, "\x20\x02\x00\x01");
        raw_expect_closed(&client);
        raw_close(&client);
    }
}

static void test_mqtt_3_1_3_8_an_empty_client_id_for_a_kept_session_is_told_and_closed(void **state)
{
    struct raw_client client;
    raw_open(&client, process_port(*state));
    RAW_SEND(&client, "\x10\x0C\x00\x04MQTT\x04\x00\x00\x00\x00\x00");
    RAW_EXPECT(&client, "\x20\x02\x00\x02");
    raw_expect_closed(&client);
    raw_close(&client);
}

static void test_mqtt_3_1_3_6_clients_with_empty_ids_get_ids_of_their_own(void **state)
{
    struct raw_client one, two;
    raw_connect_clean(&one, process_port(*state), "");
    raw_connect_clean(&two, process_port(*state), "");
    raw_ping(&one); // the second did not take the first one's place
    raw_ping(&two);
    raw_disconnect(&one);
    raw_disconnect(&two);
}

static void test_mqtt_3_1_0_2_a_second_connect_closes(void **state)
{
    static const struct row rows[] = {ROW("the same id", CONNECT_C),
                                      ROW("another id", "\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01"
                                                        "d")};
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_mqtt_2_2_2_2_reserved_flags_close(void **state)
{
    static const struct row rows[] = {
        ROW("PUBACK", "\x41\x02\x00\x01"),
        ROW("PUBREC", "\x52\x02\x00\x01"),
        ROW("MQTT-3.6.1-1 PUBREL with 0000", "\x60\x02\x00\x01"),
        ROW("MQTT-3.6.1-1 PUBREL with 0011", "\x63\x02\x00\x01"),
        ROW("PUBCOMP", "\x74\x02\x00\x01"),
        ROW("MQTT-3.8.1-1 SUBSCRIBE with 0000", "\x80\x06\x00\x01\x00\x01"
                                                "a\x00"),
        ROW("MQTT-3.10.1-1 UNSUBSCRIBE with 0000", "\xA0\x05\x00\x01\x00\x01"
                                                   "a"),
        ROW("PINGREQ", "\xC1\x00"),
        ROW("MQTT-3.14.1-1 DISCONNECT", "\xE1\x00"),
    };
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_types_that_a_client_does_not_send_close(void **state)
{
    static const struct row rows[] = {
        ROW("type 0", "\x00\x00"),
        ROW("CONNACK", "\x20\x02\x00\x00"),
        ROW("SUBACK", "\x90\x03\x00\x01\x00"),
        ROW("UNSUBACK", "\xB0\x02\x00\x01"),
        ROW("PINGRESP", "\xD0\x00"),
        ROW("type 15", "\xF0\x00"),
    };
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_a_malformed_publish_closes(void **state)
{
    static const struct row rows[] = {
        ROW("MQTT-3.3.1-4 QoS 3", "\x36\x05\x00\x01"
                                  "a\x00\x01"),
        ROW("MQTT-3.3.1-2 DUP at QoS 0", "\x38\x03\x00\x01"
                                         "a"),
        ROW("MQTT-2.3.1-1 packet id 0", "\x32\x05\x00\x01"
                                        "a\x00\x00"),
        ROW("MQTT-3.3.2-2 +", "\x30\x05\x00\x03"
                              "a/+"),
        ROW("MQTT-3.3.2-2 #", "\x30\x05\x00\x03"
                              "a/#"),
        ROW("MQTT-3.3.2-1 topic not UTF-8", "\x30\x04\x00\x02\xC0\xAF"),
        ROW("MQTT-1.5.3-1 a surrogate in the topic", "\x30\x05\x00\x03\xED\xA0\x80"),
        ROW("MQTT-1.5.3-2 NUL in the topic", "\x30\x05\x00\x03"
                                             "a\x00"
                                             "b"),
        ROW("MQTT-4.7.3-1 empty topic", "\x30\x02\x00\x00"),
        ROW("MQTT-4.8.0-1 topic past the packet", "\x30\x04\x00\x05"
                                                  "ab"),
        ROW("MQTT-4.8.0-1 no packet id", "\x32\x03\x00\x01"
                                         "a"),
        ROW("section 2.2.3 remaining length", "\x30\x80\x80\x80\x80\x01"),
    };
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_a_malformed_list_of_filters_closes(void **state)
{
    static const struct row rows[] = {
        ROW("MQTT-3.8.3-3 SUBSCRIBE without a filter", "\x82\x02\x00\x01"),
        ROW("MQTT-3.10.3-2 UNSUBSCRIBE without a filter", "\xA2\x02\x00\x01"),
        ROW("MQTT-3-8.3-4 QoS 3", "\x82\x06\x00\x01\x00\x01"
                                  "a\x03"),
        ROW("MQTT-3-8.3-4 reserved bits", "\x82\x06\x00\x01\x00\x01"
                                          "a\x04"),
        ROW("MQTT-2.3.1-1 packet id 0", "\x82\x06\x00\x00\x00\x01"
                                        "a\x00"),
        ROW("MQTT-2.3.1-1 packet id 0 of UNSUBSCRIBE", "\xA2\x05\x00\x00\x00\x01"
                                                       "a"),
        ROW("MQTT-3.8.3-1 filter not UTF-8", "\x82\x06\x00\x01\x00\x01\xFF\x00"),
        ROW("MQTT-3.10.3-1 filter not UTF-8", "\xA2\x05\x00\x01\x00\x01\xFF"),
        ROW("MQTT-4.7.3-1 empty filter", "\x82\x05\x00\x01\x00\x00\x00"),
        ROW("MQTT-4.7.1-2 # in the middle", "\x82\x08\x00\x01\x00\x03#/a\x00"),
        ROW("MQTT-4.7.1-2 # after a letter", "\x82\x07\x00\x01\x00\x02"
                                             "a#\x00"),
        ROW("MQTT-4.7.1-3 + after a letter", "\x82\x07\x00\x01\x00\x02"
                                             "a+\x00"),
        ROW("MQTT-4.8.0-1 no QoS", "\x82\x05\x00\x01\x00\x01"
                                   "a"),
        ROW("MQTT-4.8.0-1 the second filter cut", "\x82\x08\x00\x01\x00\x01"
                                                  "a\x00\x00\x05"),
    };
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_packets_with_a_length_they_cannot_have_close(void **state)
{
    static const struct row rows[] = {
        ROW("PUBACK of 3", "\x40\x03\x00\x01\x00"),
        ROW("PUBREC of 1", "\x50\x01\x00"),
        ROW("PUBREL of 0", "\x62\x00"),
        ROW("PUBACK with packet id 0", "\x40\x02\x00\x00"),
        ROW("PINGREQ of 1", "\xC0\x01\x00"),
        ROW("DISCONNECT of 1", "\xE0\x01\x00"),
    };
    expect_closed(state, true, rows, sizeof rows / sizeof rows[0]);
}

static void test_mqtt_3_14_4_a_disconnect_closes_and_what_follows_it_is_not_done(void **state)
{
    struct raw_client watcher, client;
    raw_connect_clean(&watcher, process_port(*state), "watcher");
    assert_int_equal(raw_subscribe(&watcher, "after/#", 0), 0);
    raw_connect_clean(&client, process_port(*state), "c");
    RAW_SEND(&client, "\xE0\x00\x30\x09\x00\x07"
                      "after/x");
    raw_expect_closed(&client);
    raw_close(&client);
    raw_publish(&watcher, "after/y", "sentinel", 0, false);
    raw_expect_publish(&watcher, "after/y", "sentinel", 0);
    raw_disconnect(&watcher);
}

static void test_what_came_before_a_malformed_packet_is_done(void **state)
{
    struct raw_client watcher, client;
    raw_connect_clean(&watcher, process_port(*state), "watcher");
    assert_int_equal(raw_subscribe(&watcher, "before/#", 0), 0);
    raw_connect_clean(&client, process_port(*state), "c");
    RAW_SEND(&client, "\x30\x0B\x00\x08"
                      "before/x!\x36\x05\x00\x01"
                      "a\x00\x01");
    raw_expect_closed(&client);
    raw_close(&client);
    raw_expect_publish(&watcher, "before/x", "!", 0);
    raw_disconnect(&watcher);
}

static void test_packets_that_come_byte_by_byte_are_understood(void **state)
{
    struct raw_client client;
    static const char bytes[] = CONNECT_C "\x82\x06\x00\x01\x00\x01"
                                          "t\x00\x30\x05\x00\x01"
                                          "t<>\xC0\x00";
    raw_open(&client, process_port(*state));
    for (size_t i = 0; i < sizeof bytes - 1; i++)
        raw_send(&client, bytes + i, 1);
    RAW_EXPECT(&client, "\x20\x02\x00\x00");
    RAW_EXPECT(&client, "\x90\x03\x00\x01\x00");
    RAW_EXPECT(&client, "\x30\x05\x00\x01"
                        "t<>");
    RAW_EXPECT(&client, "\xD0\x00");
    raw_disconnect(&client);
}

static void test_packets_that_come_all_at_once_are_understood(void **state)
{
    struct raw_client client;
    raw_open(&client, process_port(*state));
    RAW_SEND(&client, CONNECT_C "\xC0\x00\x82\x06\x00\x01\x00\x01"
                                "t\x00\x30\x05\x00\x01"
                                "t<>\xC0\x00\xC0\x00\xE0\x00");
    RAW_EXPECT(&client, "\x20\x02\x00\x00\xD0\x00\x90\x03\x00\x01\x00\x30\x05\x00\x01"
                        "t<>\xD0\x00\xD0\x00");
    raw_expect_closed(&client);
    raw_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_3_1_0_1_anything_but_a_connect_first_closes),
        cmocka_unit_test(test_a_malformed_connect_closes_without_a_connack),
        cmocka_unit_test(test_mqtt_3_1_2_2_another_protocol_level_is_told_and_closed),
        cmocka_unit_test(test_mqtt_3_1_3_8_an_empty_client_id_for_a_kept_session_is_told_and_closed),
        cmocka_unit_test(test_mqtt_3_1_3_6_clients_with_empty_ids_get_ids_of_their_own),
        cmocka_unit_test(test_mqtt_3_1_0_2_a_second_connect_closes),
        cmocka_unit_test(test_mqtt_2_2_2_2_reserved_flags_close),
        cmocka_unit_test(test_types_that_a_client_does_not_send_close),
        cmocka_unit_test(test_a_malformed_publish_closes),
        cmocka_unit_test(test_a_malformed_list_of_filters_closes),
        cmocka_unit_test(test_packets_with_a_length_they_cannot_have_close),
        cmocka_unit_test(test_mqtt_3_14_4_a_disconnect_closes_and_what_follows_it_is_not_done),
        cmocka_unit_test(test_what_came_before_a_malformed_packet_is_done),
        cmocka_unit_test(test_packets_that_come_byte_by_byte_are_understood),
        cmocka_unit_test(test_packets_that_come_all_at_once_are_understood),
    };
    int failed = cmocka_run_group_tests_name("shape lean", tests, process_group_lean, process_group_stop);
    return failed +
           cmocka_run_group_tests_name("small buffers", tests, process_group_small, process_group_stop);
}
