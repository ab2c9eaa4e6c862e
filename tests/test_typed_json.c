// SPDX-License-Identifier: Apache-2.0
// The typed map against a plain list, and JSON into and out of typed buffers and maps.
#include "base/err.h"
#include "pools/typed/typed_json.h"
#include "pools/pool_strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 300, STEPS = 20000 };

static int64_t released;

static void count_release(void *value)
{
    (void)value;
    released++;
}

static size_t key_of(unsigned number, char key[100])
{
    if (number == 0)
        return 0; // the empty key is one too
    return (size_t)snprintf(key, 100, "%0*u", number % 3 ? 5 : 60, number);
}

static void check_against(const struct typed_map *map, void *const values[KEYS], size_t there)
{
    size_t seen = 0;
    for (const struct typed_map_entry *e = typed_map_first(map); e; e = typed_map_next(e)) {
        assert_int_equal(e->key[e->key_bytes], 0);
        assert_ptr_equal(e->value, values[e->key_bytes ? strtoul(e->key, NULL, 10) : 0]);
        seen++;
    }
    assert_int_equal(seen, there);
    assert_int_equal(typed_map_count(map), there);
}

static void test_a_map_does_as_a_list_would(void **state)
{
    (void)state;
    static char objects[STEPS];
    void *values[KEYS] = {NULL};
    struct typed_map *map = typed_map_new(1, count_release);
    size_t there = 0, set = 0;
    released = 0;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        unsigned number = (unsigned)rand() % KEYS;
        char key[100];
        size_t length = key_of(number, key);
        const struct typed_map_entry *entry = typed_map_find(map, key, length);
        assert_ptr_equal(entry ? entry->value : NULL, values[number]);
        if (rand() % 3) {
            assert_int_equal(typed_map_set(map, key, length, &objects[step]), 0);
            there += !values[number];
            values[number] = &objects[step];
            set++;
        } else {
            assert_int_equal(typed_map_remove(map, key, length), values[number] ? 0 : -ENOENT);
            there -= values[number] != NULL;
            values[number] = NULL;
        }
        if (step % 997 == 0)
            check_against(map, values, there);
        if (step % 5003 == 0) {
            typed_map_clear(map);
            memset(values, 0, sizeof values);
            there = 0;
        }
    }
    check_against(map, values, there);
    typed_map_delete(map);
    assert_int_equal(released, set);
}

static void test_a_map_keeps_the_order_and_refuses_a_key_that_is_too_long(void **state)
{
    (void)state;
    struct typed_map *map = typed_map_new(1, NULL);
    static char large[TYPED_MAP_KEY_MAX + 1];
    memset(large, 'x', sizeof large);
    assert_int_equal(typed_map_set(map, large, sizeof large, map), -ENAMETOOLONG);
    assert_int_equal(typed_map_set(map, large, sizeof large - 1, map), 0);
    assert_int_equal(typed_map_set(map, "b", 1, NULL), 0);
    assert_int_equal(typed_map_set(map, "a", 1, NULL), 0);
    assert_int_equal(typed_map_set(map, "b", 1, map), 0);
    const struct typed_map_entry *entry = typed_map_first(map);
    assert_int_equal(entry->key_bytes, TYPED_MAP_KEY_MAX);
    assert_string_equal((entry = typed_map_next(entry))->key, "b");
    assert_string_equal((entry = typed_map_next(entry))->key, "a");
    assert_null(typed_map_next(entry));
    assert_null(typed_map_find(map, large, sizeof large));
    assert_int_equal(typed_map_remove(map, large, sizeof large), -ENOENT);
    typed_map_delete(map);
    typed_map_delete(NULL);
    assert_null(typed_map_new(0, NULL));
}

static void test_a_value_becomes_text_and_comes_back(void **state)
{
    (void)state;
    struct typed_bytes text = TYPED_BYTES_EMPTY;
    struct typed_map *map = typed_map_new(4, typed_json_release);
    struct err err = {0};
    json_t *document =
        json_pack("{s:s,s:i,s:[f,b,n]}", "name", "d\xc3\xa9j\xc3\xa0 \"vu\"", "count", 7, "list", 0.5, 1);
    assert_int_equal(typed_bytes_append(&text, ">", 1), 0);
    assert_int_equal(typed_json_marshal(document, &text, &err), 0);
    char *plain = json_dumps(document, JSON_COMPACT);
    assert_int_equal(text.length, strlen(plain) + 1);
    assert_memory_equal(text.data + 1, plain, strlen(plain));
    free(plain);
    assert_int_equal(typed_json_unmarshal(text.data + 1, text.length - 1, map, &err), 0);
    assert_int_equal(typed_map_count(map), 3);
    assert_true(json_equal(typed_map_find(map, "list", 4)->value, json_object_get(document, "list")));
    json_decref(document);
    typed_map_delete(map);
    typed_bytes_free(&text);
}

static void test_what_is_no_text_or_no_object_is_named(void **state)
{
    (void)state;
    struct typed_bytes text = TYPED_BYTES_EMPTY;
    struct typed_map *map = typed_map_new(4, typed_json_release);
    struct err err = {0};
    static const char *const wrong[][2] = {{"", "JSON: "},
                                           {"{\"a\":1", "JSON: "},
                                           {"[1]", "an object is wanted"},
                                           {"{\"a\":1,\"a\":2}", "duplicate"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(typed_map_set(map, "old", 3, json_integer(1)), 0);
        assert_int_equal(typed_json_unmarshal(wrong[i][0], strlen(wrong[i][0]), map, &err), -EINVAL);
        assert_non_null(strstr(err.text, wrong[i][1]));
        assert_int_equal(typed_map_count(map), 0);
    }
    json_t *circle = json_array(), *inner = json_array();
    json_array_append(circle, inner);
    json_array_append(inner, circle);
    assert_int_equal(typed_bytes_append(&text, "kept", 4), 0);
    assert_int_equal(typed_json_marshal(circle, &text, &err), -EINVAL);
    assert_int_equal(typed_json_marshal(NULL, &text, &err), -EINVAL);
    assert_int_equal(text.length, 4);
    assert_memory_equal(text.data, "kept", 4);
    json_array_clear(inner);
    json_decref(circle);
    json_decref(inner);
    json_t *large = json_pack("{s:s}", "key", "a value that does not fit into four bytes and one more block");
    pool_memory_fail_after(0, true);
    int code = typed_json_marshal(large, &text, &err);
    pool_memory_fail_after(-1, false);
    assert_int_equal(code, -ENOMEM);
    assert_int_equal(text.length, 4);
    json_decref(large);
    typed_map_delete(map);
    typed_bytes_free(&text);
}

static void check_fields(struct typed_map_pool *maps)
{
    static const char text[] = "{\"name\":\"a\\u0041b\",\"n\":[1,2],\"t\":true}";
    struct typed_bytes to = TYPED_BYTES_EMPTY;
    struct err err = {0};
    assert_int_equal(typed_json_field(maps, text, sizeof text - 1, "n", &to, &err), 0);
    assert_memory_equal(to.data, "[1,2]", 5);
    assert_int_equal(typed_json_field(maps, text, sizeof text - 1, "t", &to, &err), 0);
    assert_int_equal(to.length, 9);
    assert_memory_equal(to.data, "[1,2]true", 9);
    assert_int_equal(typed_json_field(maps, text, sizeof text - 1, "no", &to, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no"));
    assert_int_equal(typed_json_field(maps, "{", 1, "n", &to, &err), -EINVAL);
    assert_int_equal(to.length, 9);
    typed_bytes_free(&to);
}

static void test_a_field_comes_with_a_pool_and_without(void **state)
{
    (void)state;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct typed_limits limits = TYPED_LIMITS(TYPED_MAP_ENTRIES);
    struct typed_map_pool *maps;
    struct err err = {0};
    check_fields(NULL);
    assert_int_equal(
        typed_map_pool_open(&maps, pool_strategy_find("sync"), &config, &limits, typed_json_release, &err),
        0);
    check_fields(maps);
    (void)pool_drain(typed_map_pool_below(maps));
    struct typed_bytes to = TYPED_BYTES_EMPTY;
    assert_int_equal(typed_json_field(maps, "{\"a\":1}", 7, "a", &to, &err), -EAGAIN);
    typed_bytes_free(&to);
    typed_map_pool_close(maps);
    typed_map_pool_close(NULL);
    typed_bytes_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_map_does_as_a_list_would),
        cmocka_unit_test(test_a_map_keeps_the_order_and_refuses_a_key_that_is_too_long),
        cmocka_unit_test(test_a_value_becomes_text_and_comes_back),
        cmocka_unit_test(test_what_is_no_text_or_no_object_is_named),
        cmocka_unit_test(test_a_field_comes_with_a_pool_and_without),
    };
    return cmocka_run_group_tests_name("typed_json", tests, NULL, NULL);
}
