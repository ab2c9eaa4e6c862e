// SPDX-License-Identifier: Apache-2.0
// The log of the state file after a crash: is it whole, gone, emptied or damaged?
#include "tests/state_rows.h"
#include "tests/temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAL_HEADER = 32, WAL_FRAME = 24 + 4096, COMMITS = 5 };

static const char *beside(const char *path, const char *suffix)
{
    static char name[2 * TEMP_PATH_SIZE];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

// A broker that commits some times and is killed.
static void crash(const char *path)
{
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    for (int64_t i = 1; i <= COMMITS; i++) {
        state_rows_note_session(&batch, i, "client");
        state_publish(&batch);
        assert_true(state_commit(made, batch.mark));
    }
    state_free_batch(&batch);
    state_abandon(made);
    state_close(made);
    struct stat status;
    assert_int_equal(stat(beside(path, "-wal"), &status), 0);
    assert_true(status.st_size >= WAL_HEADER + COMMITS * WAL_FRAME);
}

// The warning contains `words`; NULL: there is none. The files are left as they are.
static void expect_warning(const char *path, const char *words)
{
    struct state *opened;
    struct err err = {0};
    assert_int_equal(state_rows_try(&opened, path, &err), 0);
    const char *warning = state_warning(opened);
    if (words && (!warning || !strstr(warning, words)))
        fail_msg("no warning \"%s\": %s", words, warning ? warning : "none");
    if (!words && warning)
        fail_msg("%s", warning);
    state_abandon(opened);
    state_close(opened);
}

static void an_orderly_end_leaves_one_file_that_says_so(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    state_rows_close(state_rows_open(path));
    assert_int_not_equal(access(beside(path, "-wal"), F_OK), 0);
    assert_int_not_equal(access(beside(path, "-journal"), F_OK), 0);
    expect_warning(path, NULL);
    crash(path);
    state_rows_close(state_rows_open(path));
    expect_warning(path, NULL);
}

static void a_crash_alone_is_no_warning(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path); // it has acknowledged nothing yet
    state_abandon(made);
    state_close(made);
    expect_warning(path, NULL);
    crash(path);
    expect_warning(path, NULL);
    // The last frame, half written.
    struct stat status;
    assert_int_equal(stat(beside(path, "-wal"), &status), 0);
    assert_int_equal(truncate(beside(path, "-wal"), status.st_size - WAL_FRAME / 2), 0);
    expect_warning(path, NULL);
}

static void a_log_that_is_gone_or_emptied_is_told(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    crash(path);
    assert_int_equal(truncate(beside(path, "-wal"), 0), 0);
    expect_warning(path, "may be missing");
    assert_int_equal(unlink(beside(path, "-wal")), 0);
    expect_warning(path, "did not end in order");
    struct state *opened = state_rows_open(path); // the file can be used
    assert_non_null(state_warning(opened));
    state_rows_expect(opened, "");
    state_rows_close(opened);
    expect_warning(path, NULL); // told once
}

static void a_log_that_is_damaged_before_its_end_is_told(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    static const long places[] = {0, 20, WAL_HEADER + 8, WAL_HEADER + 100, WAL_HEADER + WAL_FRAME + 2000};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        crash(path);
        char byte;
        int fd = open(beside(path, "-wal"), O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
        byte = (char)~byte;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
        close(fd);
        expect_warning(path, "damaged before its end");
        state_rows_close(state_rows_open(path));
        expect_warning(path, NULL);
        assert_int_equal(unlink(path), 0);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_place_set_up, temp_place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_orderly_end_leaves_one_file_that_says_so),
        TEST(a_crash_alone_is_no_warning),
        TEST(a_log_that_is_gone_or_emptied_is_told),
        TEST(a_log_that_is_damaged_before_its_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
