// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_writes_the_text_and_returns_the_code(void **state)
{
    (void)state;
    struct err err = {{0}};
    assert_int_equal(err_set(&err, -EINVAL, "--%s: \"%s\" is not a count", "connections", "12x"), -EINVAL);
    assert_string_equal(err.text, "--connections: \"12x\" is not a count");
}

static void null_drops_the_text(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -ENOMEM, "no memory for %d", 3), -ENOMEM);
    assert_int_equal(err_prefix(NULL, -EIO, "reading %s", "x"), -EIO);
}

static void prefix_puts_what_was_tried_before_what_went_wrong(void **state)
{
    (void)state;
    struct err err = {{0}};
    err_set(&err, -EACCES, "cannot open %s", "run.json");
    assert_int_equal(err_prefix(&err, -EACCES, "recording to %s", "out"), -EACCES);
    assert_string_equal(err.text, "recording to out: cannot open run.json");
}

static void a_text_may_be_made_of_the_text_before_it(void **state)
{
    (void)state;
    struct err err = {{0}};
    err_set(&err, -EIO, "inner");
    err_set(&err, -EIO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    struct err err = {{0}};
    char text[2 * sizeof err.text];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&err, -EIO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, -EIO, "%s", "p");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "p: xxx", 6);
    err_prefix(&err, -EIO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_writes_the_text_and_returns_the_code),
        cmocka_unit_test(null_drops_the_text),
        cmocka_unit_test(prefix_puts_what_was_tried_before_what_went_wrong),
        cmocka_unit_test(a_text_may_be_made_of_the_text_before_it),
        cmocka_unit_test(what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
