// SPDX-License-Identifier: Apache-2.0
// CONNECT and CONNACK: the example of section 3.1.2, every flag rule broken, and round trips.
#include "wire/mqtt_connect.h"
#include "tests/wire_bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static enum mqtt_error decode(const void *data, size_t bytes)
{
    struct packet packet = packet_of(data, bytes);
    struct mqtt_connect connect;
    enum mqtt_error error = packet.error ? packet.error : mqtt_connect_decode(&packet.frame, &connect);
    packet_free(&packet);
    return error;
}
#define DECODE(literal) decode(literal, sizeof(literal) - 1)

// A CONNECT with those flags, keep alive 10, and the payload fields that the example's flags announce.
static enum mqtt_error decode_flags(uint8_t flags)
{
    uint8_t data[64] = "\x10\x00\x00\x04MQTT\x04\x00\x00\x0A\x00\x01i";
    size_t at = 15;
    data[9] = flags;
    for (uint8_t bit = 128; bit >= 4; bit = (uint8_t)(bit >> 1)) {
        bool field = (bit == 128 || bit == 64 || bit == 4) && flags & bit;
        for (int fields = bit == 4 ? 2 : 1; field && fields > 0; fields--) {
            memcpy(data + at, "\x00\x01x", 3);
            at += 3;
        }
    }
    data[1] = (uint8_t)(at - 2);
    return decode(data, at);
}

static void test_the_variable_header_example_of_figure_3_6_decodes(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x10\x20\x00\x04MQTT\x04\xCE\x00\x0A"
                                  "\x00\x02id\x00\x01w\x00\x02\x00\xFF\x00\x04user\x00\x03p\x00w");
    struct mqtt_connect connect;
    assert_int_equal(packet.error, MQTT_OK);
    assert_int_equal(mqtt_connect_decode(&packet.frame, &connect), MQTT_OK);
    assert_true(connect.has_user_name && connect.has_password && connect.has_will && connect.clean_session);
    assert_false(connect.will_retain);
    assert_int_equal(connect.will_qos, 1);
    assert_int_equal(connect.keep_alive_s, 10);
    ASSERT_TEXT(connect.client_id, "id");
    ASSERT_TEXT(connect.will_topic, "w");
    ASSERT_TEXT(connect.user_name, "user");
    ASSERT_BYTES(connect.will_message.data, (int)connect.will_message.bytes, "\x00\xFF");
    ASSERT_BYTES(connect.password.data, (int)connect.password.bytes, "p\x00w");
    packet_free(&packet);
}

static void test_flags_are_refused_exactly_when_the_statements_say_so(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        unsigned qos = flags >> 3 & 3;
        bool will = flags & 4;
        enum mqtt_error wanted = flags & 1                        ? MQTT_BAD_CONNECT_FLAGS
                                 : qos == 3                       ? MQTT_BAD_WILL_QOS
                                 : !will && qos                   ? MQTT_BAD_WILL_QOS_NO_WILL
                                 : !will && flags & 32            ? MQTT_BAD_WILL_RETAIN_NO_WILL
                                 : !(flags & 128) && (flags & 64) ? MQTT_BAD_PASSWORD_FLAG
                                                                  : MQTT_OK;
        assert_int_equal(decode_flags((uint8_t)flags), wanted);
    }
}

static void test_mqtt_3_1_2_1_another_protocol_name_is_closed_without_a_word(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0D\x00\x04mqtt\x04\x02\x00\x0A\x00\x01i"), MQTT_BAD_PROTOCOL_NAME);
    assert_int_equal(DECODE("\x10\x0D\x00\x04HTTP\x04\x02\x00\x0A\x00\x01i"), MQTT_BAD_PROTOCOL_NAME);
    assert_int_equal(DECODE("\x10\x0D\x00\x00\x00\x04MQTT\x04\x02\x00\x0A\x00"), MQTT_BAD_PROTOCOL_NAME);
    assert_int_equal(mqtt_error_connack(MQTT_BAD_PROTOCOL_NAME), MQTT_ACCEPTED);
}

static void test_mqtt_3_1_2_2_another_level_is_answered_with_unacceptable_protocol_version(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0E\x00\x04MQTT\x05\x02\x00\x0A\x00\x00\x01i"), MQTT_BAD_PROTOCOL_LEVEL);
    assert_int_equal(DECODE("\x10\x0D\x00\x04MQTT\x03\x02\x00\x0A\x00\x01i"), MQTT_BAD_PROTOCOL_LEVEL);
    assert_int_equal(DECODE("\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x01i"), MQTT_BAD_PROTOCOL_LEVEL);
    assert_int_equal(mqtt_error_connack(MQTT_BAD_PROTOCOL_LEVEL), MQTT_REFUSED_PROTOCOL_VERSION);
}

static void test_mqtt_3_1_2_3_the_reserved_flag_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0D\x00\x04MQTT\x04\x03\x00\x0A\x00\x01i"), MQTT_BAD_CONNECT_FLAGS);
}

static void test_mqtt_3_1_3_7_an_empty_client_id_is_good_for_a_clean_session(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0C\x00\x04MQTT\x04\x02\x00\x0A\x00\x00"), MQTT_OK);
}

static void
test_mqtt_3_1_3_8_an_empty_client_id_for_a_kept_session_is_answered_with_identifier_rejected(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0C\x00\x04MQTT\x04\x00\x00\x0A\x00\x00"), MQTT_BAD_CLIENT_ID);
    assert_int_equal(mqtt_error_connack(MQTT_BAD_CLIENT_ID), MQTT_REFUSED_IDENTIFIER);
}

static void test_mqtt_3_1_3_4_a_client_id_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x0D\x00\x04MQTT\x04\x02\x00\x0A\x00\x01\xFF"), MQTT_BAD_UTF8);
    assert_int_equal(DECODE("\x10\x0D\x00\x04MQTT\x04\x02\x00\x0A\x00\x01\x00"), MQTT_BAD_NUL);
}

static void test_a_will_topic_must_be_a_topic_name(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x10\x12\x00\x04MQTT\x04\x06\x00\x0A\x00\x01i\x00\x01#\x00\x00"),
                     MQTT_BAD_TOPIC_WILDCARD);
    assert_int_equal(DECODE("\x10\x11\x00\x04MQTT\x04\x06\x00\x0A\x00\x01i\x00\x00\x00\x00"),
                     MQTT_BAD_TOPIC_EMPTY);
}

static void test_mqtt_4_8_0_1_a_connect_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char whole[] = "\x10\x20\x00\x04MQTT\x04\xCE\x00\x0A"
                                "\x00\x02id\x00\x01w\x00\x02\x00\xFF\x00\x04user\x00\x03pwd";
    for (size_t bytes = 2; bytes < sizeof whole - 1; bytes++) {
        uint8_t data[sizeof whole];
        memcpy(data, whole, sizeof whole);
        data[1] = (uint8_t)(bytes - 2);
        assert_int_equal(decode(data, bytes), MQTT_BAD_LENGTH);
    }
    assert_int_equal(DECODE("\x10\x0E\x00\x04MQTT\x04\x02\x00\x0A\x00\x01i!"),
                     MQTT_BAD_LENGTH); // a byte too many
}

static void test_a_connect_with_everything_comes_back_as_it_went(void **state)
{
    (void)state;
    struct mqtt_connect connect = {.client_id = mqtt_text_of("a client"),
                                   .keep_alive_s = 65535,
                                   .has_will = true,
                                   .will_retain = true,
                                   .will_qos = 2,
                                   .will_topic = mqtt_text_of("last/words"),
                                   .will_message = {"gone", 4},
                                   .has_user_name = true,
                                   .user_name = mqtt_text_of("u"),
                                   .has_password = true,
                                   .password = {"\0\1", 2}};
    uint8_t data[128];
    int bytes = mqtt_connect_encode(data, sizeof data, &connect);
    assert_true(bytes > 0);
    struct packet packet = packet_of(data, (size_t)bytes);
    struct mqtt_connect back;
    assert_int_equal(mqtt_connect_decode(&packet.frame, &back), MQTT_OK);
    assert_true(back.has_will && back.will_retain && back.has_user_name && back.has_password &&
                !back.clean_session);
    assert_int_equal(back.will_qos, 2);
    assert_int_equal(back.keep_alive_s, 65535);
    ASSERT_TEXT(back.client_id, "a client");
    ASSERT_TEXT(back.will_topic, "last/words");
    for (size_t size = 0; size < (size_t)bytes; size++)
        assert_int_equal(mqtt_connect_encode(data, size, &connect), -ENOBUFS);
    packet_free(&packet);
}

static void test_what_no_connect_can_say_is_not_encoded(void **state)
{
    (void)state;
    uint8_t data[64];
    static const char text[MQTT_TEXT_MAX + 1];
    struct mqtt_connect long_id = {.client_id = {text, sizeof text}};
    struct mqtt_connect qos_3 = {.has_will = true, .will_qos = 3, .will_topic = mqtt_text_of("w")};
    struct mqtt_connect password = {.has_password = true, .password = {"p", 1}};
    assert_int_equal(mqtt_connect_encode(data, sizeof data, &long_id), -EINVAL);
    assert_int_equal(mqtt_connect_encode(data, sizeof data, &qos_3), -EINVAL);
    assert_int_equal(mqtt_connect_encode(data, sizeof data, &password), -EINVAL);
}

static enum mqtt_error decode_connack(const char *data, enum mqtt_connack_code *code, bool *session_present)
{
    struct packet packet = packet_of(data, 4);
    enum mqtt_error error =
        packet.error ? packet.error : mqtt_connack_decode(&packet.frame, code, session_present);
    packet_free(&packet);
    return error;
}

static void test_a_connack_comes_back_as_it_went(void **state)
{
    (void)state;
    uint8_t data[4];
    enum mqtt_connack_code code;
    bool present;
    ASSERT_BYTES(data, mqtt_connack_encode(data, 4, MQTT_ACCEPTED, true), "\x20\x02\x01\x00");
    assert_int_equal(decode_connack((char *)data, &code, &present), MQTT_OK);
    assert_true(present && code == MQTT_ACCEPTED);
    ASSERT_BYTES(data, mqtt_connack_encode(data, 4, MQTT_REFUSED_UNAVAILABLE, false), "\x20\x02\x00\x03");
    assert_int_equal(decode_connack((char *)data, &code, &present), MQTT_OK);
    assert_true(!present && code == MQTT_REFUSED_UNAVAILABLE);
    assert_int_equal(mqtt_connack_encode(data, 3, MQTT_ACCEPTED, false), -ENOBUFS);
    assert_int_equal(mqtt_connack_encode(data, 4, (enum mqtt_connack_code)6, false), -EINVAL);
}

static void test_mqtt_3_2_2_4_a_refusal_never_has_a_session_present(void **state)
{
    (void)state;
    uint8_t data[4];
    enum mqtt_connack_code code;
    bool present;
    ASSERT_BYTES(data, mqtt_connack_encode(data, 4, MQTT_REFUSED_IDENTIFIER, true), "\x20\x02\x00\x02");
    assert_int_equal(decode_connack("\x20\x02\x01\x02", &code, &present), MQTT_BAD_SESSION_PRESENT);
}

static void test_reserved_connack_bits_and_codes_are_refused(void **state)
{
    (void)state;
    enum mqtt_connack_code code;
    bool present;
    assert_int_equal(decode_connack("\x20\x02\x02\x00", &code, &present), MQTT_BAD_CONNACK_FLAGS);
    assert_int_equal(decode_connack("\x20\x02\x00\x06", &code, &present), MQTT_BAD_RETURN_CODE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_variable_header_example_of_figure_3_6_decodes),
        cmocka_unit_test(test_flags_are_refused_exactly_when_the_statements_say_so),
        cmocka_unit_test(test_mqtt_3_1_2_1_another_protocol_name_is_closed_without_a_word),
        cmocka_unit_test(test_mqtt_3_1_2_2_another_level_is_answered_with_unacceptable_protocol_version),
        cmocka_unit_test(test_mqtt_3_1_2_3_the_reserved_flag_is_refused),
        cmocka_unit_test(test_mqtt_3_1_3_7_an_empty_client_id_is_good_for_a_clean_session),
        cmocka_unit_test(
            test_mqtt_3_1_3_8_an_empty_client_id_for_a_kept_session_is_answered_with_identifier_rejected),
        cmocka_unit_test(test_mqtt_3_1_3_4_a_client_id_that_is_not_utf8_is_refused),
        cmocka_unit_test(test_a_will_topic_must_be_a_topic_name),
        cmocka_unit_test(test_mqtt_4_8_0_1_a_connect_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_connect_with_everything_comes_back_as_it_went),
        cmocka_unit_test(test_what_no_connect_can_say_is_not_encoded),
        cmocka_unit_test(test_a_connack_comes_back_as_it_went),
        cmocka_unit_test(test_mqtt_3_2_2_4_a_refusal_never_has_a_session_present),
        cmocka_unit_test(test_reserved_connack_bits_and_codes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
