// SPDX-License-Identifier: Apache-2.0
// Shapes: the named ones, one's own, and what is wrong with others.
#include "broker/shape.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct shape parsed(const char *text)
{
    struct shape shape;
    struct err err = {0};
    if (shape_parse(text, &shape, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return shape;
}

static void assert_refused(const char *text, const char *words)
{
    struct shape shape = {1, 2, 3, 4, true};
    struct err err = {0};
    assert_int_equal(shape_parse(text, &shape, &err), -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(shape.object_bytes, 1);
}

static void classic_is_what_the_claims_speak_of(void **state)
{
    (void)state;
    struct shape shape = parsed("classic");
    assert_int_equal(shape.object_bytes, 3072);
    assert_int_equal(shape.read_bytes, 4096);
    assert_int_equal(shape.write_bytes, 4096);
    assert_int_equal(shape.arena_bytes, 6144);
    assert_true(shape.eager);
}

static void classic_lazy_has_the_sizes_of_classic(void **state)
{
    (void)state;
    char text[100];
    struct shape shape = parsed("classic-lazy"), eager = parsed("classic");
    assert_false(shape.eager);
    shape.eager = true;
    assert_string_equal(shape_format(&shape, text, sizeof text), "classic");
    assert_int_equal(shape_buffer_bytes(&shape), shape_buffer_bytes(&eager));
    shape = parsed("object=3072,read=4096,write=4096,arena=6144,lazy");
    assert_string_equal(shape_format(&shape, text, sizeof text), "classic-lazy");
}

static void lean_is_small_and_lazy(void **state)
{
    (void)state;
    struct shape shape = parsed("lean");
    assert_int_equal(shape.object_bytes, shape_natural_object_bytes());
    assert_int_equal(shape.arena_bytes, shape_natural_arena_bytes());
    assert_false(shape.eager);
    // With what malloc adds this is below 200 bytes; a new field should be worth what it costs a million
    // times.
    assert_true(shape.object_bytes <= 88);
    assert_true(shape.arena_bytes <= 88);
}

static void ones_own_takes_sizes_with_units_and_leaves_the_rest_lean(void **state)
{
    (void)state;
    struct shape shape = parsed("object=1024,read=2KiB,write=1KiB,arena=4KiB,eager");
    assert_int_equal(shape.object_bytes, 1024);
    assert_int_equal(shape.read_bytes, 2048);
    assert_int_equal(shape.write_bytes, 1024);
    assert_int_equal(shape.arena_bytes, 4096);
    assert_true(shape.eager);
    assert_int_equal(shape_buffer_bytes(&shape), 2048);
    shape = parsed("write=8192");
    assert_int_equal(shape.object_bytes, shape_natural_object_bytes());
    assert_int_equal(shape_buffer_bytes(&shape), 8192);
    assert_false(shape.eager);
}

static void a_shape_is_written_as_it_can_be_read(void **state)
{
    (void)state;
    char text[100];
    const char *const texts[] = {"classic", "classic-lazy", "lean",
                                 "object=512,read=256,write=300,arena=700,eager"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct shape shape = parsed(texts[i]);
        assert_string_equal(shape_format(&shape, text, sizeof text), texts[i]);
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    assert_refused("", "classic, classic-lazy, lean");
    assert_refused("fat", "\"fat\"");
    assert_refused("object=0", "object=0");
    assert_refused("object=2MiB", "out of bounds");
    assert_refused("read=255", "it takes 256 to");
    assert_refused("write=many", "write=many");
    assert_refused("arena=8", "arena=8");
    assert_refused("colour=blue", "\"colour=\"");
    assert_refused("read=4096,,eager", "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_is_what_the_claims_speak_of),
        cmocka_unit_test(classic_lazy_has_the_sizes_of_classic),
        cmocka_unit_test(lean_is_small_and_lazy),
        cmocka_unit_test(ones_own_takes_sizes_with_units_and_leaves_the_rest_lean),
        cmocka_unit_test(a_shape_is_written_as_it_can_be_read),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
