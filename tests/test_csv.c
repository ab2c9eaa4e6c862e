// SPDX-License-Identifier: Apache-2.0
#include "base/csv.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void file_holds(const struct temp_place *place, const char *expected)
{
    char *text = temp_file_read(place->file);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void header_first_then_a_line_a_row(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    struct err err = {{0}};
    assert_int_equal(csv_open(&csv, place->file, "at_ns,pool", &err), 0);
    csv_row(csv, "%d,%s", 1, "connections");
    csv_row(csv, "%d,%s", 2, "buffers");
    assert_int_equal(csv_failure(csv), 0);
    assert_int_equal(csv_close(csv), 0);
    file_holds(place, "at_ns,pool\n1,connections\n2,buffers\n");
}

static void every_line_is_in_the_file_before_the_file_is_closed(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
    file_holds(place, "a\n");
    csv_row(csv, "1");
    file_holds(place, "a\n1\n");
    assert_int_equal(csv_close(csv), 0);
}

static void what_the_file_held_before_is_gone(void **state)
{
    struct temp_place *place = *state;
    for (int i = 0; i < 2; i++) {
        struct csv *csv;
        assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
        csv_row(csv, "%d", i);
        assert_int_equal(csv_close(csv), 0);
    }
    file_holds(place, "a\n1\n");
}

static void a_line_may_be_long(void **state)
{
    struct temp_place *place = *state;
    enum { LONG = 100000 };
    char *cell = malloc(LONG + 1), *expected = malloc(2 * LONG + 16);
    memset(cell, 'x', LONG);
    cell[LONG] = '\0';
    struct csv *csv;
    assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
    csv_row(csv, "%s", cell);
    csv_row(csv, "short");
    csv_row(csv, "%s", cell);
    assert_int_equal(csv_close(csv), 0);
    sprintf(expected, "a\n%s\nshort\n%s\n", cell, cell);
    file_holds(place, expected);
    free(expected);
    free(cell);
}

static void an_error_names_the_file_and_the_reason(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    struct err err = {{0}};
    char file[TEMP_PATH_SIZE];
    temp_dir_file(place->dir, "missing/pools.csv", file);
    assert_int_equal(csv_open(&csv, file, "a", &err), -ENOENT);
    assert_non_null(strstr(err.text, file));
    assert_non_null(strstr(err.text, "No such file"));
}

static void a_full_device_is_reported_at_once(void **state)
{
    (void)state;
    struct csv *csv;
    struct err err = {{0}};
    assert_int_equal(csv_open(&csv, "/dev/full", "a", &err), -ENOSPC);
    assert_non_null(strstr(err.text, "/dev/full"));
}

// Writes rows while the file may not grow past `bytes`: as a full disk, it takes a part of a line.
static void fill_up(struct csv *csv, rlim_t bytes)
{
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    csv_row(csv, "%s", "1,first");
    small = old;
    small.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    csv_row(csv, "%s", "2,this does not fit");
    csv_row(csv, "%s", "3,x");
    assert_int_equal(csv_failure(csv), -EFBIG);
    assert_int_equal(csv_account(csv).lost, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
}

static void what_a_full_disk_did_not_take_is_written_later_in_order(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    struct csv_account account;
    assert_int_equal(csv_open(&csv, place->file, "a,b", NULL), 0);
    fill_up(csv, 20);
    file_holds(place, "a,b\n1,first\n");
    csv_row(csv, "%s", "4,there is room again");
    assert_int_equal(csv_failure(csv), 0);
    assert_int_equal(csv_close_account(csv, &account), 0);
    assert_int_equal(account.rows, 4);
    assert_int_equal(account.late, 2);
    assert_int_equal(account.lost, 0);
    assert_int_equal(account.failure, -EFBIG);
    file_holds(place, "a,b\n1,first\n2,this does not fit\n3,x\n4,there is room again\n");

    // Closing is a try of its own.
    assert_int_equal(csv_open(&csv, place->file, "a,b", NULL), 0);
    fill_up(csv, 20);
    assert_int_equal(csv_close(csv), 0);
    file_holds(place, "a,b\n1,first\n2,this does not fit\n3,x\n");
}

static void what_does_not_fit_in_memory_either_is_counted(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    assert_int_equal(csv_open(&csv, place->file, "a,b", NULL), 0);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 4;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 10; i++)
        csv_row(csv, "%01000000d", i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    struct csv_account account;
    assert_int_equal(csv_close_account(csv, &account), -EFBIG);
    assert_int_equal(account.rows, 10);
    assert_in_range(account.lost, 1, 9);
    assert_int_equal(account.late + account.lost, 10);
}

static void when_the_disk_stays_full_whole_lines_stay_and_close_says_so(void **state)
{
    struct temp_place *place = *state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct csv *csv;
    assert_int_equal(csv_open(&csv, place->file, "a,b", NULL), 0);
    fill_up(csv, 20);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(csv_close(csv), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    file_holds(place, "a,b\n1,first\n");
}

// A file that another program removes, cuts or writes into takes every line without an error.
static void a_file_that_is_not_what_was_written_has_lost_all_lines(void **state)
{
    struct temp_place *place = *state;
    struct csv *csv;
    struct csv_account account;
    assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
    csv_row(csv, "1");
    assert_int_equal(unlink(place->file), 0);
    csv_row(csv, "2");
    assert_int_equal(csv_failure(csv), 0);
    assert_int_equal(csv_close_account(csv, &account), -ESTALE);
    assert_int_equal(account.fate, WRITTEN_REMOVED);
    assert_int_equal(account.rows, 2);
    assert_int_equal(account.lost, 2);
    assert_int_equal(account.failure, 0);

    assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
    assert_int_equal(truncate(place->file, 0), 0);
    csv_row(csv, "1");
    assert_int_equal(csv_close_account(csv, &account), -ESTALE);
    assert_int_equal(account.fate, WRITTEN_ALTERED);
    assert_int_equal(account.lost, 1);

    // The header alone.
    assert_int_equal(csv_open(&csv, place->file, "a", NULL), 0);
    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(csv_close_account(csv, &account), -ESTALE);
    assert_int_equal(account.rows, 1);
    assert_int_equal(account.lost, 1);
}

static void closing_nothing_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(csv_close(NULL), 0);
}

static void text_is_quoted_when_it_has_to_be(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"plain text", "plain text"},
                                           {"", ""},
                                           {"a,b", "\"a,b\""},
                                           {"say \"hi\"", "\"say \"\"hi\"\"\""},
                                           {"two\nlines", "\"two\nlines\""},
                                           {"cr\r", "\"cr\r\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char to[64];
        assert_ptr_equal(csv_quote(cases[i][0], to, sizeof to), to);
        assert_string_equal(to, cases[i][1]);
    }
}

static void quoted_text_that_is_cut_still_has_both_quotes(void **state)
{
    (void)state;
    for (unsigned long size = 1; size < 12; size++) {
        char to[12];
        memset(to, 'z', sizeof to);
        csv_quote("\"\",\"x,y", to, size);
        size_t length = strlen(to);
        assert_true(length < size);
        int quotes = 0;
        for (size_t i = 0; i < length; i++) {
            quotes += to[i] == '"';
        }
        assert_int_equal(quotes % 2, 0);
        assert_true(size == sizeof to || to[size] == 'z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(header_first_then_a_line_a_row, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(every_line_is_in_the_file_before_the_file_is_closed,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(what_the_file_held_before_is_gone, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(a_line_may_be_long, temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(an_error_names_the_file_and_the_reason, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(a_full_device_is_reported_at_once),
        cmocka_unit_test_setup_teardown(what_a_full_disk_did_not_take_is_written_later_in_order,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_in_memory_either_is_counted, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(when_the_disk_stays_full_whole_lines_stay_and_close_says_so,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_what_was_written_has_lost_all_lines,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test(closing_nothing_is_allowed),
        cmocka_unit_test(text_is_quoted_when_it_has_to_be),
        cmocka_unit_test(quoted_text_that_is_cut_still_has_both_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
