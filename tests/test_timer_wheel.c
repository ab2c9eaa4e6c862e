// SPDX-License-Identifier: Apache-2.0
// The broker's timing wheel: deadlines near and far, removal, and calls that change the wheel.
#include "broker/net/timer_wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { NODES = 2000 };

struct seen {
    struct timer_wheel *wheel;
    struct timer_node *victim; // removed by the first call, if set
    uint32_t again_after;      // each node is added again so many ticks later, if set
    int calls;
    uint32_t last_deadline;
};

static void note(struct timer_node *node, void *context)
{
    struct seen *seen = context;
    assert_null(node->link);
    seen->calls++;
    seen->last_deadline = node->deadline_tick;
    if (seen->victim) {
        timer_wheel_remove(seen->victim);
        seen->victim = NULL;
    }
    if (seen->again_after)
        timer_wheel_add(seen->wheel, node, seen->wheel->tick + seen->again_after);
}

static void a_deadline_is_called_at_its_tick_and_not_before(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node node = {0};
    struct seen seen = {.wheel = &wheel};
    timer_wheel_add(&wheel, &node, 6);
    timer_wheel_advance(&wheel, 5, note, &seen);
    assert_int_equal(seen.calls, 0);
    timer_wheel_advance(&wheel, 6, note, &seen);
    assert_int_equal(seen.calls, 1);
    timer_wheel_advance(&wheel, 6 + TIMER_WHEEL_SLOTS, note, &seen);
    assert_int_equal(seen.calls, 1);
}

static void a_deadline_beyond_one_turn_waits_for_its_turn(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node node = {0};
    struct seen seen = {.wheel = &wheel};
    uint32_t deadline = 65535u * 3 / 2 * TIMER_TICKS_PER_S; // the longest keep alive
    timer_wheel_add(&wheel, &node, deadline);
    for (uint32_t tick = 1; tick < deadline; tick += 100)
        timer_wheel_advance(&wheel, tick, note, &seen);
    assert_int_equal(seen.calls, 0);
    timer_wheel_advance(&wheel, deadline, note, &seen);
    assert_int_equal(seen.calls, 1);
}

static void after_a_long_pause_all_that_is_due_is_called(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 7);
    static struct timer_node nodes[NODES];
    struct seen seen = {.wheel = &wheel};
    for (uint32_t i = 0; i < NODES; i++)
        timer_wheel_add(&wheel, &nodes[i], 8 + i);
    assert_true(timer_wheel_is_valid(&wheel));
    timer_wheel_advance(&wheel, 8 + NODES / 2 - 1, note, &seen);
    assert_int_equal(seen.calls, NODES / 2);
    assert_true(timer_wheel_is_valid(&wheel));
    timer_wheel_advance(&wheel, UINT32_MAX - 1, note, &seen);
    assert_int_equal(seen.calls, NODES);
    assert_null(timer_wheel_any(&wheel));
}

static void a_removed_deadline_is_not_called(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node nodes[3] = {0};
    struct seen seen = {.wheel = &wheel};
    for (int i = 0; i < 3; i++)
        timer_wheel_add(&wheel, &nodes[i], 4);
    timer_wheel_remove(&nodes[1]);
    timer_wheel_remove(&nodes[1]);
    assert_true(timer_wheel_is_valid(&wheel));
    timer_wheel_advance(&wheel, 4, note, &seen);
    assert_int_equal(seen.calls, 2);
}

static void a_call_may_remove_another_that_is_due(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node nodes[2] = {0};
    timer_wheel_add(&wheel, &nodes[0], 4);
    timer_wheel_add(&wheel, &nodes[1], 4);
    // Which of the two comes first is not promised; each removes the other.
    struct seen seen = {.wheel = &wheel, .victim = &nodes[0]};
    struct timer_node *first = wheel.slots[4];
    seen.victim = first == &nodes[0] ? &nodes[0] : &nodes[1];
    timer_wheel_advance(&wheel, 4, note, &seen);
    assert_in_range(seen.calls, 1, 2);
    assert_null(timer_wheel_any(&wheel));
}

static void a_call_may_add_its_node_again(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node node = {0};
    struct seen seen = {.wheel = &wheel, .again_after = TIMER_WHEEL_SLOTS};
    timer_wheel_add(&wheel, &node, 1);
    for (uint32_t tick = 1; tick <= 1 + 3 * TIMER_WHEEL_SLOTS; tick++)
        timer_wheel_advance(&wheel, tick, note, &seen);
    assert_int_equal(seen.calls, 4);
}

static void a_past_deadline_is_called_at_the_next_tick(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 100);
    struct timer_node node = {0};
    struct seen seen = {.wheel = &wheel};
    timer_wheel_add(&wheel, &node, 3);
    timer_wheel_advance(&wheel, 101, note, &seen);
    assert_int_equal(seen.calls, 1);
}

static void never_is_found_but_not_called(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node node = {0};
    struct seen seen = {.wheel = &wheel};
    timer_wheel_add(&wheel, &node, TIMER_NEVER);
    timer_wheel_advance(&wheel, UINT32_MAX - 1, note, &seen);
    assert_int_equal(seen.calls, 0);
    assert_ptr_equal(timer_wheel_any(&wheel), &node);
    timer_wheel_remove(&node);
    assert_null(timer_wheel_any(&wheel));
}

struct visited {
    struct timer_wheel *wheel;
    struct timer_node *nodes;
    int calls[4];
};

// Puts node 1 into a later slot and takes node 2 out.
static void visit(struct timer_node *node, void *context)
{
    struct visited *visited = context;
    long at = node - visited->nodes;
    visited->calls[at]++;
    if (at == 1 && visited->calls[at] == 1) {
        timer_wheel_remove(node);
        timer_wheel_add(visited->wheel, node, 300);
    }
    if (at == 2)
        timer_wheel_remove(node);
}

static void a_visit_is_of_each_node_and_may_move_or_remove_it(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    struct timer_node nodes[4] = {0};
    struct visited visited = {.wheel = &wheel, .nodes = nodes};
    timer_wheel_init(&wheel, 0);
    timer_wheel_add(&wheel, &nodes[0], 7);
    timer_wheel_add(&wheel, &nodes[1], 7);
    timer_wheel_add(&wheel, &nodes[2], 7 + TIMER_WHEEL_SLOTS);
    timer_wheel_add(&wheel, &nodes[3], TIMER_NEVER);
    timer_wheel_visit(&wheel, visit, &visited);
    assert_int_equal(visited.calls[0], 1);
    assert_int_equal(visited.calls[1], 2); // it was added again further on
    assert_int_equal(visited.calls[2], 1);
    assert_int_equal(visited.calls[3], 1);
    assert_null(nodes[2].link);
    assert_int_equal(nodes[1].deadline_tick, 300);
    assert_true(timer_wheel_is_valid(&wheel));
}

static void what_is_due_is_called_in_portions(void **state)
{
    (void)state;
    enum { DUE = 10 };
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct timer_node nodes[DUE + 1] = {0};
    for (int i = 0; i < DUE; i++)
        timer_wheel_add(&wheel, &nodes[i], (uint32_t)(1 + i % 3));
    timer_wheel_add(&wheel, &nodes[DUE], 4);
    assert_null(timer_wheel_take_due(&wheel));
    timer_wheel_turn(&wheel, 3);
    timer_wheel_remove(&nodes[0]); // it is due, and ends before its turn
    for (int i = 0; i < 4; i++) {
        struct timer_node *node = timer_wheel_take_due(&wheel);
        assert_true(node && node != &nodes[0] && node != &nodes[DUE] && !node->link);
    }
    assert_true(timer_wheel_is_valid(&wheel));
    timer_wheel_turn(&wheel, 4); // what was due before is not lost
    int left = 0;
    while (timer_wheel_take_due(&wheel))
        left++;
    assert_int_equal(left, DUE - 1 - 4 + 1);
    assert_null(timer_wheel_any(&wheel));
    timer_wheel_add(&wheel, &nodes[0], 5);
    timer_wheel_turn(&wheel, 5);
    assert_ptr_equal(timer_wheel_any(&wheel), &nodes[0]); // for emptying it
}

static void a_node_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct timer_node) <= 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_called_at_its_tick_and_not_before),
        cmocka_unit_test(a_deadline_beyond_one_turn_waits_for_its_turn),
        cmocka_unit_test(after_a_long_pause_all_that_is_due_is_called),
        cmocka_unit_test(a_removed_deadline_is_not_called),
        cmocka_unit_test(a_call_may_remove_another_that_is_due),
        cmocka_unit_test(a_call_may_add_its_node_again),
        cmocka_unit_test(a_past_deadline_is_called_at_the_next_tick),
        cmocka_unit_test(never_is_found_but_not_called),
        cmocka_unit_test(a_visit_is_of_each_node_and_may_move_or_remove_it),
        cmocka_unit_test(what_is_due_is_called_in_portions),
        cmocka_unit_test(a_node_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
