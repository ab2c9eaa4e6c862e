// SPDX-License-Identifier: Apache-2.0
// PUBLISH and its acknowledgements: the example of section 3.3.2, each statement broken, and round trips.
#include "wire/mqtt_publish.h"
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
    struct mqtt_publish publish;
    enum mqtt_error error = packet.error ? packet.error : mqtt_publish_decode(&packet.frame, &publish);
    packet_free(&packet);
    return error;
}
#define DECODE(literal) decode(literal, sizeof(literal) - 1)

static void test_the_variable_header_example_of_figure_3_11_decodes(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x3B\x09\x00\x03"
                                  "a/b\x00\x0A\x01\x02");
    struct mqtt_publish publish;
    assert_int_equal(mqtt_publish_decode(&packet.frame, &publish), MQTT_OK);
    ASSERT_TEXT(publish.topic, "a/b");
    assert_int_equal(publish.packet_id, 10);
    assert_int_equal(publish.qos, 1);
    assert_true(publish.dup && publish.retain);
    ASSERT_BYTES(publish.payload.data, (int)publish.payload.bytes, "\x01\x02");
    packet_free(&packet);
}

static void test_qos_0_has_no_packet_id_and_a_payload_may_be_empty(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x30\x05\x00\x03"
                                  "a/b");
    struct mqtt_publish publish;
    assert_int_equal(mqtt_publish_decode(&packet.frame, &publish), MQTT_OK);
    assert_int_equal(publish.packet_id, 0);
    assert_int_equal(publish.payload.bytes, 0);
    packet_free(&packet);
}

static void test_mqtt_2_3_1_1_packet_id_0_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x32\x05\x00\x01"
                            "a\x00\x00"),
                     MQTT_BAD_PACKET_ID);
}

static void test_mqtt_3_3_1_4_qos_3_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x36\x05\x00\x01"
                            "a\x00\x01"),
                     MQTT_BAD_QOS);
}

static void test_mqtt_3_3_1_2_dup_at_qos_0_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x38\x03\x00\x01"
                            "a"),
                     MQTT_BAD_DUP);
}

static void test_mqtt_3_3_2_1_a_topic_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x30\x04\x00\x02\xC0\x80"), MQTT_BAD_UTF8);
    assert_int_equal(DECODE("\x30\x04\x00\x02\x00\x61"), MQTT_BAD_NUL);
}

static void test_mqtt_3_3_2_2_a_wildcard_in_the_topic_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x30\x05\x00\x03"
                            "a/+"),
                     MQTT_BAD_TOPIC_WILDCARD);
    assert_int_equal(DECODE("\x30\x03\x00\x01#"), MQTT_BAD_TOPIC_WILDCARD);
}

static void test_mqtt_4_7_3_1_an_empty_topic_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x30\x02\x00\x00"), MQTT_BAD_TOPIC_EMPTY);
}

static void test_mqtt_4_8_0_1_a_publish_that_ends_in_its_header_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x30\x04\x00\x03"
                            "a/"),
                     MQTT_BAD_LENGTH);
    assert_int_equal(DECODE("\x32\x05\x00\x03"
                            "a/b"),
                     MQTT_BAD_LENGTH);
    assert_int_equal(DECODE("\x34\x06\x00\x03"
                            "a/b\x01"),
                     MQTT_BAD_LENGTH);
    assert_int_equal(DECODE("\x30\x02\xFF\xFF"), MQTT_BAD_LENGTH);
}

// The parts in their order are the packet.
static void check_parts(const struct mqtt_publish *publish, const uint8_t *data, size_t bytes)
{
    struct mqtt_bytes parts[MQTT_PUBLISH_PARTS];
    uint8_t storage[MQTT_PUBLISH_STORAGE];
    size_t at = 0;
    assert_int_equal(mqtt_publish_encode_parts(parts, storage, publish), 0);
    for (int i = 0; i < MQTT_PUBLISH_PARTS; at += parts[i++].bytes) {
        assert_in_range(at + parts[i].bytes, at, bytes);
        if (parts[i].bytes > 0)
            assert_memory_equal(parts[i].data, data + at, parts[i].bytes);
    }
    assert_int_equal(at, bytes);
}

static void check_round_trip(const struct mqtt_publish *publish)
{
    size_t header_bytes =
        mqtt_publish_header_bytes(publish->topic.bytes, publish->payload.bytes, publish->qos);
    size_t size = header_bytes + publish->payload.bytes;
    uint8_t *data = malloc(size), *header = malloc(header_bytes);
    assert_true(data && header);
    assert_int_equal(mqtt_publish_encode(data, size, publish), size);
    assert_int_equal(mqtt_publish_encode_header(header, header_bytes, publish), header_bytes);
    assert_memory_equal(header, data, header_bytes);
    check_parts(publish, data, size);
    struct mqtt_publish next = *publish;
    next.packet_id = publish->qos > 0 ? (uint16_t)(publish->packet_id ^ 0x1234) : 0;
    if (publish->qos == 0 || next.packet_id > 0) {
        mqtt_publish_copy_header(header, data, header_bytes, next.packet_id);
        assert_int_equal(mqtt_publish_encode(data, size, &next), size);
        assert_memory_equal(header, data, header_bytes);
        assert_int_equal(mqtt_publish_encode(data, size, publish), size);
    }
    assert_int_equal(mqtt_publish_encode_header(header, header_bytes - 1, publish), -ENOBUFS);
    struct packet packet = packet_of(data, size);
    struct mqtt_publish back;
    assert_int_equal(packet.error, MQTT_OK);
    assert_int_equal(mqtt_publish_decode(&packet.frame, &back), MQTT_OK);
    assert_true(mqtt_text_equal(back.topic, publish->topic));
    assert_true(back.qos == publish->qos && back.dup == publish->dup && back.retain == publish->retain);
    assert_int_equal(back.packet_id, publish->packet_id);
    assert_int_equal(back.payload.bytes, publish->payload.bytes);
    assert_memory_equal(back.payload.data, publish->payload.data, publish->payload.bytes);
    assert_int_equal(mqtt_publish_encode(data, size - 1, publish), -ENOBUFS);
    packet_free(&packet);
    free(header);
    free(data);
}

static void test_a_publish_comes_back_as_it_went_at_every_length_of_the_remaining_length(void **state)
{
    (void)state;
    static const char payload[2097152];
    static const size_t sizes[] = {0, 1, 121, 122, 123, 128, 16370, 16383, 16384, 2097140, 2097152};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mqtt_publish publish = {.topic = mqtt_text_of("a/b"), .payload = {payload, sizes[i]}};
        check_round_trip(&publish);
        publish.qos = 2;
        publish.packet_id = 65535;
        publish.dup = publish.retain = true;
        check_round_trip(&publish);
    }
}

static void test_what_no_publish_can_say_is_not_encoded(void **state)
{
    (void)state;
    uint8_t data[32];
    struct mqtt_publish publish = {.qos = 3, .packet_id = 1, .topic = mqtt_text_of("a")};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
    publish = (struct mqtt_publish){.qos = 1, .topic = mqtt_text_of("a")};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
    publish = (struct mqtt_publish){.packet_id = 1, .topic = mqtt_text_of("a")};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
    publish = (struct mqtt_publish){.dup = true, .topic = mqtt_text_of("a")};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
    publish = (struct mqtt_publish){.topic = {"", MQTT_TEXT_MAX + 1}};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
    publish = (struct mqtt_publish){.topic = mqtt_text_of("a"), .payload = {"", MQTT_REMAINING_MAX}};
    assert_int_equal(mqtt_publish_encode(data, sizeof data, &publish), -EINVAL);
}

static void test_acknowledgements_come_back_as_they_went(void **state)
{
    (void)state;
    static const struct {
        enum mqtt_packet_type type;
        const char *bytes;
    } acks[] = {{MQTT_PUBACK, "\x40\x02\x12\x34"},
                {MQTT_PUBREC, "\x50\x02\x12\x34"},
                {MQTT_PUBREL, "\x62\x02\x12\x34"},
                {MQTT_PUBCOMP, "\x70\x02\x12\x34"},
                {MQTT_UNSUBACK, "\xB0\x02\x12\x34"}};
    for (size_t i = 0; i < sizeof acks / sizeof acks[0]; i++) {
        uint8_t data[4];
        uint16_t packet_id = 0;
        assert_bytes(data, mqtt_ack_encode(data, 4, acks[i].type, 0x1234), acks[i].bytes, 4);
        struct packet packet = packet_of(data, 4);
        assert_int_equal(packet.frame.type, acks[i].type);
        assert_int_equal(mqtt_ack_decode(&packet.frame, &packet_id), MQTT_OK);
        assert_int_equal(packet_id, 0x1234);
        packet_free(&packet);
        assert_int_equal(mqtt_ack_encode(data, 3, acks[i].type, 1), -ENOBUFS);
        assert_int_equal(mqtt_ack_encode(data, 4, acks[i].type, 0), -EINVAL);
    }
    assert_int_equal(mqtt_ack_encode((uint8_t[4]){0}, 4, MQTT_PUBLISH, 1), -EINVAL);
}

static void test_mqtt_2_3_1_1_an_acknowledgement_of_packet_id_0_is_refused(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x40\x02\x00\x00");
    uint16_t packet_id;
    assert_int_equal(mqtt_ack_decode(&packet.frame, &packet_id), MQTT_BAD_PACKET_ID);
    packet_free(&packet);
}

static void test_mqtt_3_6_1_1_a_pubrel_without_its_flags_is_refused(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x60\x02\x00\x01");
    assert_int_equal(packet.error, MQTT_BAD_FLAGS);
    packet_free(&packet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_variable_header_example_of_figure_3_11_decodes),
        cmocka_unit_test(test_qos_0_has_no_packet_id_and_a_payload_may_be_empty),
        cmocka_unit_test(test_mqtt_2_3_1_1_packet_id_0_is_refused),
        cmocka_unit_test(test_mqtt_3_3_1_4_qos_3_is_refused),
        cmocka_unit_test(test_mqtt_3_3_1_2_dup_at_qos_0_is_refused),
        cmocka_unit_test(test_mqtt_3_3_2_1_a_topic_that_is_not_utf8_is_refused),
        cmocka_unit_test(test_mqtt_3_3_2_2_a_wildcard_in_the_topic_is_refused),
        cmocka_unit_test(test_mqtt_4_7_3_1_an_empty_topic_is_refused),
        cmocka_unit_test(test_mqtt_4_8_0_1_a_publish_that_ends_in_its_header_is_refused),
        cmocka_unit_test(test_a_publish_comes_back_as_it_went_at_every_length_of_the_remaining_length),
        cmocka_unit_test(test_what_no_publish_can_say_is_not_encoded),
        cmocka_unit_test(test_acknowledgements_come_back_as_they_went),
        cmocka_unit_test(test_mqtt_2_3_1_1_an_acknowledgement_of_packet_id_0_is_refused),
        cmocka_unit_test(test_mqtt_3_6_1_1_a_pubrel_without_its_flags_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
