// SPDX-License-Identifier: Apache-2.0
// What an act costs the target: the figure, and when the readings are of more than these acts.
// tests/test_costs_census.c has what the census of connections says.
#include "tests/cost_part.h"

#include "loadgen/withheld.h"

#include <math.h>

static void test_a_cost_is_the_cpu_time_between_two_readings_over_the_acts(void **state)
{
    (void)state;
    struct run run = a_run();
    struct sample from = {.at_ns = 100, .connections = 10, .target_cpu_ns = 1000, .target_descriptors = 30};
    struct sample to = {.at_ns = 300, .connections = 60, .target_cpu_ns = 6000, .target_descriptors = 85};
    struct cost_part part = costs_between(&from, &to), sum = {0};
    assert_int_equal(part.took_ns, 200);
    assert_int_equal(part.more_descriptors, 5); // 55 more, 50 of them our clients'
    part.made = 50;
    assert_true(costs_each(&run, &part, &costs_of_connections) == 100);
    assert_int_equal(run.withheld, 0);
    costs_add(&sum, &part);
    costs_add(&sum, &part);
    assert_true(costs_each(&run, &sum, &costs_of_connections) == 100);
    from.target_cpu_ns = -1;
    part = costs_between(&from, &to);
    part.made = 50;
    assert_true(isnan(costs_each(&run, &part, &costs_of_connections)));
    costs_add(&sum, &part);
    assert_true(isnan(costs_each(&run, &sum, &costs_of_connections)));
}

static void test_more_than_one_that_failed_beside_twenty_is_in_the_cost(void **state)
{
    (void)state;
    struct run run = a_run();
    struct cost_part part = a_part();
    part.failed = 50;
    assert_faults(&run, &part, "");
    part.failed = 51;
    assert_faults(&run, &part, "failed_share");
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_string_equal(withheld_by(run.withheld, "cpu.per_arrival_ns"), "failed_share");
}

static void test_load_in_the_pauses_is_in_the_cost_when_it_is_a_twentieth(void **state)
{
    (void)state;
    struct run run = a_run();
    struct cost_part part = a_part();
    run.strangers.idle_share = 0.004; // a target at rest, whatever its part of so little
    part.cpu_ns = NS_PER_MS;
    assert_faults(&run, &part, "");
    run.strangers.idle_share = 0.02; // 40 ms in two seconds
    part.cpu_ns = 800 * NS_PER_MS;
    assert_faults(&run, &part, "");
    part.cpu_ns = 799 * NS_PER_MS;
    assert_faults(&run, &part, "target_busy");
    (void)costs_each(&run, &part, &costs_of_messages);
    assert_string_equal(withheld_by(run.withheld, "cpu.per_message_ns"), "target_busy");
    assert_null(withheld_by(run.withheld, "memory.per_connection_bytes"));
    assert_null(withheld_by(run.withheld, "cpu.throttled_ns"));
}

static void test_clients_of_others_are_in_the_cost_when_they_are_many(void **state)
{
    (void)state;
    struct run run = a_run();
    struct cost_part part = a_part();
    part.more_descriptors = 16; // one of a hundred would be 10
    assert_faults(&run, &part, "");
    part.more_descriptors = 17;
    assert_faults(&run, &part, "other_clients");
    part.made = 1700;
    assert_faults(&run, &part, "");
    run.strangers.most_more = 18; // they were more meanwhile, and left
    assert_faults(&run, &part, "other_clients");
    part.failed = 1000;
    assert_faults(&run, &part, "failed_share, other_clients");
    (void)costs_each(&run, &part, &costs_of_connections);
    assert_string_equal(withheld_by(run.withheld, "memory.per_connection_rss_bytes"), "failed_share");
    assert_null(withheld_by(run.withheld, "memory.full_bytes"));
}

static void test_messages_of_others_are_in_the_cost_when_they_are_one_of_twenty(void **state)
{
    (void)state;
    struct run run = a_run();
    struct cost_part part = a_part();
    part.foreign = part.made / 20;
    assert_faults(&run, &part, "");
    part.foreign++;
    assert_faults(&run, &part, "other_clients");
    (void)costs_each(&run, &part, &costs_of_messages);
    assert_string_equal(withheld_by(run.withheld, "cpu.per_message_ns"), "other_clients");
}

// A phase is judged by itself: another one had its anomaly before.
static void test_a_part_with_a_name_has_faults_of_its_own(void **state)
{
    (void)state;
    struct run run = a_run();
    struct cost_part part = a_part();
    part.failed = part.made; // its CPU time is a figure all the same
    struct cost_faults faults = costs_judge_part(&run, &part, "phase day");
    assert_false(faults.busy || faults.others);
    assert_int_equal(run.withheld, 0);
    part.foreign = part.made;
    faults = costs_judge_part(&run, &part, "phase day");
    assert_true(faults.others && !faults.busy);
    assert_true(run.withheld & withheld_bit("other_clients"));
    part.foreign = 0;
    run.strangers.idle_share = 0.5;
    faults = costs_judge_part(&run, &part, "phase night");
    assert_true(faults.busy && !faults.others);
    part.unheard = 1;
    faults = costs_judge_part(&run, &part, "phase morning");
    assert_true(faults.busy && faults.others);
    static const struct config attacked = {.quiet = true, .beside = "an attack"};
    run.config = &attacked;
    faults = costs_judge_part(&run, &part, "phase morning");
    assert_false(faults.busy || faults.others);
}

static void test_a_load_on_purpose_is_no_stranger_and_withholds_the_cost(void **state)
{
    (void)state;
    static const struct config attacked = {.quiet = true, .beside = "an attack"};
    struct run run = a_run();
    run.config = &attacked;
    run.strangers.idle_share = 0.5;
    run.strangers.most_more = 5000;
    struct cost_part part = a_part();
    part.opened = part.unattributed = part.foreign = part.made;
    assert_faults(&run, &part, "beside");
    part.failed = part.made;
    assert_faults(&run, &part, "failed_share, beside");
    (void)costs_each(&run, &part, &costs_of_messages);
    assert_int_equal(run.withheld,
                     withheld_bit("failed_share")); // beside is raised once, when the run begins
    assert_false(run.strangers.told);
    assert_string_equal(withheld_by(withheld_bit("beside"), "cpu.per_message_ns"), "beside");
    assert_null(withheld_by(withheld_bit("beside"), "memory.full_bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cost_is_the_cpu_time_between_two_readings_over_the_acts),
        cmocka_unit_test(test_more_than_one_that_failed_beside_twenty_is_in_the_cost),
        cmocka_unit_test(test_load_in_the_pauses_is_in_the_cost_when_it_is_a_twentieth),
        cmocka_unit_test(test_clients_of_others_are_in_the_cost_when_they_are_many),
        cmocka_unit_test(test_messages_of_others_are_in_the_cost_when_they_are_one_of_twenty),
        cmocka_unit_test(test_a_part_with_a_name_has_faults_of_its_own),
        cmocka_unit_test(test_a_load_on_purpose_is_no_stranger_and_withholds_the_cost),
    };
    return cmocka_run_group_tests_name("costs", tests, NULL, NULL);
}
