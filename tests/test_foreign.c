// SPDX-License-Identifier: Apache-2.0
// Connections of others that come, go on, and end: what they carried, and of which nobody knows it.
#include "loadgen/foreign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { BYTES = 1000 };

static int set_up(void **state)
{
    static struct foreign foreign;
    foreign = (struct foreign){0};
    *state = &foreign;
    return 0;
}

static int tear_down(void **state)
{
    foreign_close(*state);
    return 0;
}

// A list of the connections from `first` to before `end`, which have carried so many bytes each.
static struct foreign_change list(struct foreign *foreign, uint64_t first, uint64_t end, int64_t bytes,
                                  bool listened)
{
    struct foreign_change change;
    foreign_begin(foreign);
    for (uint64_t cookie = end; cookie-- > first;)
        assert_true(foreign_add(foreign, cookie, bytes));
    foreign_end(foreign, listened, &change);
    return change;
}

static void assert_change(struct foreign_change change, int64_t bytes, int64_t came, int64_t left,
                          int64_t unheard)
{
    assert_int_equal(change.bytes, bytes);
    assert_int_equal(change.came, came);
    assert_int_equal(change.left, left);
    assert_int_equal(change.unheard, unheard);
}

static void test_those_that_go_on_have_carried_the_difference(void **state)
{
    struct foreign *foreign = *state;
    assert_change(list(foreign, 1, 4, BYTES, true), 3 * BYTES, 3, 0, 0);
    assert_change(list(foreign, 1, 6, 3 * BYTES, true), 3 * 2 * BYTES + 2 * 3 * BYTES, 2, 0, 0);
    assert_change(list(foreign, 1, 6, 3 * BYTES, true), 0, 0, 0, 0);
}

static void test_one_that_was_heard_has_left_with_what_it_carried(void **state)
{
    struct foreign *foreign = *state;
    bool known;
    (void)list(foreign, 1, 4, BYTES, true);
    assert_int_equal(foreign_hear(foreign, 1, 5 * BYTES, &known), 4 * BYTES);
    assert_true(known);
    assert_int_equal(foreign_hear(foreign, 7, 5 * BYTES, &known), 0);
    assert_false(known);
    assert_int_equal(foreign_hear(foreign, 2, 0, &known), 0); // its own reset: no bytes are known
    assert_true(known);
    assert_change(list(foreign, 3, 4, BYTES, false), 0, 0, 2, 0);
    assert_change(list(foreign, 3, 4, BYTES, false), 0, 0, 0, 0);
}

static void test_one_that_left_while_nobody_listened_is_unheard(void **state)
{
    struct foreign *foreign = *state;
    (void)list(foreign, 1, 4, BYTES, true);
    assert_change(list(foreign, 3, 4, BYTES, false), 0, 0, 2, 2);
    assert_change(list(foreign, 3, 4, BYTES, false), 0, 0, 0, 0);
}

static void test_the_word_of_an_end_may_come_after_the_list(void **state)
{
    struct foreign *foreign = *state;
    bool known;
    (void)list(foreign, 1, 4, BYTES, true);
    assert_change(list(foreign, 3, 4, BYTES, true), 0, 0, 2, 0); // both are awaited
    assert_int_equal(foreign_hear(foreign, 1, 3 * BYTES, &known), 2 * BYTES);
    assert_true(known);
    assert_change(list(foreign, 3, 4, BYTES, true), 0, 0, 0, 1); // of one it never came
    assert_change(list(foreign, 3, 4, BYTES, true), 0, 0, 0, 0);
}

static void test_a_look_between_two_lists_takes_what_was_carried_so_far(void **state)
{
    struct foreign *foreign = *state;
    (void)list(foreign, 1, 3, BYTES, true);
    assert_int_equal(foreign_look(foreign, 2, 4 * BYTES), 3 * BYTES);
    assert_int_equal(foreign_look(foreign, 9, 4 * BYTES), 0);
    assert_change(list(foreign, 1, 3, 5 * BYTES, true), 4 * BYTES + BYTES, 0, 0, 0);
}

static void test_lists_grow(void **state)
{
    struct foreign *foreign = *state;
    assert_change(list(foreign, 1, 5001, BYTES, true), 5000 * BYTES, 5000, 0, 0);
    assert_change(list(foreign, 2501, 5001, BYTES, true), 0, 0, 2500, 0); // all these are awaited
    assert_change(list(foreign, 2501, 5001, BYTES, true), 0, 0, 0, 2500);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_those_that_go_on_have_carried_the_difference),
        TEST(test_one_that_was_heard_has_left_with_what_it_carried),
        TEST(test_one_that_left_while_nobody_listened_is_unheard),
        TEST(test_the_word_of_an_end_may_come_after_the_list),
        TEST(test_a_look_between_two_lists_takes_what_was_carried_so_far),
        TEST(test_lists_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
