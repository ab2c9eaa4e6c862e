// SPDX-License-Identifier: Apache-2.0
// UTF-8 strings, topic names and topic filters: the examples of sections 1.5.3 and 4.7, and each statement
// broken.
#include "wire/mqtt_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

// The check sees a block that ends where the text does.
static enum mqtt_error run(enum mqtt_error (*check)(struct mqtt_text), const char *text, size_t bytes)
{
    char *copy = malloc(bytes ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, text, bytes);
    enum mqtt_error error = check((struct mqtt_text){copy, bytes});
    free(copy);
    return error;
}

#define TEXT(literal) run(mqtt_text_check, literal, sizeof(literal) - 1)
#define NAME(literal) run(mqtt_topic_name_check, literal, sizeof(literal) - 1)
#define FILTER(literal) run(mqtt_topic_filter_check, literal, sizeof(literal) - 1)

static void test_the_example_of_figure_1_2_passes(void **state)
{
    (void)state;
    assert_int_equal(TEXT("A\xF0\xAA\x9B\x94"), MQTT_OK);
}

static void test_the_first_and_the_last_character_of_each_length_pass(void **state)
{
    (void)state;
    assert_int_equal(TEXT("\x01"), MQTT_OK);
    assert_int_equal(TEXT("\x7F"), MQTT_OK);
    assert_int_equal(TEXT("\xC2\x80"), MQTT_OK);
    assert_int_equal(TEXT("\xDF\xBF"), MQTT_OK);
    assert_int_equal(TEXT("\xE0\xA0\x80"), MQTT_OK);
    assert_int_equal(TEXT("\xED\x9F\xBF"), MQTT_OK); // the last before the surrogates
    assert_int_equal(TEXT("\xEE\x80\x80"), MQTT_OK); // the first after them
    assert_int_equal(TEXT("\xEF\xBF\xBF"), MQTT_OK);
    assert_int_equal(TEXT("\xF0\x90\x80\x80"), MQTT_OK);
    assert_int_equal(TEXT("\xF4\x8F\xBF\xBF"), MQTT_OK);
    assert_int_equal(TEXT(""), MQTT_OK);
}

static void test_mqtt_1_5_3_1_surrogates_are_ill_formed(void **state)
{
    (void)state;
    assert_int_equal(TEXT("\xED\xA0\x80"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xED\xBF\xBF"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("abc\xED\xA0\x80\xED\xB0\x80"), MQTT_BAD_UTF8);
}

static void test_mqtt_1_5_3_1_overlong_forms_are_ill_formed(void **state)
{
    (void)state;
    assert_int_equal(TEXT("\xC0\x80"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xC1\xBF"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xE0\x80\xAF"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xF0\x8F\xBF\xBF"), MQTT_BAD_UTF8);
}

static void test_mqtt_1_5_3_1_what_is_past_the_last_code_point_is_ill_formed(void **state)
{
    (void)state;
    assert_int_equal(TEXT("\xF4\x90\x80\x80"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xF5\x80\x80\x80"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xFE"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xFF"), MQTT_BAD_UTF8);
}

static void test_mqtt_1_5_3_1_characters_cut_short_are_ill_formed(void **state)
{
    (void)state;
    assert_int_equal(TEXT("a\xC3"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("a\xE2\x82"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("a\xF0\x9F\x98"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xE2\x28\xA1"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\xF0\x9F\x28\x80"), MQTT_BAD_UTF8);
    assert_int_equal(TEXT("\x80"), MQTT_BAD_UTF8);
}

static void test_mqtt_1_5_3_2_nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    char text[40];
    for (size_t bytes = 1; bytes <= sizeof text; bytes++)
        for (size_t at = 0; at < bytes; at++) {
            memset(text, 'x', sizeof text);
            text[at] = 0;
            assert_int_equal(run(mqtt_text_check, text, bytes), MQTT_BAD_NUL);
            text[at] = (char)0x80;
            assert_int_equal(run(mqtt_text_check, text, bytes), MQTT_BAD_UTF8);
            text[at] = '\x7F';
            assert_int_equal(run(mqtt_text_check, text, bytes), MQTT_OK);
        }
}

static void test_mqtt_1_5_3_3_the_byte_order_mark_is_a_character_like_others(void **state)
{
    (void)state;
    assert_int_equal(TEXT("\xEF\xBB\xBF"), MQTT_OK);
    assert_int_equal(NAME("\xEF\xBB\xBFtopic"), MQTT_OK);
}

static void test_topic_names_of_section_4_7_pass(void **state)
{
    (void)state;
    assert_int_equal(NAME("sport/tennis/player1"), MQTT_OK);
    assert_int_equal(NAME("/finance"), MQTT_OK);
    assert_int_equal(NAME("/"), MQTT_OK);
    assert_int_equal(NAME("$SYS/monitor/Clients"), MQTT_OK);
    assert_int_equal(NAME("Accounts payable"), MQTT_OK);
}

static void test_mqtt_3_3_2_2_wildcards_in_a_topic_name_are_refused(void **state)
{
    (void)state;
    assert_int_equal(NAME("sport/#"), MQTT_BAD_TOPIC_WILDCARD);
    assert_int_equal(NAME("sport/+/player1"), MQTT_BAD_TOPIC_WILDCARD);
    assert_int_equal(NAME("a+b"), MQTT_BAD_TOPIC_WILDCARD);
}

// Names are looked at eight bytes at a time: each byte value at each place of names of each length.
static void test_no_place_of_a_name_hides_a_byte(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= 26; bytes++)
        for (size_t at = 0; at < bytes; at++)
            for (int value = 0; value < 256; value++) {
                char name[27] = "\x7F*,\"$poolmark/a1/p/0123456";
                name[at] = (char)value;
                enum mqtt_error wanted = value == 0                     ? MQTT_BAD_NUL
                                         : value >= 0x80                ? MQTT_BAD_UTF8
                                         : value == '+' || value == '#' ? MQTT_BAD_TOPIC_WILDCARD
                                                                        : MQTT_OK;
                assert_int_equal(run(mqtt_topic_name_check, name, bytes), wanted);
            }
}

static void test_mqtt_4_7_3_1_an_empty_name_or_filter_is_refused(void **state)
{
    (void)state;
    assert_int_equal(NAME(""), MQTT_BAD_TOPIC_EMPTY);
    assert_int_equal(FILTER(""), MQTT_BAD_TOPIC_EMPTY);
}

static void test_mqtt_4_7_3_2_nul_in_a_name_or_filter_is_refused(void **state)
{
    (void)state;
    assert_int_equal(NAME("a\0b"), MQTT_BAD_NUL);
    assert_int_equal(FILTER("a/\0/#"), MQTT_BAD_NUL);
}

static void test_filters_that_section_4_7_1_calls_valid_pass(void **state)
{
    (void)state;
    assert_int_equal(FILTER("sport/tennis/player1/#"), MQTT_OK);
    assert_int_equal(FILTER("sport/#"), MQTT_OK);
    assert_int_equal(FILTER("#"), MQTT_OK);
    assert_int_equal(FILTER("sport/tennis/#"), MQTT_OK);
    assert_int_equal(FILTER("+"), MQTT_OK);
    assert_int_equal(FILTER("+/tennis/#"), MQTT_OK);
    assert_int_equal(FILTER("sport/+/player1"), MQTT_OK);
    assert_int_equal(FILTER("/+"), MQTT_OK);
    assert_int_equal(FILTER("+/+"), MQTT_OK);
    assert_int_equal(FILTER("$SYS/#"), MQTT_OK);
}

static void test_mqtt_4_7_1_2_a_hash_not_alone_in_the_last_level_is_refused(void **state)
{
    (void)state;
    assert_int_equal(FILTER("sport/tennis#"), MQTT_BAD_FILTER_HASH);
    assert_int_equal(FILTER("sport/tennis/#/ranking"), MQTT_BAD_FILTER_HASH);
    assert_int_equal(FILTER("#/"), MQTT_BAD_FILTER_HASH);
    assert_int_equal(FILTER("##"), MQTT_BAD_FILTER_HASH);
    assert_int_equal(FILTER("a/#b"), MQTT_BAD_FILTER_HASH);
}

static void test_mqtt_4_7_1_3_a_plus_not_alone_in_its_level_is_refused(void **state)
{
    (void)state;
    assert_int_equal(FILTER("sport+"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("sport/+player"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("++"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("+#"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("a#/b+"), MQTT_BAD_FILTER_HASH); // the first fault is named
    assert_int_equal(FILTER("a+/b#"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("+/+/+/a+"), MQTT_BAD_FILTER_PLUS);
    assert_int_equal(FILTER("+/+/#/+"), MQTT_BAD_FILTER_HASH);
}

static void test_every_error_has_a_statement_and_a_text(void **state)
{
    (void)state;
    for (int error = 0; error < MQTT_ERROR_COUNT; error++) {
        assert_non_null(mqtt_error_statement((enum mqtt_error)error));
        assert_non_null(mqtt_error_text((enum mqtt_error)error));
    }
    assert_string_equal(mqtt_error_statement(MQTT_BAD_WILL_QOS), "MQTT-3.1.2-14");
    assert_string_equal(mqtt_error_text((enum mqtt_error)MQTT_ERROR_COUNT), "an unknown error");
    assert_string_equal(mqtt_packet_name(MQTT_UNSUBACK), "UNSUBACK");
    assert_string_equal(mqtt_packet_name(15), "?");
    assert_string_equal(mqtt_connack_text(MQTT_REFUSED_IDENTIFIER), "identifier rejected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_figure_1_2_passes),
        cmocka_unit_test(test_the_first_and_the_last_character_of_each_length_pass),
        cmocka_unit_test(test_mqtt_1_5_3_1_surrogates_are_ill_formed),
        cmocka_unit_test(test_mqtt_1_5_3_1_overlong_forms_are_ill_formed),
        cmocka_unit_test(test_mqtt_1_5_3_1_what_is_past_the_last_code_point_is_ill_formed),
        cmocka_unit_test(test_mqtt_1_5_3_1_characters_cut_short_are_ill_formed),
        cmocka_unit_test(test_mqtt_1_5_3_2_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(test_mqtt_1_5_3_3_the_byte_order_mark_is_a_character_like_others),
        cmocka_unit_test(test_topic_names_of_section_4_7_pass),
        cmocka_unit_test(test_mqtt_3_3_2_2_wildcards_in_a_topic_name_are_refused),
        cmocka_unit_test(test_no_place_of_a_name_hides_a_byte),
        cmocka_unit_test(test_mqtt_4_7_3_1_an_empty_name_or_filter_is_refused),
        cmocka_unit_test(test_mqtt_4_7_3_2_nul_in_a_name_or_filter_is_refused),
        cmocka_unit_test(test_filters_that_section_4_7_1_calls_valid_pass),
        cmocka_unit_test(test_mqtt_4_7_1_2_a_hash_not_alone_in_the_last_level_is_refused),
        cmocka_unit_test(test_mqtt_4_7_1_3_a_plus_not_alone_in_its_level_is_refused),
        cmocka_unit_test(test_every_error_has_a_statement_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
