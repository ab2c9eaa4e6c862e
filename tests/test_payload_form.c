// SPDX-License-Identifier: Apache-2.0
// What messages have in them: sizes, files, templates. Each is made and read again, and no changed byte passes.
#include "loadgen/payload_form.h"

#include "tests/temp_dir.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char template[] =
    "{\"id\":\"%UNIQUE%\",\"at\":%TIMESTAMPMS%,\"n\":%SEQUENCE%,\"from\":%PUBLISHER%,\"share\":\"50%\"}";

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

static void prepare(struct payload_form *form, enum payload_kind kind, const char *sizes, const char *path)
{
    struct err err = {0};
    *form = (struct payload_form){.given = true, .kind = kind, .path = path};
    if (sizes && payload_sizes_parse(&form->sizes, sizes, &err) < 0)
        fail_msg("%s", err.text);
    if (payload_form_prepare(form, 1, &err) < 0)
        fail_msg("%s", err.text);
}

// Makes messages, reads them, and reads each with one bit of each byte changed, cut and longer.
static void check(const struct payload_form *form, int messages)
{
    struct payload_maker maker;
    assert_int_equal(payload_maker_open(&maker, form, 0), 0);
    for (int i = 0; i < messages; i++) {
        struct payload payload = {
            .pair = 3, .sequence = (uint64_t)i * 37, .intended_ns = 1000 + i, .sent_ns = 2000 + i};
        struct payload read = {0};
        size_t bytes;
        const uint8_t *made = payload_make(&maker, &payload, &bytes);
        assert_in_range(bytes, PAYLOAD_MIN_BYTES, form->most);
        uint8_t *copy = calloc(1, bytes + 1);
        assert_non_null(copy);
        memcpy(copy, made, bytes);
        assert_int_equal(payload_form_read(form, copy, bytes, &read), PAYLOAD_WHOLE);
        assert_true(read.pair == payload.pair && read.sequence == payload.sequence);
        assert_true(read.intended_ns == payload.intended_ns && read.sent_ns == payload.sent_ns);
        for (size_t at = 0; at < bytes; at++) {
            copy[at] ^= 1;
            assert_int_not_equal(payload_form_read(form, copy, bytes, &read), PAYLOAD_WHOLE);
            copy[at] ^= 1;
        }
        assert_int_not_equal(payload_form_read(form, copy, bytes - 1, &read), PAYLOAD_WHOLE);
        assert_int_not_equal(payload_form_read(form, copy, bytes + 1, &read), PAYLOAD_WHOLE);
        assert_int_equal(payload_form_read(form, copy, 0, &read), PAYLOAD_STRANGE);
        free(copy);
    }
    payload_maker_close(&maker);
}

static void test_random_messages_of_every_distribution_are_checked(void **state)
{
    (void)state;
    static const char *const all[] = {
        "32", "64", "4KiB", "32..300", "100..100", "normal:200,50", "exponential:100"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct payload_form form;
        prepare(&form, PAYLOAD_RANDOM, all[i], NULL);
        check(&form, 20);
        payload_form_free(&form);
    }
}

static void test_sizes_are_distributed_as_asked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t least, most;
        double mean, deviation; // of the sizes that are made, within 3 %
    } all[] = {{"100..2000", 100, 2000, 1050, 548.7},
               {"normal:1000,200", 32, 2000, 1000, 200},
               {"exponential:5000", 32, 60000, 5000, 5000}};
    enum { MESSAGES = 40000 };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct payload_form form;
        struct payload_maker maker;
        prepare(&form, PAYLOAD_RANDOM, all[i].text, NULL);
        assert_int_equal(payload_maker_open(&maker, &form, 0), 0);
        double sum = 0, squares = 0;
        for (uint64_t k = 0; k < MESSAGES; k++) {
            struct payload payload = {.pair = 1, .sequence = k};
            size_t bytes;
            payload_make(&maker, &payload, &bytes);
            assert_in_range(bytes, all[i].least, all[i].most);
            sum += (double)bytes;
            squares += (double)bytes * (double)bytes;
        }
        double mean = sum / MESSAGES, deviation = sqrt(squares / MESSAGES - mean * mean);
        assert_true(fabs(mean - all[i].mean) < 0.03 * all[i].mean);
        assert_true(fabs(deviation - all[i].deviation) < 0.03 * all[i].deviation);
        assert_true(fabs(form.mean - all[i].mean) < 0.01 * all[i].mean);
        payload_maker_close(&maker);
        payload_form_free(&form);
    }
}

static void test_wrong_sizes_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } all[] = {{"7", "less than 32 bytes"},        {"x", "no number of bytes"},
               {"", "no number of bytes"},         {"10..100", "less than 32"},
               {"100..50", "ends below"},          {"17MiB", "16MiB"},
               {"100..", "no number of bytes"},    {"normal:100", "two numbers"},
               {"exponential:9,9", "one number"},  {"normal:10,1", "less than 32"},
               {"uniform:5", "no number of bytes"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct payload_sizes sizes;
        struct err err = {0};
        assert_int_equal(payload_sizes_parse(&sizes, all[i].text, &err), -EINVAL);
        if (!strstr(err.text, all[i].said))
            fail_msg("%s: \"%s\" has no \"%s\"", all[i].text, err.text, all[i].said);
    }
}

static void test_a_file_is_sent_behind_the_header_and_checked(void **state)
{
    struct temp_place *place = *state;
    static const char content[] = "any \0 bytes \xFF and more";
    for (size_t bytes = 0; bytes <= sizeof content; bytes += sizeof content) { // an empty one too
        struct payload_form form;
        write_file(place->file, content, bytes);
        prepare(&form, PAYLOAD_FILE, NULL, place->file);
        assert_int_equal(form.most, PAYLOAD_MIN_BYTES + bytes);
        check(&form, 3);
        struct payload_maker maker;
        struct payload payload = {.pair = 1};
        size_t made;
        assert_int_equal(payload_maker_open(&maker, &form, 0), 0);
        const uint8_t *data = payload_make(&maker, &payload, &made);
        assert_memory_equal(data + PAYLOAD_MIN_BYTES, content, bytes);
        payload_maker_close(&maker);
        payload_form_free(&form);
    }
}

static void test_a_template_has_its_variables_replaced(void **state)
{
    struct temp_place *place = *state;
    struct payload_form form;
    struct payload_maker maker;
    write_file(place->file, template, sizeof template - 1);
    prepare(&form, PAYLOAD_TEMPLATE, NULL, place->file);
    form.made->wall_ns = 1700000000000000000 - 5000000;
    assert_int_equal(payload_maker_open(&maker, &form, 0), 0);
    struct payload payload = {.pair = 12, .sequence = 345, .sent_ns = 5000000};
    size_t bytes;
    char *text = (char *)payload_make(&maker, &payload, &bytes);
    char expected[200];
    snprintf(expected, sizeof expected,
             "{\"id\":\"%.64s\",\"at\":1700000000000,\"n\":345,\"from\":12,\"share\":\"50%%\"}", text + 7);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(text, expected, bytes);
    assert_int_equal(strspn(text + 7, "0123456789abcdef"), 64);
    payload_maker_close(&maker);
    check(&form, 30);
    payload_form_free(&form);
    static const char behind[] =
        "%SEQUENCE% %PUBLISHER% %TIMESTAMP% %TIMESTAMPUS% %TIMESTAMPNS% %UNIQUE% %TIMESTAMPNS%\n";
    write_file(place->file, behind, sizeof behind - 1);
    prepare(&form, PAYLOAD_TEMPLATE, NULL, place->file);
    check(&form, 30);
    payload_form_free(&form);
}

static void test_a_template_that_could_not_be_checked_is_refused(void **state)
{
    struct temp_place *place = *state;
    static const struct {
        const char *text, *said;
    } all[] = {{"no variable", "%UNIQUE% is missing"},
               {"", "%UNIQUE% is missing"},
               {"%UNIQUE% %UNIQUE%", "twice"},
               {"%SEQUENCE%%UNIQUE%%PUBLISHER%", "before them or behind them"},
               {"%UNIQUE%%RANDOM%", "\"%RANDOM%\" is no variable"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct payload_form form = {.given = true, .kind = PAYLOAD_TEMPLATE, .path = place->file};
        struct err err = {0};
        write_file(place->file, all[i].text, strlen(all[i].text));
        assert_int_equal(payload_form_prepare(&form, 1, &err), -EINVAL);
        if (!strstr(err.text, all[i].said) || !strstr(err.text, "--payload-template"))
            fail_msg("\"%s\" has no \"%s\"", err.text, all[i].said);
        payload_form_free(&form);
    }
    struct payload_form form = {.given = true, .kind = PAYLOAD_FILE, .path = "/nonexist/body"};
    struct err err = {0};
    assert_int_equal(payload_form_prepare(&form, 1, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--payload-file: cannot read /nonexist/body"));
    payload_form_free(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_messages_of_every_distribution_are_checked),
        cmocka_unit_test(test_sizes_are_distributed_as_asked),
        cmocka_unit_test(test_wrong_sizes_are_refused_with_the_reason),
        cmocka_unit_test_setup_teardown(test_a_file_is_sent_behind_the_header_and_checked, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_template_has_its_variables_replaced, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_template_that_could_not_be_checked_is_refused,
                                        temp_place_set_up, temp_place_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
