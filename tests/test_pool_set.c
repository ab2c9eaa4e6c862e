// SPDX-License-Identifier: Apache-2.0
#include "pools/use/pool_set.h"

#include "pools/use/pool_report.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct pool_spec spec(const char *strategy, const char *name, size_t object_bytes, int64_t initial)
{
    struct pool_spec made = {.strategy = pool_strategy_find(strategy), .config = POOL_CONFIG_DEFAULTS};
    made.config.name = name;
    made.config.object_bytes = object_bytes;
    made.config.initial = initial;
    return made;
}

static void test_pools_are_found_by_name_and_by_order(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("expand", "connections", 3072, 10), spec("malloc", "buffers", 4096, 0),
                                spec("sync", "messages", 128, 0)};
    struct pool_set *set;
    struct err err = {0};
    assert_int_equal(pool_set_open(&set, specs, 3, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(pool_config_of(pool_set_at(set, i))->name, specs[i].config.name);
        assert_ptr_equal(pool_strategy_of(pool_set_at(set, i)), specs[i].strategy);
    }
    pool_set_close(set);
    pool_set_close(NULL);
}

// For what manages pools by name, such as memory pressure. The set's references keep them from being removed.
static void test_the_pools_of_a_set_are_in_its_registry(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("sync", "buffers", 4096, 0), spec("expand", "connections", 64, 10)};
    struct pool_listing pools[2];
    struct pool_set *set;
    assert_int_equal(pool_set_open(&set, specs, 2, NULL), 0);
    struct pool_registry *registry = pool_set_registry(set);
    assert_int_equal(pool_registry_list(registry, pools, 2), 2);
    assert_string_equal(pools[0].name, "buffers");
    assert_string_equal(pools[1].name, "connections");
    assert_int_equal(pools[1].references, 1);
    assert_int_equal(pool_registry_remove(registry, "buffers", 0, NULL), -EBUSY);
    struct pool *found = pool_registry_find(registry, "buffers");
    assert_ptr_equal(found, pool_set_at(set, 0));
    pool_registry_release(registry, found);
    pool_set_close(set);
}

static void test_an_empty_set_is_a_set(void **state)
{
    (void)state;
    struct pool_set *set;
    assert_int_equal(pool_set_open(&set, NULL, 0, NULL), 0);
    pool_set_close(set);
}

static void test_one_bad_pool_and_none_is_opened(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("expand", "connections", 3072, 10), spec("malloc", "buffers", 0, 0)};
    struct pool_set *set = NULL;
    struct err err = {0};
    assert_int_equal(pool_set_open(&set, specs, 2, &err), -EINVAL);
    assert_null(set);
    assert_non_null(strstr(err.text, "buffers"));
    assert_non_null(strstr(err.text, "object_bytes"));
}

static void test_a_name_twice_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("malloc", "buffers", 64, 0), spec("sync", "buffers", 64, 0)};
    struct pool_set *set = NULL;
    struct err err = {0};
    assert_int_equal(pool_set_open(&set, specs, 2, &err), -EINVAL);
    assert_non_null(strstr(err.text, "buffers"));
}

static void test_without_memory_for_all_none_is_opened(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("expand", "connections", 3072, 10), spec("malloc", "buffers", 4096, 0)};
    struct pool_set *set = NULL;
    for (int64_t nth = 0;; nth++) {
        pool_memory_fail_after(nth, false);
        int code = pool_set_open(&set, specs, 2, NULL);
        int64_t requests = pool_memory_fail_after(-1, false);
        if (requests <= nth) {
            assert_int_equal(code, 0);
            break;
        }
        assert_int_equal(code, -ENOMEM);
        assert_null(set);
    }
    pool_set_close(set);
}

static void test_sweep_reaches_every_pool(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("sync", "a", 100, 0), spec("malloc", "b", 100, 0),
                                spec("sync", "c", 50, 0)};
    struct pool_set *set;
    assert_int_equal(pool_set_open(&set, specs, 3, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        void *object = pool_get(pool_set_at(set, i));
        pool_put(pool_set_at(set, i), object);
    }
    assert_int_equal(pool_set_sweep(set), 0);
    assert_int_equal(pool_set_sweep(set), 150);
    pool_set_close(set);
}

static char *contents(const char *path)
{
    static char text[8192];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void test_reports_have_a_row_a_pool(void **state)
{
    (void)state;
    struct pool_spec specs[] = {spec("fixed", "connections", 3072, 4), spec("malloc", "buffers", 4096, 0)};
    char path[] = "/tmp/poolmark-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct pool_set *set;
    struct csv *csv;
    assert_int_equal(pool_set_open(&set, specs, 2, NULL), 0);
    void *object = pool_get(pool_set_at(set, 0));
    assert_int_equal(csv_open(&csv, path, POOL_REPORT_HEADER, NULL), 0);
    pool_set_report_rows(set, csv, 17);
    assert_int_equal(csv_close(csv), 0);
    char *text = contents(path);
    assert_non_null(strstr(text, POOL_REPORT_HEADER "\n17,connections,fixed,3072,4,1,1,1,0,1,0,0,0,0,0,0,"));
    assert_non_null(strstr(text, "\n17,buffers,malloc,4096,0,0,0,0,0,0,0,0,0,0,0,0,"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    pool_set_report_table(set, file);
    fclose(file);
    text = contents(path);
    assert_non_null(strstr(text, "connections"));
    assert_non_null(strstr(text, "3.00 KiB"));
    pool_put(pool_set_at(set, 0), object);
    pool_set_close(set);
    unlink(path);
}

static void test_an_event_is_a_line_and_a_row(void **state)
{
    (void)state;
    struct pool_event event = {POOL_EVENT_EXPAND, 5000, 300, 1024, 1536, 819};
    char text[128], path[] = "/tmp/poolmark-test-XXXXXX";
    pool_report_event_line("connections", &event, text, sizeof text);
    assert_string_equal(text, "[POOL] connections: expand 1024->1536 (trigger at 819 of 1024)");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct csv *csv;
    assert_int_equal(csv_open(&csv, path, POOL_REPORT_EVENT_HEADER, NULL), 0);
    pool_report_event_row(csv, "connections", &event);
    assert_int_equal(csv_close(csv), 0);
    assert_string_equal(contents(path),
                        POOL_REPORT_EVENT_HEADER "\n5000,connections,expand,1024,1536,819,300\n");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools_are_found_by_name_and_by_order),
        cmocka_unit_test(test_the_pools_of_a_set_are_in_its_registry),
        cmocka_unit_test(test_an_empty_set_is_a_set),
        cmocka_unit_test(test_one_bad_pool_and_none_is_opened),
        cmocka_unit_test(test_a_name_twice_is_an_error_that_names_it),
        cmocka_unit_test(test_without_memory_for_all_none_is_opened),
        cmocka_unit_test(test_sweep_reaches_every_pool),
        cmocka_unit_test(test_reports_have_a_row_a_pool),
        cmocka_unit_test(test_an_event_is_a_line_and_a_row),
    };
    return cmocka_run_group_tests_name("pool_set", tests, NULL, NULL);
}
