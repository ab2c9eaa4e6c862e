// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/pool_use.h"

#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char head[] = "at_ns,pool,strategy,object_bytes,owned,in_use,peak_in_use,gets,puts,hits\n";
static const char config[] =
    "{\"config\": {\"pools\": {\"connections\": {\"strategy\": \"expand\", \"initial\": 5, \"max\": 100},"
    " \"buffers\": {\"strategy\": \"fixed\", \"initial\": 50, \"max\": 0},"
    " \"messages\": {\"strategy\": \"malloc\", \"initial\": 0, \"max\": 0}}}}";

static void write_file(const char *dir, const char *name, const char *first, const char *rest)
{
    char path[TEMP_PATH_SIZE];
    FILE *file = fopen(temp_dir_file(dir, name, path), "w");
    assert_non_null(file);
    fprintf(file, "%s%s", first, rest);
    assert_int_equal(fclose(file), 0);
}

static struct pool_use used(const char *lines, int64_t from_ns, int64_t to_ns)
{
    char dir[TEMP_PATH_SIZE];
    struct pool_use use = {0};
    struct err err = {0};
    temp_dir_make(dir);
    write_file(dir, "pools.csv", head, lines);
    write_file(dir, "run.json", config, "");
    if (pool_use_add(&use, dir, from_ns, to_ns, &err) < 0)
        fail_msg("%s", err.text);
    temp_dir_remove(dir);
    return use;
}

static void test_gets_and_hits_are_those_of_the_time(void **state)
{
    (void)state;
    struct pool_use use = used("10,messages,malloc,1,0,0,0,100,0,0\n"
                               "20,messages,malloc,1,0,0,0,300,0,0\n10,connections,expand,1,9,9,9,7,0,5\n"
                               "30,messages,malloc,1,0,0,0,400,0,0\n40,messages,malloc,1,0,0,0,999,0,0\n"
                               "30,connections,expand,1,9,9,9,17,0,10\n",
                               20, 30);
    assert_int_equal(use.gets, 100 + 10);
    assert_int_equal(use.hits, 5);
    assert_int_equal(use.bounded, 1);
}

static void test_the_fullest_pool_is_named(void **state)
{
    (void)state;
    // A peak of before does not count; a new one does, though no line saw it.
    struct pool_use use = used("10,connections,expand,1,99,10,95,1,0,1\n10,buffers,fixed,1,50,10,20,1,0,1\n"
                               "20,connections,expand,1,99,60,95,1,0,1\n20,buffers,fixed,1,50,30,47,1,0,1\n",
                               10, 20);
    assert_int_equal(use.bounded, 2);
    assert_string_equal(use.fullest, "buffers");
    assert_true(use.fullest_share > 0.9399 && use.fullest_share < 0.9401);
    use = used("10,connections,expand,1,99,10,95,1,0,1\n20,connections,expand,1,99,60,95,1,0,1\n", 10, 20);
    assert_string_equal(use.fullest, "connections");
    assert_true(use.fullest_share > 0.5999 && use.fullest_share < 0.6001);
}

static void test_a_record_of_another_time_is_no_use(void **state)
{
    (void)state;
    static const char lines[] =
        "10,connections,expand,1,99,10,95,1,0,1\n20,connections,expand,1,99,0,95,1,0,1\n";
    char dir[TEMP_PATH_SIZE];
    struct pool_use use = {0};
    struct err err = {0};
    temp_dir_make(dir);
    write_file(dir, "pools.csv", head, lines);
    write_file(dir, "run.json", config, "");
    // Its broker had ended: 0 % in use, and no alarm, was what it gave.
    assert_int_equal(pool_use_add(&use, dir, 21, 30, &err), -ENODATA);
    assert_non_null(strstr(err.text, "its broker has ended"));
    assert_int_equal(pool_use_add(&use, dir, 10, INT64_C(20000000000), &err), -ENODATA);
    assert_int_equal(pool_use_add(&use, dir, 10, 20, &err), 0);
    temp_dir_remove(dir);
}

static void test_a_pool_without_statistics_is_not_empty(void **state)
{
    (void)state;
    struct pool_use use = used("10,connections,own,1,,,,,,\n20,connections,own,1,,,,,,\n", 10, 20);
    assert_true(use.unknown);
    use = used("10,connections,expand,1,9,9,9,7,0,5\n20,connections,expand,1,9,9,9,8,0,5\n", 10, 20);
    assert_false(use.unknown);
}

static void test_what_is_no_record_is_named(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE];
    struct pool_use use = {0};
    struct err err = {0};
    temp_dir_make(dir);
    assert_int_equal(pool_use_add(&use, dir, 0, 1, &err), -ENOENT);
    assert_non_null(strstr(err.text, "pools.csv"));
    write_file(dir, "pools.csv", "a,b\n", "");
    assert_int_equal(pool_use_add(&use, dir, 0, 1, &err), -EINVAL);
    write_file(dir, "pools.csv", head, "");
    assert_int_equal(pool_use_add(&use, dir, 0, 1, &err), -EINVAL);
    assert_non_null(strstr(err.text, "run.json"));
    temp_dir_remove(dir);
}

static void test_a_record_of_a_clock_that_is_not_known_is_no_use(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE];
    struct pool_use use = {0};
    struct err err = {0};
    temp_dir_make(dir);
    write_file(dir, "pools.csv", head, "10,connections,expand,1,9,9,9,7,5,5\n");
    write_file(dir, "run.json", "{\"clock\": null, \"config\": {}}", "");
    assert_int_equal(pool_use_add(&use, dir, 0, 20, &err), -ENODATA);
    assert_non_null(strstr(err.text, "could not read its time namespace"));
    write_file(dir, "run.json", "{\"clock\": \"host\", \"config\": {}}", "");
    assert_int_equal(pool_use_add(&use, dir, 0, 20, &err), 0);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gets_and_hits_are_those_of_the_time),
        cmocka_unit_test(test_the_fullest_pool_is_named),
        cmocka_unit_test(test_a_record_of_another_time_is_no_use),
        cmocka_unit_test(test_a_pool_without_statistics_is_not_empty),
        cmocka_unit_test(test_what_is_no_record_is_named),
        cmocka_unit_test(test_a_record_of_a_clock_that_is_not_known_is_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
