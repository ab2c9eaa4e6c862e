// SPDX-License-Identifier: Apache-2.0
// The budget of a turn: who is served when the work is more than fits, by counts and without a clock.
#include "broker/net/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { TRANSPORTS = 200 };

struct fixture {
    struct turn turn;
    struct transport transports[TRANSPORTS];
    int served[TRANSPORTS]; // order in which they were served; 0: not
    int count;
    uint32_t work;        // that each uses
    int left[TRANSPORTS]; // how often it is deferred again
};

static struct fixture *now; // turn_run_deferred has no context

static int set_up(void **state)
{
    const char *failed;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_int_equal(turn_open(&fixture->turn, &failed), 0);
    for (int i = 0; i < TRANSPORTS; i++)
        fixture->transports[i].turn = &fixture->turn;
    *state = now = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    turn_close(&fixture->turn);
    free(fixture);
    return 0;
}

static void serve(struct transport *transport)
{
    size_t at = (size_t)(transport - now->transports);
    assert_false(transport->is_deferred);
    now->served[at] = ++now->count;
    now->turn.work += now->work;
    if (now->left[at]-- > 0)
        assert_true(turn_defer(transport));
}

static void defer_all(struct fixture *fixture)
{
    for (int i = 0; i < TRANSPORTS; i++)
        assert_true(turn_defer(&fixture->transports[i]));
}

static void run(struct fixture *fixture, uint32_t budget)
{
    fixture->turn.work = 0;
    turn_begin_part(&fixture->turn, budget);
    turn_run_deferred(&fixture->turn, serve);
}

static void deferred_ones_are_served_in_their_order_until_the_part_is_over(void **state)
{
    struct fixture *fixture = *state;
    fixture->work = 100;
    defer_all(fixture);
    for (int turn = 1; turn <= TRANSPORTS / 10; turn++) {
        run(fixture, 1000);
        assert_int_equal(fixture->turn.work, 1000);
        assert_int_equal(fixture->count, 10 * turn);
    }
    for (int i = 0; i < TRANSPORTS; i++)
        assert_int_equal(fixture->served[i], i + 1);
    assert_int_equal(turn_deferred(&fixture->turn), 0);
}

// Each has work for ten turns. Nobody gets a second share before all had their first.
static void who_is_deferred_again_waits_behind_all_others(void **state)
{
    struct fixture *fixture = *state;
    fixture->work = 100;
    for (int i = 0; i < TRANSPORTS; i++)
        fixture->left[i] = 9;
    defer_all(fixture);
    for (int turn = 1; turn_deferred(&fixture->turn) > 0; turn++) {
        int before = fixture->count;
        run(fixture, 700);
        assert_in_range(fixture->count - before, 1, 7);
        for (int i = 1; i < TRANSPORTS; i++)
            assert_in_range(fixture->left[i] - fixture->left[i - 1] + 1, 0, 2);
    }
    assert_int_equal(fixture->count, 10 * TRANSPORTS);
}

static void one_at_least_is_served_however_much_it_does(void **state)
{
    struct fixture *fixture = *state;
    fixture->work = 1000000;
    defer_all(fixture);
    run(fixture, 10);
    assert_int_equal(fixture->count, 1);
    run(fixture, 10);
    assert_int_equal(fixture->count, 2);
}

static void who_is_forgotten_is_not_served(void **state)
{
    struct fixture *fixture = *state;
    defer_all(fixture);
    for (int i = 0; i < TRANSPORTS; i += 2)
        turn_forget_deferred(&fixture->transports[i]);
    run(fixture, 1000);
    for (int i = 0; i < TRANSPORTS; i++)
        assert_int_equal(fixture->served[i], i % 2 ? i / 2 + 1 : 0);
}

static void a_share_is_the_rest_of_the_part_divided_by_those_who_want_some(void **state)
{
    struct fixture *fixture = *state;
    struct turn *turn = &fixture->turn;
    turn->work = 500;
    turn_begin_part(turn, 40000);
    turn_begin_share(turn, 4);
    turn->work += 9999;
    assert_false(turn_is_busy(turn));
    turn->work++;
    assert_true(turn_is_busy(turn));
    assert_false(turn_part_is_over(turn));
    turn_begin_share(turn, 1);
    turn->work += 29999;
    assert_false(turn_is_busy(turn));
    turn->work++;
    assert_true(turn_is_busy(turn) && turn_part_is_over(turn));
    turn_begin_share(turn, 1000); // past the end there is the smallest share
    turn->work += TURN_SHARE_MIN - 1;
    assert_false(turn_is_busy(turn));
    turn->work++;
    assert_true(turn_is_busy(turn));
    turn->is_urgent = true;
    assert_false(turn_is_busy(turn));
}

static void what_a_share_sends_is_bulk_past_a_little_work_and_always_of_who_used_much_before(void **state)
{
    struct fixture *fixture = *state;
    struct turn *turn = &fixture->turn;
    turn->work = 700;
    turn_begin_part(turn, 40000);
    turn->work += TURN_LIGHT - 1;
    assert_false(turn_is_bulk(turn));
    turn->work++;
    assert_true(turn_is_bulk(turn));
    turn_begin_share(turn, 4); // the next one's
    assert_false(turn_is_bulk(turn));
    turn->is_bulk = true;
    assert_true(turn_is_bulk(turn));
}

static void who_used_much_is_heavy_until_it_uses_little(void **state)
{
    struct fixture *fixture = *state;
    struct transport *transport = &fixture->transports[0];
    turn_weigh(transport, TURN_HEAVY - 1);
    assert_false(transport_is_heavy(transport));
    turn_weigh(transport, TURN_HEAVY);
    assert_true(transport_is_heavy(transport));
    turn_weigh(transport, TURN_LIGHT);
    assert_true(transport_is_heavy(transport));
    assert_true(turn_defer(transport));
    turn_weigh(transport, 1); // it has more to do
    assert_true(transport_is_heavy(transport));
    turn_forget_deferred(transport);
    turn_weigh(transport, TURN_LIGHT - 1);
    assert_false(transport_is_heavy(transport));
    assert_int_equal(transport->source & SOURCE_MASK, SOURCE_TRANSPORT);
}

static void what_is_late_is_behind_what_was_late_before(void **state)
{
    struct fixture *fixture = *state;
    struct turn *turn = &fixture->turn;
    struct transport *transports = fixture->transports;
    turn_make_late(turn); // nothing
    for (int i = 0; i < 6; i++) {
        turn_add_pending(&transports[i]);
        turn_add_pending(&transports[i]); // once
        if (i % 2)
            turn_make_late(turn);
    }
    turn_add_pending(&transports[6]);
    assert_int_equal(turn_unsettled(turn), 7);
    turn_remove_pending(&transports[5]); // the last
    turn_remove_pending(&transports[2]);
    turn_remove_pending(&transports[6]);
    assert_null(turn_take_pending(turn));
    static const int order[] = {0, 1, 3, 4};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        assert_ptr_equal(turn_take_late(turn), &transports[order[i]]);
    assert_null(turn_take_late(turn));
    turn_add_pending(&transports[5]);
    assert_ptr_equal(turn_take_pending(turn), &transports[5]);
    assert_int_equal(turn_unsettled(turn), 0);
}

static void an_event_of_a_closed_transport_names_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct turn *turn = &fixture->turn;
    for (int i = 0; i < 4; i++)
        turn->events[i].data.ptr = &fixture->transports[i / 2];
    turn->event_at = 1;
    turn->event_count = 4;
    turn_forget_events(&fixture->transports[0]);
    assert_non_null(turn->events[0].data.ptr); // it was served
    assert_null(turn->events[1].data.ptr);
    assert_ptr_equal(turn->events[2].data.ptr, &fixture->transports[1]);
    assert_ptr_equal(turn->events[3].data.ptr, &fixture->transports[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deferred_ones_are_served_in_their_order_until_the_part_is_over),
        TEST(who_is_deferred_again_waits_behind_all_others),
        TEST(one_at_least_is_served_however_much_it_does),
        TEST(who_is_forgotten_is_not_served),
        TEST(a_share_is_the_rest_of_the_part_divided_by_those_who_want_some),
        TEST(what_a_share_sends_is_bulk_past_a_little_work_and_always_of_who_used_much_before),
        TEST(who_used_much_is_heavy_until_it_uses_little),
        TEST(what_is_late_is_behind_what_was_late_before),
        TEST(an_event_of_a_closed_transport_names_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
