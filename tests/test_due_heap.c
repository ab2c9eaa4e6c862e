// SPDX-License-Identifier: Apache-2.0
#include "loadgen/due_heap.h"

#include "loadgen/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_the_earliest_comes_first_and_none_before_its_time(void **state)
{
    (void)state;
    enum { CLIENTS = 1000 };
    struct due_heap heap;
    int64_t client, before_ns = 0;
    bool seen[CLIENTS] = {false};
    assert_int_equal(due_heap_open(&heap, CLIENTS), 0);
    assert_true(due_heap_first_ns(&heap) == INT64_MAX);
    assert_false(due_heap_take(&heap, INT64_MAX, &client));
    for (int64_t i = 0; i < CLIENTS; i++)
        due_heap_put(&heap, (int64_t)(chance_bits(3, (uint64_t)i) % 500), i);
    for (int i = 0; i < CLIENTS; i++) {
        int64_t first_ns = due_heap_first_ns(&heap);
        assert_true(first_ns >= before_ns);
        assert_false(due_heap_take(&heap, first_ns - 1, &client));
        assert_true(due_heap_take(&heap, first_ns, &client));
        assert_int_equal(first_ns, (int64_t)(chance_bits(3, (uint64_t)client) % 500));
        assert_false(seen[client]);
        seen[client] = true;
        before_ns = first_ns;
    }
    assert_false(due_heap_take(&heap, INT64_MAX, &client));
    due_heap_close(&heap);
}

static void test_clients_come_and_go_in_a_heap_without_room_to_spare(void **state)
{
    (void)state;
    struct due_heap heap;
    int64_t client;
    assert_int_equal(due_heap_open(&heap, 2), 0);
    for (int64_t i = 0; i < 100; i++) {
        due_heap_put(&heap, 2 * i + 1, 1);
        due_heap_put(&heap, 2 * i, 0);
        assert_true(due_heap_take(&heap, 1000, &client));
        assert_int_equal(client, 0);
        assert_true(due_heap_take(&heap, 1000, &client));
        assert_int_equal(client, 1);
    }
    due_heap_close(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_earliest_comes_first_and_none_before_its_time),
        cmocka_unit_test(test_clients_come_and_go_in_a_heap_without_room_to_spare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
