// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/row_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int walk_all(struct row_set *set, int begin, int *found)
{
    struct row_set_walk walk;
    int count = 0;
    for (int at = row_set_first(set, &walk, begin); at >= 0; at = row_set_next(set, &walk))
        found[count++] = at;
    return count;
}

static void test_a_walk_goes_round_once_from_where_it_begins(void **state)
{
    (void)state;
    static const int slots[] = {0, 1, 63, 64, 65, 500, 1022, 1023};
    enum { COUNT = sizeof slots / sizeof slots[0] };
    struct row_set set = {0};
    int found[THREAD_SLOT_ROWS];
    assert_int_equal(walk_all(&set, 0, found), 0);
    for (int i = 0; i < COUNT; i++)
        row_set_add(&set, slots[i]);
    for (int begin = 0; begin <= THREAD_SLOT_ROWS; begin++) {
        assert_int_equal(walk_all(&set, begin, found), COUNT);
        int first = 0;
        while (first < COUNT && slots[first] < begin % THREAD_SLOT_ROWS)
            first++;
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(found[i], slots[(first + i) % COUNT]);
    }
}

static void test_what_is_removed_is_gone(void **state)
{
    (void)state;
    struct row_set set = {0};
    int found[THREAD_SLOT_ROWS];
    for (int slot = 0; slot < THREAD_SLOT_ROWS; slot++)
        row_set_add(&set, slot);
    assert_int_equal(walk_all(&set, 77, found), THREAD_SLOT_ROWS);
    for (int slot = 0; slot < THREAD_SLOT_ROWS; slot += 2)
        row_set_remove(&set, slot);
    assert_int_equal(walk_all(&set, 77, found), THREAD_SLOT_ROWS / 2);
    assert_int_equal(found[0], 77);
    assert_false(row_set_has(&set, 78));
    assert_true(row_set_has(&set, 79));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_walk_goes_round_once_from_where_it_begins),
        cmocka_unit_test(test_what_is_removed_is_gone),
    };
    return cmocka_run_group_tests_name("row_set", tests, NULL, NULL);
}
