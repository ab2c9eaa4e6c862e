// SPDX-License-Identifier: Apache-2.0
#include "base/books.h"

#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_a_line_is_whole_when_everything_was_measured_or_failed(void **state)
{
    (void)state;
    struct books_line line = {.source = "connects", .attempted = 100, .measured = 90, .failed = 10};
    assert_true(books_line_is_whole(&line));
    line.attempted++;
    assert_int_equal(books_line_astray(&line), 1);
    assert_false(books_line_is_whole(&line));
    line.attempted -= 2;
    assert_int_equal(books_line_astray(&line), -1);
    assert_false(books_line_is_whole(&line));
}

static void test_each_kind_of_gap_opens_a_line_that_balances(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct books_line line = {.source = "acks",
                                  .attempted = 5,
                                  .measured = 4,
                                  .lost = i == 0,
                                  .not_sent = i == 1,
                                  .unreadable = i == 2,
                                  .unfinished = i == 3};
        assert_int_equal(books_line_astray(&line), 0);
        assert_false(books_line_is_whole(&line));
    }
}

// A count below zero is a mistake of whoever counted, also where the sum comes out.
static void test_a_negative_count_is_never_whole(void **state)
{
    (void)state;
    struct books_line line = {.source = "acks", .attempted = 5, .measured = 6, .failed = -1};
    assert_int_equal(books_line_astray(&line), 0);
    assert_false(books_line_is_whole(&line));
}

static void test_lines_of_one_source_add_up(void **state)
{
    (void)state;
    struct books books = {.count = 0};
    books_add(&books, &(struct books_line){.source = "rows", .attempted = 5, .measured = 5});
    books_add(&books, &(struct books_line){.source = "rows", .attempted = 3, .measured = 1, .unreadable = 2});
    assert_int_equal(books.count, 1);
    assert_int_equal(books.lines[0].attempted, 8);
    assert_int_equal(books.lines[0].measured, 6);
    assert_int_equal(books.lines[0].unreadable, 2);
}

static void test_a_line_that_finds_no_room_is_not_forgotten(void **state)
{
    (void)state;
    struct books books = {.count = 0};
    for (int i = 0; i <= BOOKS_LINES_MAX; i++) {
        struct books_line line = {.attempted = 1, .measured = 1};
        snprintf(line.source, sizeof line.source, "source%d", i);
        books_add(&books, &line);
    }
    assert_int_equal(books_close(&books, NULL), 1);
}

static void test_the_record_has_every_line_and_says_what_is_missing(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    char argument[] = "poolmark-loadgen";
    char *argv[] = {argument, NULL};
    struct record *record;
    struct err err = {0};
    if (record_open(&record, temp_dir_file(dir, "run", file), "load", 1, argv, &err) < 0)
        fail_msg("%s", err.text);
    struct books books = {.count = 0};
    books_add(&books, &(struct books_line){.source = "connects", .attempted = 100, .measured = 100});
    books_add(&books, &(struct books_line){.source = "probe_deliveries", .attempted = 1500, .measured = 361});
    assert_int_equal(books_close(&books, record), 1);
    assert_int_equal(record_close(record, "incomplete", &err), 0);

    char *text = temp_file_read(temp_dir_file(dir, "run/run.json", file));
    assert_non_null(text);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    json_t *lines = json_object_get(json, "books");
    assert_int_equal(json_object_size(lines), 2);
    json_t *connects = json_object_get(lines, "connects");
    assert_int_equal(json_integer_value(json_object_get(connects, "measured")), 100);
    assert_true(json_is_integer(json_object_get(connects, "unfinished")));
    assert_non_null(strstr(text, "probe_deliveries: of 1500, 361 measured, 1139 unaccounted for"));
    json_decref(json);
    free(text);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_whole_when_everything_was_measured_or_failed),
        cmocka_unit_test(test_each_kind_of_gap_opens_a_line_that_balances),
        cmocka_unit_test(test_a_negative_count_is_never_whole),
        cmocka_unit_test(test_lines_of_one_source_add_up),
        cmocka_unit_test(test_a_line_that_finds_no_room_is_not_forgotten),
        cmocka_unit_test(test_the_record_has_every_line_and_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
