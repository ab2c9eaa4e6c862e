// SPDX-License-Identifier: Apache-2.0
// What schedules have due in a time: whole seconds, the first and the last of a schedule, shapes, and no rate at all.
#include "loadgen/asked.h"

#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t AT = 1700 * NS_PER_MS;

static struct fleet_order publishing(void)
{
    return (struct fleet_order){
        .act = FLEET_PUBLISH, .at_ns = AT, .rate_per_s = 1000, .duration_ns = 2 * NS_PER_S};
}

static struct asked_now take(struct asked *asked, enum asked_kind kind, int64_t since_ns, int64_t now_ns)
{
    struct asked_now of[ASKED_KINDS];
    asked_take(asked, since_ns, now_ns, of);
    for (int i = 0; i < ASKED_KINDS; i++)
        if (i != (int)kind)
            assert_true(!of[i].under_way && of[i].per_s == 0);
    return of[kind];
}

static void a_second_in_part_is_asked_for_in_part(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct fleet_order order = publishing();
    asked_begin(&asked, &order);
    struct asked_now first = take(&asked, ASKED_MESSAGES, NS_PER_S, 2 * NS_PER_S);
    assert_true(first.under_way && fabs(first.per_s - 300) < 0.01);
    // A whole one is the number that was given, whatever its length.
    assert_true(take(&asked, ASKED_MESSAGES, 2 * NS_PER_S, 3033333333).per_s == 1000);
    assert_false(asked_has_ended(&asked));
    asked_end(&asked, 3033333333, 3900 * NS_PER_MS); // its schedule was over after 3.7 s
    assert_true(asked_has_ended(&asked));
    struct asked_now last = take(&asked, ASKED_MESSAGES, 3033333333, 4033333333);
    assert_true(last.under_way && fabs(last.per_s - 666.667) < 0.01);
    struct asked_now none = take(&asked, ASKED_MESSAGES, 4 * NS_PER_S, 5 * NS_PER_S);
    assert_true(!none.under_way && none.per_s == 0 && !asked_has_ended(&asked));
}

static void a_drain_asks_for_nothing_and_is_under_way(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct fleet_order order = publishing();
    asked_begin(&asked, &order);
    struct asked_now drain = take(&asked, ASKED_MESSAGES, 4 * NS_PER_S, 5 * NS_PER_S);
    assert_true(drain.under_way && drain.per_s == 0);
}

// Clients that are away come back later than their turn.
static void arrivals_are_due_when_clients_are_to_be_back(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct fleet_order order = publishing();
    order.act = FLEET_ARRIVE;
    order.arrivals = FLEET_ARRIVALS_TURNS;
    order.away_ns = NS_PER_S;
    asked_begin(&asked, &order);
    assert_true(take(&asked, ASKED_ARRIVALS, NS_PER_S, 2 * NS_PER_S).per_s == 0);
    assert_true(fabs(take(&asked, ASKED_ARRIVALS, 2 * NS_PER_S, 3 * NS_PER_S).per_s - 300) < 0.01);
}

static void so_many_acts_end_when_the_last_had_its_turn(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct fleet_order order = {
        .act = FLEET_SUBSCRIBE, .rate_per_s = 100, .goal = 5, .filters = 10, .removes = true};
    asked_begin(&asked, &order); // 50 in half a second
    assert_true(fabs(take(&asked, ASKED_UNSUBSCRIBES, 0, NS_PER_S).per_s - 50) < 0.01);
    assert_true(take(&asked, ASKED_UNSUBSCRIBES, NS_PER_S, 2 * NS_PER_S).per_s == 0);
}

// The second order of a ramp goes on where the first has ended.
static void a_shape_goes_on_in_the_next_order(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct schedule_shape shape = {.kind = SCHEDULE_RAMP, .over_ns = 10 * NS_PER_S, .first = 50};
    struct fleet_order order = {
        .act = FLEET_CONNECT, .rate_per_s = 1000, .before = 50, .goal = 5000, .shape = shape};
    asked_begin(&asked, &order); // 50 acts were due in its first second; in its second there are 150
    assert_true(fabs(take(&asked, ASKED_CONNECTS, 0, NS_PER_S).per_s - 150) < 0.01);
}

static void without_a_rate_nothing_is_asked_for(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct fleet_order paced = publishing(), free_one = publishing(), close = {.act = FLEET_CLOSE};
    free_one.rate_per_s = 0;
    asked_begin(&asked, &close);
    assert_int_equal(asked.count, 0);
    asked_begin(&asked, &paced);
    asked_begin(&asked, &free_one);
    struct asked_now both = take(&asked, ASKED_MESSAGES, 2 * NS_PER_S, 3 * NS_PER_S);
    assert_true(both.under_way && both.per_s == 0);
    asked_end(&asked, 3 * NS_PER_S, 3100 * NS_PER_MS);
    both = take(&asked, ASKED_MESSAGES, 3 * NS_PER_S, 4 * NS_PER_S);
    assert_true(both.under_way && both.per_s == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_in_part_is_asked_for_in_part),
        cmocka_unit_test(a_drain_asks_for_nothing_and_is_under_way),
        cmocka_unit_test(arrivals_are_due_when_clients_are_to_be_back),
        cmocka_unit_test(so_many_acts_end_when_the_last_had_its_turn),
        cmocka_unit_test(a_shape_goes_on_in_the_next_order),
        cmocka_unit_test(without_a_rate_nothing_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
