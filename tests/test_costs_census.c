// SPDX-License-Identifier: Apache-2.0
// What the census of connections (loadgen/census.h) says of a cost: connections, bytes and resets of others.
#include "tests/cost_part.h"

#include "loadgen/withheld.h"
#include "tests/temp_dir.h"

#include <stdlib.h>
#include <string.h>

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
        cmocka_unit_test(test_bytes_of_others_are_in_the_cost_when_they_are_one_of_twenty),
        cmocka_unit_test(test_connections_at_other_ports_are_not_the_targets),
        cmocka_unit_test(test_resets_that_were_heard_are_the_targets_where_they_ended_there),
        cmocka_unit_test(test_few_that_were_reset_unheard_are_told_as_not_known),
        cmocka_unit_test(test_the_ends_of_connections_of_others_are_in_the_cost_when_they_are_many),
        cmocka_unit_test(test_without_a_list_descriptors_tell_who_has_gone),
        cmocka_unit_test(test_one_of_which_nobody_heard_what_it_carried_takes_the_cost),
        cmocka_unit_test(test_few_that_came_and_ended_unheard_are_told_and_take_no_figure),
        cmocka_unit_test(test_descriptors_are_no_clients_where_the_list_of_sockets_tells),
        cmocka_unit_test(test_the_sentence_says_to_the_target_only_of_those_that_were),
        cmocka_unit_test(test_connections_of_others_that_left_again_are_in_the_cost),
        cmocka_unit_test(test_connections_of_others_are_not_hidden_by_clients_that_come_back),
    };
    return cmocka_run_group_tests_name("costs_census", tests, NULL, NULL);
}
