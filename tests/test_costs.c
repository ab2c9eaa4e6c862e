// SPDX-License-Identifier: Apache-2.0
// What an act costs the target: the figure, and when the readings are of more than these acts.
#include "loadgen/costs.h"

#include "base/clock.h"
#include "loadgen/withheld.h"
#include "tests/temp_dir.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct config quiet = {.quiet = true};

static struct run a_run(void)
{
    struct run run = {.config = &quiet};
    strangers_init(&run.strangers);
    return run;
}

// 1000 acts in two seconds, of 50 us each.
static struct cost_part a_part(void)
{
    return (struct cost_part){
        .cpu_ns = 50 * NS_PER_MS, .took_ns = 2 * NS_PER_S, .made = 1000, .more_descriptors = 0};
}

static void assert_faults(const struct run *run, const struct cost_part *part, const char *expected)
{
    char text[64];
    assert_string_equal(costs_faults(run, part, text), expected);
}

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

// From a reading to another, of the census.
static struct cost_part a_part_of(struct census_reading from, struct census_reading to)
{
    struct sample first = {.census = from}, last = {.at_ns = NS_PER_S, .census = to};
    struct cost_part part = costs_between(&first, &last);
    part.made = 1000;
    return part;
}

static void test_connections_of_others_that_left_again_are_in_the_cost(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .begun = 100, .at_target = 90, .own_bytes = -1};
    struct census_reading to = {.opened = 6016, .begun = 1100, .at_target = 1106, .own_bytes = -1};
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.opened, 16);
    assert_faults(&run, &part, "");
    to.at_target++;
    part = a_part_of(from, to);
    assert_faults(&run, &part, "other_clients");
    part.made = 1700; // one of a hundred
    assert_faults(&run, &part, "");
    from.opened = -1; // one of the two readings has none
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 0);
}

// Of 1000 clients that came back from the ports that they had, none is new in the list.
static void test_connections_of_others_are_not_hidden_by_clients_that_come_back(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .begun = 1000, .at_target = 1000, .own_bytes = -1};
    struct census_reading to = {
        .opened = 6300, .begun = 2000, .at_target = 1300, .strange = 300, .own_bytes = -1};
    to.elsewhere = 50;
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.opened, 300);
    assert_faults(&run, &part, "other_clients");
    to.passed = 290; // of ours: they passed over a port that was taken
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 10);
    assert_faults(&run, &part, "");
    to.passed = 0;
    to.strange = -1; // the kernel chose the ports
    part = a_part_of(from, to);
    assert_int_equal(part.opened, -700);
}

static void test_connections_at_other_ports_are_not_the_targets(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000}, to = {.opened = 8000, .begun = 1000, .at_target = 1000};
    to.elsewhere = 2000;
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.unattributed, 0);
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_false(run.strangers.told);
    from.listed = to.listed = true;
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 0);
    to.elsewhere = 0; // nothing at other ports: all count as the target's
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 0); // none is known to be
    assert_int_equal(part.untraced, 2000);
    assert_faults(&run, &part, "other_clients");
    to.at_target = 1500; // of 500 it is known
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 500);
    assert_int_equal(part.untraced, 1500);
    assert_int_equal(part.unattributed, 0);
    to.at_target = 1000;
    to.opened = 5000 + 1250; // a quarter of ours: of any program
    part = a_part_of(from, to);
    assert_int_equal(part.untraced, 0);
    to.opened = 8000;
    to.elsewhere = 1900; // of a hundred nobody knows whose they were: that is told, and the figure stays
    part = a_part_of(from, to);
    assert_faults(&run, &part, "");
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_true(run.strangers.told);
    assert_int_equal(run.withheld, 0);
}

static void test_resets_that_were_heard_are_the_targets_where_they_ended_there(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .listed = true, .parts = 1}, to = from;
    to.opened = 8000; // 3000 came, and left no trace
    to.parts = to.heard = 2;
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.untraced, 3000); // the first part was not heard
    from.heard = 1;
    part = a_part_of(from, to);
    assert_int_equal(part.opened + part.untraced + part.unattributed, 0); // none ended at the target
    assert_faults(&run, &part, "");
    (void)costs_each(&run, &part, &costs_of_messages);
    assert_false(run.strangers.told);
    to.went = 40;
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 40);
    assert_int_equal(part.untraced, 0);
    assert_faults(&run, &part, "other_clients");
    to.at_target = 30; // some of these are in the list
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 40);
    to.opened = 5010; // of the ends that were heard some are of connections that had come before
    to.at_target = 0;
    part = a_part_of(from, to);
    assert_int_equal(part.opened, 10);
}

// One that was reset may have published much, to the target or to another program.
static void test_few_that_were_reset_unheard_are_told_as_not_known(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .listed = true, .parts = 1, .heard = 1}, to = from;
    to.parts = 2;
    to.deaf = "the kernel was silent";
    to.opened = 5003;
    to.elsewhere = to.outside = 1;
    struct cost_part part = a_part_of(from, to), sum = {0};
    assert_int_equal(part.unheard_resets, 1);
    assert_ptr_equal(part.deaf, to.deaf);
    assert_faults(&run, &part, "");
    (void)costs_each(&run, &part, &costs_of_messages);
    assert_true(run.strangers.told && run.withheld == 0);
    assert_string_equal(withheld_part_by(&run.doubted, "cpu.per_message_ns"), "other_connections");
    to.outside = 2; // all have a trace
    assert_int_equal(a_part_of(from, to).unheard_resets, 0);
    to.outside = 1;
    to.heard = 2; // none ended at the target
    assert_int_equal(a_part_of(from, to).unheard_resets, 0);
    from.opened = to.opened = -1; // nothing counts them, but they were heard
    assert_false(a_part_of(from, to).resets_unknown);
    to.heard = 1;
    part = a_part_of(from, to);
    costs_add(&sum, &part);
    assert_true(sum.resets_unknown);
}

static void test_the_ends_of_connections_of_others_are_in_the_cost_when_they_are_many(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .parts = 1, .heard = 1}, to = from;
    to.parts = to.heard = 2;
    to.left = 16; // monitors
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.left, 16);
    assert_faults(&run, &part, "");
    to.left++;
    part = a_part_of(from, to);
    assert_faults(&run, &part, "other_clients");
    part.made = 1700; // one of a hundred
    assert_faults(&run, &part, "");
    struct cost_part sum = {0};
    costs_add(&sum, &part);
    costs_add(&sum, &part);
    assert_int_equal(sum.left, 34);
}

// Where the list is too long, the target's descriptors tell: but not where clients of ours may be closed late.
static void test_without_a_list_descriptors_tell_who_has_gone(void **state)
{
    (void)state;
    struct sample from = {
        .connections = 0, .target_descriptors = 2000, .census = {.opened = 9, .own_bytes = -1}};
    struct sample to = {
        .connections = 100, .target_descriptors = 600, .census = {.opened = 9, .own_bytes = -1}};
    assert_int_equal(costs_between(&from, &to).left, 1500);
    from.census.own_bytes = to.census.own_bytes = 0;
    assert_int_equal(costs_between(&from, &to).left, 0);
    from.census.own_bytes = -1;
    from.census.ended = 1;
    assert_int_equal(costs_between(&from, &to).left, 0);
    to.target_descriptors = 2100;
    from.census.ended = 0;
    assert_int_equal(costs_between(&from, &to).left, 0);
    to.target_descriptors = 600;
    from.census.opened = -1; // there is no census: the clients of other hosts may be at other targets
    assert_int_equal(costs_between(&from, &to).left, 0);
}

static void test_one_of_which_nobody_heard_what_it_carried_takes_the_cost(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .parts = 1, .heard = 1}, to = from;
    to.parts = 2;
    to.left = to.unheard = 1;
    struct cost_part part = a_part_of(from, to);
    assert_faults(&run, &part, "other_clients");
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_string_equal(withheld_by(run.withheld, "memory.peak_bytes"), "other_clients");
}

static void test_few_that_came_and_ended_unheard_are_told_and_take_no_figure(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.opened = 5000, .parts = 1, .heard = 1}, to = from;
    to.opened = 5003;
    to.at_target = 3;
    to.came = 1; // one of them stays
    to.parts = to.heard = 2;
    struct cost_part part = a_part_of(from, to);
    assert_int_equal(part.passing, 0); // they were heard
    to.heard = 1;
    part = a_part_of(from, to);
    assert_int_equal(part.passing, 2);
    assert_faults(&run, &part, "");
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_true(run.passing_told);
    assert_int_equal(run.withheld, 0);
    assert_string_equal(withheld_part_by(&run.doubted, "cpu.per_arrival_ns"), "other_connections");
    assert_string_equal(withheld_part_by(&run.doubted, "memory.after_bytes"), "other_connections");
    assert_null(withheld_part_by(&run.doubted, "arrivals.rate"));
    to.own_bytes = -1; // the list is not known
    part = a_part_of(from, to);
    assert_int_equal(part.passing, 0);
}

// A relay has two descriptors for a client.
static void test_descriptors_are_no_clients_where_the_list_of_sockets_tells(void **state)
{
    (void)state;
    struct run run = a_run();
    struct sample from = {.connections = 0, .target_descriptors = 10, .census = {.opened = 9}};
    struct sample to = {.at_ns = NS_PER_S, .connections = 40, .target_descriptors = 90};
    to.census = (struct census_reading){.opened = 49, .begun = 40, .at_target = 40};
    costs_judge_memory(&run, &from, &to, 40);
    assert_int_equal(run.withheld, 0);
    to.census.at_target = 60; // twenty of others
    to.census.opened = 69;
    costs_judge_memory(&run, &from, &to, 40);
    assert_true(run.withheld & withheld_bit("other_clients"));
    run = a_run();
    to.census.opened = -1; // no census: only descriptors are known
    costs_judge_memory(&run, &from, &to, 40);
    assert_true(run.withheld & withheld_bit("other_clients"));
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

// In a run of its own: an anomaly of each kind is told once.
static void assert_told(struct census_reading from, struct census_reading to, const char *expected)
{
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE], argument[] = "poolmark-loadgen";
    char *argv[] = {argument, NULL};
    struct err err = {0};
    struct run run = a_run();
    temp_dir_make(dir);
    if (record_open(&run.record, temp_dir_file(dir, "run", file), "load", 1, argv, &err) < 0)
        fail_msg("%s", err.text);
    struct cost_part part = a_part_of(from, to);
    (void)costs_each(&run, &part, &costs_of_arrivals);
    assert_true(run.withheld & withheld_bit("other_clients"));
    assert_int_equal(record_close(run.record, "complete", &err), 0);
    char *text = temp_file_read(temp_dir_file(dir, "run/run.json", file));
    assert_non_null(text);
    if (!strstr(text, expected))
        fail_msg("the record does not say \"%s\": %s", expected, text);
    free(text);
    temp_dir_remove(dir);
}

// Only those that the list shows at the target's ports are said to be the target's.
static void test_the_sentence_says_to_the_target_only_of_those_that_were(void **state)
{
    (void)state;
    struct census_reading from = {.opened = 5000, .listed = true};
    struct census_reading to = {.opened = 9000, .begun = 1000, .at_target = 1500, .listed = true};
    assert_told(from, to, "500 connections to the target were made meanwhile");
    to.at_target = 1010;
    assert_told(from, to,
                "3000 connections were taken meanwhile in the target's network namespace. 2990 of them left "
                "no trace");
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

static void test_bytes_of_others_are_in_the_cost_when_they_are_one_of_twenty(void **state)
{
    (void)state;
    struct run run = a_run();
    struct census_reading from = {.own_bytes = 1000}, to = {.own_bytes = 1001000, .strange_bytes = 65536};
    struct cost_part part = a_part_of(from, to); // as a monitor's
    assert_faults(&run, &part, "");
    to.strange_bytes++;
    part = a_part_of(from, to);
    assert_faults(&run, &part, "other_clients");
    to.own_bytes = 2000000;
    part = a_part_of(from, to);
    assert_faults(&run, &part, "");
    to.own_bytes = 500; // clients that came back to kept sessions have not subscribed again
    assert_int_equal(a_part_of(from, to).own_bytes, 0);
    to.own_bytes = -1; // not read
    part = a_part_of(from, to);
    assert_int_equal(part.own_bytes, -1);
    assert_faults(&run, &part, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cost_is_the_cpu_time_between_two_readings_over_the_acts),
        cmocka_unit_test(test_more_than_one_that_failed_beside_twenty_is_in_the_cost),
        cmocka_unit_test(test_load_in_the_pauses_is_in_the_cost_when_it_is_a_twentieth),
        cmocka_unit_test(test_clients_of_others_are_in_the_cost_when_they_are_many),
        cmocka_unit_test(test_messages_of_others_are_in_the_cost_when_they_are_one_of_twenty),
        cmocka_unit_test(test_bytes_of_others_are_in_the_cost_when_they_are_one_of_twenty),
        cmocka_unit_test(test_connections_at_other_ports_are_not_the_targets),
        cmocka_unit_test(test_resets_that_were_heard_are_the_targets_where_they_ended_there),
        cmocka_unit_test(test_few_that_were_reset_unheard_are_told_as_not_known),
        cmocka_unit_test(test_the_ends_of_connections_of_others_are_in_the_cost_when_they_are_many),
        cmocka_unit_test(test_without_a_list_descriptors_tell_who_has_gone),
        cmocka_unit_test(test_one_of_which_nobody_heard_what_it_carried_takes_the_cost),
        cmocka_unit_test(test_few_that_came_and_ended_unheard_are_told_and_take_no_figure),
        cmocka_unit_test(test_descriptors_are_no_clients_where_the_list_of_sockets_tells),
        cmocka_unit_test(test_a_part_with_a_name_has_faults_of_its_own),
        cmocka_unit_test(test_the_sentence_says_to_the_target_only_of_those_that_were),
        cmocka_unit_test(test_a_load_on_purpose_is_no_stranger_and_withholds_the_cost),
        cmocka_unit_test(test_connections_of_others_that_left_again_are_in_the_cost),
        cmocka_unit_test(test_connections_of_others_are_not_hidden_by_clients_that_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
