// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE, SUBACK, UNSUBSCRIBE: the examples of sections 3.8 to 3.10, each statement broken, and round
// trips.
#include "wire/mqtt_subscribe.h"
#include "tests/wire_bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SUBSCRIBE_EXAMPLE                                                                                    \
    "\x82\x0E\x00\x0A\x00\x03"                                                                               \
    "a/b\x01\x00\x03"                                                                                        \
    "c/d\x02"
#define UNSUBSCRIBE_EXAMPLE                                                                                  \
    "\xA2\x0C\x00\x0A\x00\x03"                                                                               \
    "a/b\x00\x03"                                                                                            \
    "c/d"

static enum mqtt_error decode(const void *data, size_t bytes)
{
    struct packet packet = packet_of(data, bytes);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    enum mqtt_error error = packet.error ? packet.error : mqtt_subscribe_decode(&packet.frame, &list);
    if (!packet.error && error)
        assert_false(mqtt_subscribe_next(&list, &one)); // nothing to act on in what is malformed
    packet_free(&packet);
    return error;
}
#define DECODE(literal) decode(literal, sizeof(literal) - 1)

static void test_the_subscribe_example_of_figure_3_23_decodes(void **state)
{
    (void)state;
    struct packet packet = PACKET(SUBSCRIBE_EXAMPLE);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    assert_int_equal(mqtt_subscribe_decode(&packet.frame, &list), MQTT_OK);
    assert_int_equal(list.packet_id, 10);
    assert_int_equal(list.count, 2);
    assert_true(mqtt_subscribe_next(&list, &one));
    ASSERT_TEXT(one.filter, "a/b");
    assert_int_equal(one.qos, 1);
    assert_true(mqtt_subscribe_next(&list, &one));
    ASSERT_TEXT(one.filter, "c/d");
    assert_int_equal(one.qos, 2);
    assert_false(mqtt_subscribe_next(&list, &one));
    packet_free(&packet);
}

static void test_the_unsubscribe_example_of_figure_3_30_decodes(void **state)
{
    (void)state;
    struct packet packet = PACKET(UNSUBSCRIBE_EXAMPLE);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    assert_int_equal(mqtt_subscribe_decode(&packet.frame, &list), MQTT_OK);
    assert_int_equal(list.count, 2);
    assert_true(mqtt_subscribe_next(&list, &one));
    ASSERT_TEXT(one.filter, "a/b");
    assert_true(mqtt_subscribe_next(&list, &one));
    ASSERT_TEXT(one.filter, "c/d");
    assert_false(mqtt_subscribe_next(&list, &one));
    packet_free(&packet);
}

static void test_the_examples_encode(void **state)
{
    (void)state;
    const struct mqtt_subscription filters[] = {{mqtt_text_of("a/b"), 1}, {mqtt_text_of("c/d"), 2}};
    uint8_t data[32];
    ASSERT_BYTES(data, mqtt_subscribe_encode(data, 32, MQTT_SUBSCRIBE, 10, filters, 2), SUBSCRIBE_EXAMPLE);
    ASSERT_BYTES(data, mqtt_subscribe_encode(data, 32, MQTT_UNSUBSCRIBE, 10, filters, 2),
                 UNSUBSCRIBE_EXAMPLE);
    for (size_t size = 0; size < 16; size++)
        assert_int_equal(mqtt_subscribe_encode(data, size, MQTT_SUBSCRIBE, 10, filters, 2), -ENOBUFS);
}

static void test_what_no_list_can_say_is_not_encoded(void **state)
{
    (void)state;
    const struct mqtt_subscription good = {mqtt_text_of("a"), 0}, qos = {mqtt_text_of("a"), 3},
                                   empty = {mqtt_text_of(""), 0};
    uint8_t data[32];
    assert_int_equal(mqtt_subscribe_encode(data, 32, MQTT_SUBSCRIBE, 0, &good, 1), -EINVAL);
    assert_int_equal(mqtt_subscribe_encode(data, 32, MQTT_SUBSCRIBE, 1, &good, 0), -EINVAL);
    assert_int_equal(mqtt_subscribe_encode(data, 32, MQTT_SUBSCRIBE, 1, &qos, 1), -EINVAL);
    assert_int_equal(mqtt_subscribe_encode(data, 32, MQTT_SUBSCRIBE, 1, &empty, 1), -EINVAL);
    assert_int_equal(mqtt_subscribe_encode(data, 32, MQTT_PUBLISH, 1, &good, 1), -EINVAL);
}

static void test_mqtt_3_8_3_3_a_subscribe_without_a_filter_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x82\x02\x00\x0A"), MQTT_BAD_SUBSCRIBE_EMPTY);
}

static void test_mqtt_3_10_3_2_an_unsubscribe_without_a_filter_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\xA2\x02\x00\x0A"), MQTT_BAD_UNSUBSCRIBE_EMPTY);
}

static void test_mqtt_3_8_3_4_reserved_bits_and_qos_3_are_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x82\x06\x00\x0A\x00\x01"
                            "a\x03"),
                     MQTT_BAD_REQUESTED_QOS);
    assert_int_equal(DECODE("\x82\x06\x00\x0A\x00\x01"
                            "a\x04"),
                     MQTT_BAD_REQUESTED_QOS);
    assert_int_equal(DECODE("\x82\x06\x00\x0A\x00\x01"
                            "a\x80"),
                     MQTT_BAD_REQUESTED_QOS);
}

static void test_mqtt_3_8_1_1_and_3_10_1_1_lists_without_their_flags_are_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x80\x06\x00\x0A\x00\x01"
                            "a\x00"),
                     MQTT_BAD_FLAGS);
    assert_int_equal(DECODE("\xA0\x05\x00\x0A\x00\x01"
                            "a"),
                     MQTT_BAD_FLAGS);
}

static void test_mqtt_2_3_1_1_a_list_with_packet_id_0_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x82\x06\x00\x00\x00\x01"
                            "a\x00"),
                     MQTT_BAD_PACKET_ID);
    assert_int_equal(DECODE("\xA2\x05\x00\x00\x00\x01"
                            "a"),
                     MQTT_BAD_PACKET_ID);
}

static void test_mqtt_3_8_3_1_and_4_7_1_a_bad_filter_anywhere_in_the_list_is_refused(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\x82\x0A\x00\x0A\x00\x01"
                            "a\x00\x00\x01\xFF\x00"),
                     MQTT_BAD_UTF8);
    assert_int_equal(DECODE("\x82\x0B\x00\x0A\x00\x01"
                            "a\x00\x00\x02"
                            "#a\x00"),
                     MQTT_BAD_FILTER_HASH);
    assert_int_equal(DECODE("\xA2\x09\x00\x0A\x00\x01"
                            "a\x00\x02"
                            "a+"),
                     MQTT_BAD_FILTER_PLUS);
    assert_int_equal(DECODE("\x82\x05\x00\x0A\x00\x00\x00"), MQTT_BAD_TOPIC_EMPTY);
}

static void test_mqtt_4_8_0_1_a_list_cut_anywhere_but_between_entries_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 4; bytes < sizeof SUBSCRIBE_EXAMPLE - 1; bytes++) {
        uint8_t data[] = SUBSCRIBE_EXAMPLE;
        data[1] = (uint8_t)(bytes - 2);
        enum mqtt_error wanted = bytes == 4    ? MQTT_BAD_SUBSCRIBE_EMPTY
                                 : bytes == 10 ? MQTT_OK
                                               : MQTT_BAD_LENGTH;
        assert_int_equal(decode(data, bytes), wanted);
    }
}

static void test_the_suback_example_of_figure_3_26_comes_back_as_it_went(void **state)
{
    (void)state;
    const uint8_t codes[] = {0, 2, MQTT_SUBACK_FAILURE};
    uint8_t data[7];
    struct mqtt_suback suback = {10, codes, 3};
    ASSERT_BYTES(data, mqtt_suback_encode(data, 7, &suback), "\x90\x05\x00\x0A\x00\x02\x80");
    assert_int_equal(mqtt_suback_encode(data, 6, &suback), -ENOBUFS);
    ASSERT_BYTES(data, mqtt_suback_encode_head(data, 7, 10, 3), "\x90\x05\x00\x0A");
    assert_int_equal(mqtt_suback_encode_head(data, 6, 10, 3), -ENOBUFS);
    struct packet packet = packet_of(data, 7);
    struct mqtt_suback back;
    assert_int_equal(mqtt_suback_decode(&packet.frame, &back), MQTT_OK);
    assert_int_equal(back.packet_id, 10);
    assert_bytes(back.codes, (int)back.count, codes, 3);
    packet_free(&packet);
    suback.count = 0;
    assert_int_equal(mqtt_suback_encode(data, 7, &suback), -EINVAL);
}

static void test_mqtt_3_9_3_2_reserved_suback_codes_are_refused(void **state)
{
    (void)state;
    struct packet packet = PACKET("\x90\x04\x00\x0A\x00\x03");
    struct mqtt_suback back;
    assert_int_equal(mqtt_suback_decode(&packet.frame, &back), MQTT_BAD_SUBACK_CODE);
    packet_free(&packet);
}

enum { FILTERS_MANY = 100 };

// Checks the list in portions of `most` bytes, and compares what it has with `filters`.
static enum mqtt_error check_in_portions(const uint8_t *bytes, size_t size, size_t most,
                                         const struct mqtt_subscription *filters)
{
    struct packet packet = packet_of(bytes, size);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    enum mqtt_error error = mqtt_subscribe_begin(&packet.frame, &list);
    const uint8_t *begin = list.at;
    while (error == MQTT_OK && list.at < list.end) {
        const uint8_t *before = list.at;
        error = mqtt_subscribe_check(&list, most);
        assert_true(list.at > before && (size_t)(list.at - before) < most + 16); // the last one may pass it
    }
    assert_int_equal(list.count, FILTERS_MANY);
    list.at = begin;
    for (int i = 0; error == MQTT_OK && i < FILTERS_MANY; i++) {
        assert_true(mqtt_subscribe_next(&list, &one));
        assert_true(mqtt_text_equal(one.filter, filters[i].filter));
        assert_int_equal(one.qos, filters[i].qos);
    }
    assert_true(error != MQTT_OK || !mqtt_subscribe_next(&list, &one));
    packet_free(&packet);
    return error;
}

static void test_a_list_is_checked_in_portions(void **state)
{
    (void)state;
    struct mqtt_subscription filters[FILTERS_MANY];
    char texts[FILTERS_MANY][16];
    uint8_t bytes[FILTERS_MANY * 16];
    for (int i = 0; i < FILTERS_MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "t/%d/+", i);
        filters[i] = (struct mqtt_subscription){mqtt_text_of(texts[i]), (uint8_t)(i % 3)};
    }
    int size = mqtt_subscribe_encode(bytes, sizeof bytes, MQTT_SUBSCRIBE, 7, filters, FILTERS_MANY);
    assert_true(size > 0);
    for (size_t most = 1; most < (size_t)size + 20; most += 17) {
        bytes[size - 1] = filters[FILTERS_MANY - 1].qos;
        assert_int_equal(check_in_portions(bytes, (size_t)size, most, filters), MQTT_OK);
        bytes[size - 1] = 3; // of the last filter
        assert_int_equal(check_in_portions(bytes, (size_t)size, most, filters), MQTT_BAD_REQUESTED_QOS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_subscribe_example_of_figure_3_23_decodes),
        cmocka_unit_test(test_the_unsubscribe_example_of_figure_3_30_decodes),
        cmocka_unit_test(test_the_examples_encode),
        cmocka_unit_test(test_what_no_list_can_say_is_not_encoded),
        cmocka_unit_test(test_mqtt_3_8_3_3_a_subscribe_without_a_filter_is_refused),
        cmocka_unit_test(test_mqtt_3_10_3_2_an_unsubscribe_without_a_filter_is_refused),
        cmocka_unit_test(test_mqtt_3_8_3_4_reserved_bits_and_qos_3_are_refused),
        cmocka_unit_test(test_mqtt_3_8_1_1_and_3_10_1_1_lists_without_their_flags_are_refused),
        cmocka_unit_test(test_mqtt_2_3_1_1_a_list_with_packet_id_0_is_refused),
        cmocka_unit_test(test_mqtt_3_8_3_1_and_4_7_1_a_bad_filter_anywhere_in_the_list_is_refused),
        cmocka_unit_test(test_mqtt_4_8_0_1_a_list_cut_anywhere_but_between_entries_is_refused),
        cmocka_unit_test(test_the_suback_example_of_figure_3_26_comes_back_as_it_went),
        cmocka_unit_test(test_mqtt_3_9_3_2_reserved_suback_codes_are_refused),
        cmocka_unit_test(test_a_list_is_checked_in_portions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
