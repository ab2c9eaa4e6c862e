// SPDX-License-Identifier: Apache-2.0
#include "base/written.h"
#include "tests/temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// More than one block of the check.
enum { LINES = 4000 };

static void write_lines(struct written *written, int fd, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char line[32];
        int bytes = snprintf(line, sizeof line, "%d,memory\n", i);
        assert_int_equal(write(fd, line, (size_t)bytes), bytes);
        written_add(written, line, (size_t)bytes);
    }
}

static void leave(const char *path, int fd)
{
    (void)path;
    (void)fd;
}

static void remove_it(const char *path, int fd)
{
    (void)fd;
    assert_int_equal(unlink(path), 0);
}

static void move_it(const char *path, int fd)
{
    (void)fd;
    char other[TEMP_PATH_SIZE + 8];
    snprintf(other, sizeof other, "%s.old", path);
    assert_int_equal(rename(path, other), 0);
}

// Another file of the same bytes: later lines are not in it.
static void replace_it(const char *path, int fd)
{
    (void)fd;
    char *text = temp_file_read(path);
    assert_int_equal(unlink(path), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    free(text);
}

static void cut_it(const char *path, int fd)
{
    (void)fd;
    assert_int_equal(truncate(path, 5), 0);
}

static void append_to_it(const char *path, int fd)
{
    (void)fd;
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("0,stranger\n", file);
    assert_int_equal(fclose(file), 0);
}

static void change_a_byte(const char *path, int fd)
{
    (void)fd;
    int other = open(path, O_WRONLY);
    assert_int_equal(pwrite(other, "x", 1, 20000), 1);
    assert_int_equal(close(other), 0);
}

static void a_file_is_whole_or_the_check_says_what_became_of_it(void **state)
{
    (void)state;
    static const struct {
        void (*harm)(const char *path, int fd);
        enum written_fate at_the_end, written_on; // the harm after the last line, and before some lines
    } cases[] = {
        {leave, WRITTEN_WHOLE, WRITTEN_WHOLE},
        {remove_it, WRITTEN_REMOVED, WRITTEN_REMOVED},
        {move_it, WRITTEN_REMOVED, WRITTEN_REMOVED},
        {replace_it, WRITTEN_REPLACED, WRITTEN_REPLACED},
        {cut_it, WRITTEN_SHORT, WRITTEN_ALTERED},
        {append_to_it, WRITTEN_LONG, WRITTEN_WHOLE}, // overwritten: the file is as written
        {change_a_byte, WRITTEN_ALTERED, WRITTEN_ALTERED},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE];
        temp_dir_make(dir);
        temp_dir_file(dir, "memory.csv", path);
        struct written written = WRITTEN_NONE;
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        write_lines(&written, fd, 0, LINES);
        cases[i / 2].harm(path, fd);
        if (i % 2 == 1)
            write_lines(&written, fd, LINES, 3);
        enum written_fate fate = written_check(&written, fd, path);
        assert_int_equal(fate, i % 2 ? cases[i / 2].written_on : cases[i / 2].at_the_end);
        assert_true(strlen(written_fate_text(fate)) > 0);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), written.bytes); // the check moves nothing
        close(fd);
        temp_dir_remove(dir);
    }
}

static void an_empty_file_is_whole(void **state)
{
    struct temp_place *place = *state;
    struct written written = WRITTEN_NONE;
    int fd = open(place->file, O_RDWR | O_CREAT, 0600);
    assert_int_equal(written_check(&written, fd, place->file), WRITTEN_WHOLE);
    close(fd);
}

static void a_device_and_a_file_not_open_for_reading_are_told_apart(void **state)
{
    struct temp_place *place = *state;
    struct written written = WRITTEN_NONE;
    int fd = open("/dev/null", O_RDWR);
    write_lines(&written, fd, 0, 1);
    assert_int_equal(written_check(&written, fd, "/dev/null"), WRITTEN_NOT_KEPT);
    close(fd);
    written = WRITTEN_NONE;
    fd = open(place->file, O_WRONLY | O_CREAT, 0600);
    write_lines(&written, fd, 0, 1);
    assert_int_equal(written_check(&written, fd, place->file), WRITTEN_UNREADABLE);
    close(fd);
    assert_int_equal(written_check(&written, -1, place->file), WRITTEN_UNREADABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_whole_or_the_check_says_what_became_of_it),
        cmocka_unit_test_setup_teardown(an_empty_file_is_whole, temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(a_device_and_a_file_not_open_for_reading_are_told_apart,
                                        temp_place_set_up, temp_place_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
