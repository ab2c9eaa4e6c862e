// SPDX-License-Identifier: Apache-2.0
// Fixed headers: the remaining length table of section 2.2.3, packets that come byte by byte, and what no
// packet is.
#include "wire/mqtt_frame.h"
#include "tests/wire_bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

// Table 2.4: the smallest and the largest value of each number of digits; and 321, the example below it.
static const struct {
    uint32_t value;
    size_t bytes;
    uint8_t digits[4];
} lengths[] = {
    {0, 1, {0x00}},
    {127, 1, {0x7F}},
    {128, 2, {0x80, 0x01}},
    {321, 2, {0xC1, 0x02}},
    {16383, 2, {0xFF, 0x7F}},
    {16384, 3, {0x80, 0x80, 0x01}},
    {2097151, 3, {0xFF, 0xFF, 0x7F}},
    {2097152, 4, {0x80, 0x80, 0x80, 0x01}},
    {268435455, 4, {0xFF, 0xFF, 0xFF, 0x7F}},
};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static void test_the_remaining_length_table_decodes(void **state)
{
    (void)state;
    for (size_t i = 1; i < LENGTHS; i++) { // a PUBLISH has at least 2 bytes
        uint8_t packet[5] = {0x30};
        memcpy(packet + 1, lengths[i].digits, lengths[i].bytes);
        struct mqtt_frame frame;
        size_t needed;
        assert_int_equal(mqtt_frame_decode(packet, 1 + lengths[i].bytes, 0, &frame, &needed),
                         MQTT_INCOMPLETE);
        assert_int_equal(needed, 1 + lengths[i].bytes + lengths[i].value);
        assert_int_equal(frame.type, MQTT_PUBLISH);
        assert_int_equal(frame.body_bytes, lengths[i].value);
        assert_int_equal(frame.header_bytes, 1 + lengths[i].bytes);
    }
}

static void test_the_remaining_length_table_encodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTHS; i++) {
        uint8_t header[5];
        int bytes = (int)lengths[i].bytes + 1;
        assert_int_equal(mqtt_header_encode(header, 5, MQTT_PUBLISH, 0, lengths[i].value), bytes);
        assert_int_equal(header[0], 0x30);
        assert_memory_equal(header + 1, lengths[i].digits, lengths[i].bytes);
        assert_int_equal(mqtt_packet_bytes(lengths[i].value), (size_t)bytes + lengths[i].value);
        assert_int_equal(mqtt_header_encode(header, (size_t)bytes - 1, MQTT_PUBLISH, 0, lengths[i].value),
                         -ENOBUFS);
    }
    assert_int_equal(mqtt_header_encode((uint8_t[5]){0}, 5, MQTT_PUBLISH, 0, (size_t)MQTT_REMAINING_MAX + 1),
                     -EINVAL);
}

static void test_a_fourth_length_byte_that_continues_is_malformed(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x30\x80\x80\x80\x80");
    assert_int_equal(packet.error, MQTT_BAD_REMAINING_LENGTH);
    packet_free(&packet);
    packet = PACKET("\x30\xFF\xFF\xFF\xFF\x7F");
    assert_int_equal(packet.error, MQTT_BAD_REMAINING_LENGTH);
    packet_free(&packet);
}

static void test_a_packet_that_comes_byte_by_byte_says_what_it_needs(void **state)
{
    (void)state;
    uint8_t data[1 + 2 + 200] = {0x30, 0xC8, 0x01, 0, 1, 'a'};
    struct mqtt_frame frame;
    size_t needed = 0;
    for (size_t size = 0; size < sizeof data; size++) {
        uint8_t *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, data, size);
        assert_int_equal(mqtt_frame_decode(copy, size, 0, &frame, &needed), MQTT_INCOMPLETE);
        assert_true(needed > size && needed <= sizeof data);
        assert_int_equal(frame.type, size < 3 ? 0 : MQTT_PUBLISH);
        if (size >= 3)
            assert_int_equal(needed, sizeof data);
        free(copy);
    }
    assert_int_equal(mqtt_frame_decode(data, sizeof data, 0, &frame, &needed), MQTT_OK);
    assert_int_equal(needed, sizeof data);
    assert_ptr_equal(frame.body, data + 3);
    assert_int_equal(frame.body_bytes, 200);
}

static void test_a_packet_ends_where_the_next_begins(void **state)
{
    (void)state;
    const uint8_t data[] = {0xC0, 0, 0xE0, 0};
    struct mqtt_frame frame;
    size_t needed;
    assert_int_equal(mqtt_frame_decode(data, 4, 0, &frame, &needed), MQTT_OK);
    assert_int_equal(frame.type, MQTT_PINGREQ);
    assert_int_equal(needed, 2);
    assert_int_equal(mqtt_frame_decode(data + needed, 2, 0, &frame, &needed), MQTT_OK);
    assert_int_equal(frame.type, MQTT_DISCONNECT);
}

static void test_types_0_and_15_are_forbidden(void **state)
{
    (void)state;
    struct mqtt_frame frame;
    size_t needed;
    for (unsigned flags = 0; flags < 16; flags++) {
        uint8_t zero = (uint8_t)flags, fifteen = (uint8_t)(0xF0 | flags);
        assert_int_equal(mqtt_frame_decode(&zero, 1, 0, &frame, &needed), MQTT_BAD_TYPE);
        assert_int_equal(mqtt_frame_decode(&fifteen, 1, 0, &frame, &needed), MQTT_BAD_TYPE);
    }
}

static void test_mqtt_2_2_2_2_reserved_flags_are_refused_from_the_first_byte_on(void **state)
{
    (void)state;
    struct mqtt_frame frame;
    size_t needed;
    for (unsigned type = MQTT_CONNECT; type <= MQTT_DISCONNECT; type++) {
        bool two = type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
        for (unsigned flags = 0; flags < 16 && type != MQTT_PUBLISH; flags++) {
            uint8_t first = (uint8_t)(type << 4 | flags);
            enum mqtt_error wanted = flags == (two ? 2 : 0) ? MQTT_INCOMPLETE : MQTT_BAD_FLAGS;
            assert_int_equal(mqtt_frame_decode(&first, 1, 0, &frame, &needed), wanted);
        }
    }
}

static void
test_mqtt_3_3_1_4_and_3_3_1_2_qos_3_and_dup_at_qos_0_are_refused_from_the_first_byte_on(void **state)
{
    (void)state;
    struct mqtt_frame frame;
    size_t needed;
    for (unsigned flags = 0; flags < 16; flags++) {
        uint8_t first = (uint8_t)(0x30 | flags);
        unsigned qos = flags >> 1 & 3;
        enum mqtt_error wanted = qos == 3                ? MQTT_BAD_QOS
                                 : qos == 0 && flags & 8 ? MQTT_BAD_DUP
                                                         : MQTT_INCOMPLETE;
        assert_int_equal(mqtt_frame_decode(&first, 1, 0, &frame, &needed), wanted);
    }
}

static void
test_mqtt_4_8_0_1_a_length_that_the_type_cannot_have_is_refused_before_the_body_comes(void **state)
{
    (void)state;
    static const uint8_t wrong[][2] = {{0x10, 11}, {0x20, 1}, {0x20, 3},   {0x30, 1}, {0x40, 1}, {0x40, 3},
                                       {0x50, 4},  {0x62, 1}, {0x70, 0},   {0x82, 1}, {0x90, 2}, {0xA2, 0},
                                       {0xB0, 3},  {0xC0, 1}, {0xD0, 127}, {0xE0, 2}};
    struct mqtt_frame frame;
    size_t needed;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(mqtt_frame_decode(wrong[i], 2, 0, &frame, &needed), MQTT_BAD_LENGTH);
}

static void test_a_packet_past_the_limit_is_refused_before_its_body_comes(void **state)
{
    (void)state;
    const uint8_t header[] = {0x30, 0x80, 0x08}; // 1 024 bytes of body
    struct mqtt_frame frame;
    size_t needed;
    assert_int_equal(mqtt_frame_decode(header, 3, 1027, &frame, &needed), MQTT_INCOMPLETE);
    assert_int_equal(mqtt_frame_decode(header, 3, 1026, &frame, &needed), MQTT_TOO_LARGE);
}

static void test_each_side_sends_its_own_types(void **state)
{
    (void)state;
    assert_true(mqtt_client_sends(MQTT_CONNECT) && !mqtt_server_sends(MQTT_CONNECT));
    assert_true(mqtt_server_sends(MQTT_CONNACK) && !mqtt_client_sends(MQTT_CONNACK));
    assert_true(mqtt_server_sends(MQTT_PUBLISH) && mqtt_client_sends(MQTT_PUBLISH));
    assert_true(mqtt_server_sends(MQTT_PUBREL) && mqtt_client_sends(MQTT_PUBREL));
    assert_true(mqtt_client_sends(MQTT_SUBSCRIBE) && !mqtt_server_sends(MQTT_SUBSCRIBE));
    assert_true(mqtt_server_sends(MQTT_PINGRESP) && !mqtt_client_sends(MQTT_PINGRESP));
    assert_true(mqtt_client_sends(MQTT_DISCONNECT) && !mqtt_server_sends(MQTT_DISCONNECT));
    assert_false(mqtt_client_sends((enum mqtt_packet_type)0) || mqtt_server_sends((enum mqtt_packet_type)15));
}

static void test_packets_without_a_body_are_two_bytes(void **state)
{
    (void)state;
    uint8_t data[2];
    ASSERT_BYTES(data, mqtt_empty_encode(data, 2, MQTT_PINGREQ), "\xC0\x00");
    ASSERT_BYTES(data, mqtt_empty_encode(data, 2, MQTT_PINGRESP), "\xD0\x00");
    ASSERT_BYTES(data, mqtt_empty_encode(data, 2, MQTT_DISCONNECT), "\xE0\x00");
    assert_int_equal(mqtt_empty_encode(data, 1, MQTT_PINGREQ), -ENOBUFS);
    assert_int_equal(mqtt_empty_encode(data, 2, MQTT_PUBACK), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_remaining_length_table_decodes),
        cmocka_unit_test(test_the_remaining_length_table_encodes),
        cmocka_unit_test(test_a_fourth_length_byte_that_continues_is_malformed),
        cmocka_unit_test(test_a_packet_that_comes_byte_by_byte_says_what_it_needs),
        cmocka_unit_test(test_a_packet_ends_where_the_next_begins),
        cmocka_unit_test(test_types_0_and_15_are_forbidden),
        cmocka_unit_test(test_mqtt_2_2_2_2_reserved_flags_are_refused_from_the_first_byte_on),
        cmocka_unit_test(
            test_mqtt_3_3_1_4_and_3_3_1_2_qos_3_and_dup_at_qos_0_are_refused_from_the_first_byte_on),
        cmocka_unit_test(
            test_mqtt_4_8_0_1_a_length_that_the_type_cannot_have_is_refused_before_the_body_comes),
        cmocka_unit_test(test_a_packet_past_the_limit_is_refused_before_its_body_comes),
        cmocka_unit_test(test_each_side_sends_its_own_types),
        cmocka_unit_test(test_packets_without_a_body_are_two_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
