// SPDX-License-Identifier: Apache-2.0
// Strategies from shared libraries: what is refused and with which words, and that one that is loaded is used
// like our own. The libraries are those of tests/plugins and examples/, built against the installed headers.
#include "pools/plugin/plugin.h"

#include "bench/workload.h"
#include "pools/contract/contract.h"
#include "pools/pool_inline.h"
#include "pools/pool_page.h"
#include "pools/pool_registry.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THIN PLUGINS "/thin.so"
#define STACK EXAMPLES "/stack-pool.so"

static void assert_refused(const char *path, const char *words)
{
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy = NULL;
    struct err err = {.text = ""};
    assert_int_equal(plugins_load(&plugins, path, &strategy, &err), -EINVAL);
    if (!strstr(err.text, words) || !strstr(err.text, path))
        fail_msg("\"%s\" does not say \"%s\" of %s", err.text, words, path);
    assert_int_equal(plugins.count, 0);
    assert_null(strategy);
}

static const struct pool_strategy *load(struct plugins *plugins, const char *path)
{
    const struct pool_strategy *strategy = NULL;
    struct err err = {.text = ""};
    if (plugins_load(plugins, path, &strategy, &err) < 0)
        fail_msg("%s", err.text);
    return strategy;
}

static void test_a_table_that_does_not_hold_is_refused_with_what_is_wrong(void **state)
{
    static const struct {
        const char *fault, *words;
    } rows[] = {
        {"symbol", "is no pool strategy: it exports no symbol poolmark_strategy_v1"},
        {"later", "keeps version 3 of the contract; this program knows version 1"},
        {"abi", "keeps version 9 of the contract; this program knows version 1"},
        {"short", "its poolmark_strategy_v1 has 40 bytes"},
        {"further", "uses a field of a later pool_plugin.h"},
        {"clash", "its name is malloc, which is a strategy of Poolmark's own"},
        {"reserved", "its name is direct, which benchmarks call something else"},
        {"name", "its name has to be of a-z, 0-9 and _"},
        {"summary", "the summary of thin has to be one line"},
        {"version", "the version of thin has to be at most 31 characters"},
        {"flag", "thin sets flags that this program does not know (0x100000)"},
        {"growth", "thin has a rule of growth, but does not set POOLMARK_CAN_GROW"},
        {"get", "thin has no function get"},
        {"trim", "thin has no function trim, but sets POOLMARK_CAN_SHRINK"},
        {"sweep", "thin has a function sweep, but does not set POOLMARK_CAN_SWEEP"},
        {"undefined", "cannot be loaded: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, PLUGINS "/faulty-%s.so", rows[i].fault);
        assert_refused(path, rows[i].words);
    }
}

// --- files -------------------------------------------------------------------------------------------------

static void write_file(const char *path, const char *bytes, size_t count)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 21];
    FILE *file = fopen(from, "re");
    assert_non_null(file);
    size_t count = fread(bytes, 1, sizeof bytes, file);
    assert_true(count > 0 && count < sizeof bytes);
    fclose(file);
    write_file(to, bytes, count);
    assert_int_equal(chmod(to, 0644), 0);
}

static void test_a_file_that_is_no_library_is_refused(void **state)
{
    struct temp_place *place = *state;
    char program[64] = "\177ELF";
    assert_refused(place->file, "cannot be opened: No such file or directory");
    assert_refused(place->dir, "is a folder and no shared library");
    assert_int_equal(mkfifo(place->file, 0600), 0);
    assert_refused(place->file, "is no regular file and no shared library");
    unlink(place->file);
    write_file(place->file, "hello, this is a text\n", 22);
    assert_refused(place->file, "is no shared library: it is not an ELF file");
    write_file(place->file, program, 4);
    assert_refused(place->file, "it is not an ELF file");
    assert_refused(PLUGINS "/faulty.o", "is no shared library but an object file; link it with -shared");
}

// As a disk that is full leaves a copy. The loader would be ended by SIGBUS.
static void test_a_library_that_was_cut_off_is_refused(void **state)
{
    struct temp_place *place = *state;
    static const off_t sizes[] = {30, 64, 500, 2000, 4096, 8192};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        copy_file(THIN, place->file);
        assert_int_equal(truncate(place->file, sizes[i]), 0);
        assert_refused(place->file, sizes[i] < 64 ? "is no whole ELF file" : "is cut off");
    }
    copy_file(THIN, place->file);
    FILE *file = fopen(place->file, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, 32, SEEK_SET), 0); // where the table of segments is
    assert_int_equal(fwrite("\xff\xff\xff\xff\xff\xff\xff\xff", 1, 8, file), 8);
    fclose(file);
    assert_refused(place->file, "is cut off");
}

// The library's own header, with another class or machine.
static void test_a_library_for_another_processor_is_refused(void **state)
{
    struct temp_place *place = *state;
    FILE *file;
    copy_file(THIN, place->file);
    assert_non_null(file = fopen(place->file, "r+e"));
    assert_int_equal(fseek(file, 18, SEEK_SET), 0);
    assert_int_equal(fwrite("\x16\x00", 1, 2, file), 2); // s390
    fclose(file);
    assert_refused(place->file, "is for s390 (64 bits); this program is for ");
    copy_file(THIN, place->file);
    assert_non_null(file = fopen(place->file, "r+e"));
    assert_int_equal(fseek(file, 4, SEEK_SET), 0);
    assert_int_equal(fputc(1, file), 1); // 32 bits
    fclose(file);
    assert_refused(place->file, "(32 bits); this program is for ");
}

static void test_a_file_that_others_may_write_is_refused(void **state)
{
    struct temp_place *place = *state;
    copy_file(THIN, place->file);
    assert_int_equal(chmod(place->file, 0646), 0);
    assert_refused(place->file, "may be written by everybody (mode 0646); chmod o-w");
    assert_int_equal(chmod(place->file, 0644), 0);
    assert_int_equal(chmod(place->dir, 0777), 0);
    assert_refused(place->file, "everybody may write its folder (mode 0777)");
    assert_int_equal(chmod(place->dir, 01777), 0); // as /tmp
    struct plugins plugins = {.count = 0};
    (void)load(&plugins, place->file);
    assert_int_equal(chmod(place->dir, 0700), 0);
    if (geteuid() != 0)
        return; // only root may give files away
    assert_int_equal(chmod(place->file, 0664), 0);
    assert_int_equal(chown(place->file, 0, 12345), 0);
    assert_refused(place->file, "may be written by group 12345 (mode 0664); chmod g-w");
    assert_int_equal(chown(place->file, 12345, 0), 0);
    assert_refused(place->file, "belongs to user 12345");
}

// --- what is loaded ----------------------------------------------------------------------------------------

static void test_a_loaded_strategy_says_what_it_is(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy = load(&plugins, THIN);
    assert_string_equal(pool_strategy_name(strategy), "thin");
    assert_string_equal(pool_strategy_summary(strategy), "malloc and free, from a library");
    assert_int_equal(pool_strategy_caps(strategy), 0);
    assert_null(pool_strategy_find("thin")); // in no list of ours
    const struct plugin *plugin = plugin_of(strategy);
    assert_ptr_equal(&plugin->strategy, strategy);
    assert_null(plugin_of(pool_strategy_find("malloc")));
    json_t *told = plugin_json(plugin);
    assert_string_equal(json_string_value(json_object_get(told, "strategy")), "thin");
    assert_string_equal(json_string_value(json_object_get(told, "file")), "thin.so");
    assert_string_equal(json_string_value(json_object_get(told, "version")), "1.5");
    assert_int_equal(strlen(json_string_value(json_object_get(told, "sha256"))), 64);
    json_decref(told);
}

static void test_a_file_is_loaded_once_and_a_name_is_taken_once(void **state)
{
    struct temp_place *place = *state;
    (void)state;
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy = load(&plugins, THIN), *other = NULL;
    struct err err = {.text = ""};
    assert_ptr_equal(load(&plugins, PLUGINS "/../plugins/thin.so"), strategy);
    assert_int_equal(plugins.count, 1);
    copy_file(THIN, place->file);
    assert_int_equal(plugins_load(&plugins, place->file, &other, &err), -EINVAL);
    assert_non_null(strstr(err.text, "its name is thin, as that of thin.so, which is loaded already"));
    assert_string_equal(pool_strategy_name(load(&plugins, PLUGINS "/faulty-other.so")), "other");
    assert_int_equal(plugins.count, 2);
}

static void assert_open_fails(const char *path, int wanted, const char *words)
{
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy = load(&plugins, path);
    struct pool_config config = contract_config(strategy, 64, 0, 0);
    struct pool *pool;
    struct err err = {.text = ""};
    assert_int_equal(pool_open(&pool, strategy, &config, &err), wanted);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void test_what_open_says_is_passed_on_in_one_line(void **state)
{
    (void)state;
    assert_open_fails(PLUGINS "/faulty-refuses.so", -EPERM,
                      "pool contract: strategy thin (faulty-refuses.so): it is Sunday");
    assert_open_fails(PLUGINS "/faulty-positive.so", -EPROTO,
                      "open of strategy thin (faulty-positive.so) gave 7, and that is no errno");
}

static void test_bounds_that_it_does_not_keep_are_refused_at_open(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy = load(&plugins, THIN);
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {.text = ""};
    config.object_bytes = 64;
    config.max = 9;
    assert_int_equal(pool_open(&pool, strategy, &config, &err), -EINVAL);
    assert_string_equal(err.text, "pool pool: max is 9, but strategy thin knows no bound: it must be 0");
    assert_true(pool_config_fit(strategy, &config) > 0);
    assert_int_equal(pool_open(&pool, strategy, &config, &err), 0);
    assert_int_equal(pool_preheat(pool, 1), -ENOTSUP);
    assert_int_equal(pool_resize(pool, 1), -ENOTSUP);
    assert_int_equal(pool_trim(pool), 0);
    struct pool_inline inlined;
    assert_int_equal(pool_inline_open(&inlined, pool), -ENOTSUP);
    void *object = pool_inline_get(&inlined); // by the call
    assert_non_null(object);
    pool_inline_put(&inlined, object);
    pool_close(pool);
}

static void test_without_statistics_nothing_is_claimed(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    struct pool_config config = contract_config(load(&plugins, THIN), 64, 0, 0);
    struct pool *pool = contract_open(&plugins.loaded[0].strategy, &config);
    struct pool_page_row rows[2] = {{.name = "a", .strategy = "thin", .object_bytes = 64},
                                    {.name = "b", .strategy = "malloc", .object_bytes = 64}};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    void *object = pool_get(pool);
    pool_stats(pool, &rows[0].stats);
    assert_true(rows[0].stats.unknown);
    assert_false(rows[1].stats.unknown);
    pool_page_prometheus(rows, 2, to);
    pool_page_text(rows, 2, to);
    fclose(to);
    assert_non_null(strstr(text, "poolmark_pool_gets_total{pool=\"b\",strategy=\"malloc\"} 0\n"));
    assert_null(strstr(text, "{pool=\"a\""));
    assert_non_null(strstr(text, "it keeps no statistics"));
    free(text);
    pool_put(pool, object);
    pool_close(pool);
}

static void test_both_keep_the_contract(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategies[] = {load(&plugins, THIN), load(&plugins, STACK)};
    for (int which = 0; which < 2; which++) {
        const struct promise *promise;
        int kept = 0;
        for (size_t i = 0; (promise = promise_at(i)); i++) {
            char why[PROMISE_WHY_SIZE];
            enum promise_verdict verdict = promise_check(promise, strategies[which], why, sizeof why);
            kept += verdict == PROMISE_KEPT;
            if (verdict == PROMISE_BROKEN)
                fail_msg("%s: %s: %s", pool_strategy_name(strategies[which]), promise->name, why);
        }
        assert_true(kept >= (which == 0 ? 14 : 18)); // the example has a bound and makes objects ahead
    }
}

static void test_the_example_grows_by_the_rule_and_tells(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = contract_config(load(&plugins, STACK), 64, 100, 300);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = contract_open(&plugins.loaded[0].strategy, &config);
    void *objects[200];
    contract_get_many(pool, objects, 200);
    assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), 3);
    for (int i = 0; i < 3; i++) {
        static const int64_t owned[] = {100, 150, 225, 300};
        assert_int_equal(events.events[i].from, owned[i]);
        assert_int_equal(events.events[i].to, owned[i + 1]);
        assert_int_equal(events.events[i].trigger, owned[i] * 80 / 100);
        assert_true(events.events[i].at_ns > 0);
    }
    assert_int_equal(contract_stats(pool).misses + contract_stats(pool).hits, 200);
    contract_put_many(pool, objects, 200);
    contract_close(pool);
}

static void test_the_registry_takes_a_loaded_strategy(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    struct pool_config config = contract_config(load(&plugins, STACK), 64, 4, 8);
    struct pool_registry *registry;
    struct err err = {.text = ""};
    assert_int_equal(pool_registry_open(&registry, &err), 0);
    assert_int_equal(pool_registry_add(registry, &plugins.loaded[0].strategy, &config, &err), 0);
    struct pool *pool = pool_registry_find(registry, "contract");
    pool_put(pool, pool_get(pool));
    pool_registry_release(registry, pool);
    assert_int_equal(pool_registry_close(registry, &err), 0);
}

static void test_benchmarks_have_a_row_for_it(void **state)
{
    (void)state;
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *const strategies[] = {pool_strategy_find("malloc"), load(&plugins, THIN),
                                                      NULL};
    struct gb_suite *suite;
    struct bench_case *cases;
    struct err err = {.text = ""};
    int found = 0;
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(workloads_register(suite, strategies, NULL, &cases, &err), 0);
    for (const struct bench_case *one = cases; one->workload; one++)
        found += strcmp(one->name, "lifo/thin/3072") == 0 || strcmp(one->name, "remote_1_1/thin/64") == 0;
    assert_int_equal(found, 2);
    gb_suite_free(suite);
    free(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_that_does_not_hold_is_refused_with_what_is_wrong),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_no_library_is_refused, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_library_that_was_cut_off_is_refused, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_library_for_another_processor_is_refused, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_others_may_write_is_refused, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(test_a_loaded_strategy_says_what_it_is),
        cmocka_unit_test_setup_teardown(test_a_file_is_loaded_once_and_a_name_is_taken_once,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test(test_what_open_says_is_passed_on_in_one_line),
        cmocka_unit_test(test_bounds_that_it_does_not_keep_are_refused_at_open),
        cmocka_unit_test(test_without_statistics_nothing_is_claimed),
        cmocka_unit_test(test_both_keep_the_contract),
        cmocka_unit_test(test_the_example_grows_by_the_rule_and_tells),
        cmocka_unit_test(test_the_registry_takes_a_loaded_strategy),
        cmocka_unit_test(test_benchmarks_have_a_row_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
