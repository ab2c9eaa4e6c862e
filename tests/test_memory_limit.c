// SPDX-License-Identifier: Apache-2.0
// What control groups allow, from made-up files of both versions.
#include "broker/memory_limit.h"

#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[TEMP_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int64_t limit_in(const char *dir)
{
    char cgroups[TEMP_PATH_SIZE];
    return memory_limit_of_groups(temp_dir_file(dir, "cgroup", cgroups), dir);
}

static void the_least_limit_up_the_tree_counts(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    write_file(dir, "cgroup", "0::/a/b\n");
    write_file(dir, "a/b/memory.max", "max\n");
    assert_true(limit_in(dir) == INT64_MAX);
    write_file(dir, "a/memory.max", "1048576\n");
    assert_int_equal(limit_in(dir), 1048576);
    write_file(dir, "a/b/memory.max", "4096\n");
    assert_int_equal(limit_in(dir), 4096);
    write_file(dir, "memory.max", "1024\n");
    assert_int_equal(limit_in(dir), 1024);
    temp_dir_remove(dir);
}

static void version_one_is_read_too(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    write_file(dir, "cgroup", "5:cpu,cpuacct:/x\n4:memory:/x/y\n0::/elsewhere\n");
    write_file(dir, "memory/x/y/memory.limit_in_bytes", "9223372036854771712\n"); // its way to say none
    write_file(dir, "memory/x/memory.limit_in_bytes", "65536\n");
    write_file(dir, "x/memory.limit_in_bytes", "1\n"); // of another controller
    assert_int_equal(limit_in(dir), 65536);
    temp_dir_remove(dir);
}

static void without_groups_there_is_no_limit_of_theirs(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    assert_true(limit_in(dir) == INT64_MAX);
    write_file(dir, "cgroup", "nonsense\n\n0::\n");
    assert_true(limit_in(dir) == INT64_MAX);
    temp_dir_remove(dir);
}

static void the_process_may_use_some(void **state)
{
    (void)state;
    assert_true(memory_limit_of_process() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_up_the_tree_counts),
        cmocka_unit_test(version_one_is_read_too),
        cmocka_unit_test(without_groups_there_is_no_limit_of_theirs),
        cmocka_unit_test(the_process_may_use_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
