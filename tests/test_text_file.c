// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char meminfo[] = "MemTotal:       24683900 kB\n"
                              "MemFree:        20000000 kB\n"
                              "Slab:             228 kB\n"
                              "SReclaimable:     100 kB\n"
                              "Odd:            words\n"
                              "Last: -7";

static void a_number_is_found_by_its_label_at_the_beginning_of_a_line(void **state)
{
    (void)state;
    int64_t number = 0;
    assert_int_equal(text_file_number(meminfo, "MemTotal:", &number), 0);
    assert_int_equal(number, 24683900);
    assert_int_equal(text_file_number(meminfo, "Slab:", &number), 0);
    assert_int_equal(number, 228);
    assert_int_equal(text_file_number(meminfo, "Last:", &number), 0);
    assert_int_equal(number, -7);
}

static void what_is_not_there_leaves_the_number_alone(void **state)
{
    (void)state;
    int64_t number = 42;
    assert_int_equal(text_file_number(meminfo, "Free:", &number), -ENOENT);
    assert_int_equal(text_file_number(meminfo, "Odd:", &number), -ENOENT);
    assert_int_equal(text_file_number("", "Slab:", &number), -ENOENT);
    assert_int_equal(text_file_number("\n\n", "Slab:", &number), -ENOENT);
    assert_int_equal(number, 42);
}

static void files_are_read_up_to_the_size_of_the_buffer(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE], text[sizeof meminfo + 10];
    temp_dir_make(dir);
    FILE *file = fopen(temp_dir_file(dir, "meminfo", path), "we");
    assert_int_equal(fwrite(meminfo, 1, sizeof meminfo - 1, file), sizeof meminfo - 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(text_file_read(path, text, sizeof text), sizeof meminfo - 1);
    assert_string_equal(text, meminfo);
    assert_int_equal(text_file_read(path, text, 9), 8);
    assert_string_equal(text, "MemTotal");
    assert_int_equal(text_file_read(path, text, 1), 0);
    assert_string_equal(text, "");
    temp_dir_remove(dir);
}

static void files_of_proc_are_read_whole(void **state)
{
    (void)state;
    char text[8192];
    int64_t kib;
    assert_true(text_file_read("/proc/meminfo", text, sizeof text) > 0);
    assert_int_equal(text_file_number(text, "MemTotal:", &kib), 0);
    assert_true(kib > 0);
}

static void a_file_that_cannot_be_read_gives_its_errno(void **state)
{
    (void)state;
    char text[16];
    assert_int_equal(text_file_read("/proc/no-such-file", text, sizeof text), -ENOENT);
    assert_int_equal(text_file_read("/proc", text, sizeof text), -EISDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_found_by_its_label_at_the_beginning_of_a_line),
        cmocka_unit_test(what_is_not_there_leaves_the_number_alone),
        cmocka_unit_test(files_are_read_up_to_the_size_of_the_buffer),
        cmocka_unit_test(files_of_proc_are_read_whole),
        cmocka_unit_test(a_file_that_cannot_be_read_gives_its_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
