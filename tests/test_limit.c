// SPDX-License-Identifier: Apache-2.0
#include "loadgen/cpu_idle.h"
#include "loadgen/limit.h"
#include "loadgen/tally.h"
#include "loadgen/thread_load.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(struct limit_facts facts, enum limit_by by, const char *word)
{
    struct limit limit;
    limit_judge(&limit, &facts);
    assert_string_equal(limit_name(limit.by), limit_name(by));
    assert_non_null(strstr(limit.why, word));
}

static void test_with_a_rate_the_limit_is_whoever_did_not_keep_it(void **state)
{
    (void)state;
    enum { LATE_NS = 5 * 1000000 };
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 999, .ran = 0.99}, LIMIT_NONE, "kept");
    // All arrived, and a worker was late to read it.
    check(
        (struct limit_facts){
            .asked_per_s = 1000, .had_per_s = 999, .ran = 0.1, .waited = 0.3, .late_receiver = true},
        LIMIT_HOST, "no CPU for 30 %");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 700, .ran = 0.5}, LIMIT_TARGET,
          "700 of 1000");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 700, .not_sent = 300, .ran = 0.5},
          LIMIT_UNKNOWN, "300 messages were due and not sent");
    // A rate that was had has no limit: that acts were late is an anomaly.
    check((struct limit_facts){.asked_per_s = 2000, .had_per_s = 2000, .lag_p99_ns = LATE_NS, .ran = 0.07},
          LIMIT_NONE, "the rate was kept");
    check(
        (struct limit_facts){
            .asked_per_s = 2000, .had_per_s = 1999, .lag_p99_ns = LATE_NS, .ran = 0.97, .stalled = 0.3},
        LIMIT_NONE, "the rate was kept");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 900, .lag_p99_ns = LATE_NS, .ran = 0.97},
          LIMIT_GENERATOR, "97 %");
    check(
        (struct limit_facts){
            .asked_per_s = 1000, .had_per_s = 900, .lag_p99_ns = LATE_NS, .ran = 0.07, .stalled = 0.03},
        LIMIT_GENERATOR, "was late; one was kept from running for 3 %");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 700, .lag_p99_ns = LATE_NS, .ran = 0.2},
          LIMIT_GENERATOR, "late all the same");
    check(
        (struct limit_facts){
            .asked_per_s = 1000, .had_per_s = 700, .lag_p99_ns = LATE_NS, .ran = 0.5, .waited = 0.3},
        LIMIT_HOST, "30 %");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 700, .lag_p99_ns = LATE_NS}, LIMIT_UNKNOWN,
          "kernel");
}

static void test_without_a_rate_the_limit_is_the_target_when_the_generator_waits_for_it(void **state)
{
    (void)state;
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.95}, LIMIT_GENERATOR, "95 %");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.6, .waited = 0.39}, LIMIT_HOST, "39 %");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.6, .waited = 0.05}, LIMIT_TARGET, "60 %");
    check((struct limit_facts){.had_per_s = 1e6}, LIMIT_UNKNOWN, "kernel");
}

// A worker that waits for a CPU while none is idle shares its host with the target; a target that runs all the time is the limit.
static void test_where_no_cpu_is_idle_the_host_is_the_limit(void **state)
{
    (void)state;
    struct limit_facts facts = {
        .had_per_s = 1e6, .ran = 0.4, .waited = 0.42, .target_ran = 0.6, .idle = 0.01};
    check(facts, LIMIT_HOST, "no CPU was idle (1 % of their time)");
    facts.idle = 0.3;
    check(facts, LIMIT_TARGET, "42 %");
    facts.idle = -1;
    check(facts, LIMIT_TARGET, "42 %");
    facts.idle = 0;
    facts.target_ran = 0.98;
    check(facts, LIMIT_TARGET, "42 %");
    facts.target_ran = 0.6;
    facts.waited = 0.02;
    check(facts, LIMIT_TARGET, "2 %");
}

static int is_first_two(const void *context, int cpu)
{
    (void)context;
    return cpu < 2;
}

static void test_only_cpus_that_it_may_use_are_idle(void **state)
{
    (void)state;
    struct cpu_idle from, to;
    cpu_idle_parse(&from,
                   "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 0 0 100 0 0 0 0 0 0\ncpu1 10 0 0 100 0 0 0 0 0 0\n",
                   is_first_two, NULL);
    cpu_idle_parse(&to,
                   "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 80 0 0 120 10 0 0 0 0 0\ncpu1 60 0 50 100 0 0 0 0 0 0\n"
                   "cpu2 0 0 0 9999 0 0 0 0 0 0\nintr 5\n",
                   is_first_two, NULL);
    assert_float_equal(cpu_idle_between(&from, &to), 30.0 / 200, 1e-9);
    assert_true(cpu_idle_between(&to, &to) < 0);
    struct cpu_idle none = {0, 0};
    assert_true(cpu_idle_between(&none, &to) < 0);
    cpu_idle_read(&to);
    assert_true(to.all > 0 && to.idle >= 0 && to.idle <= to.all);
}

// What a worker does not read in time is lost at the target, though nothing is sent late.
static void test_a_worker_that_cannot_receive_is_the_limit(void **state)
{
    (void)state;
    struct limit_facts facts = {.asked_per_s = 1200, .had_per_s = 1000, .ran = 0.97};
    check(facts, LIMIT_GENERATOR, "a worker ran for 97 % of the time");
    facts.ran = 0.4;
    check(facts, LIMIT_TARGET, "1000 of 1200");
    facts.waited = 0.3;
    check(facts, LIMIT_HOST, "30 %");
    facts.waited = 0.05;
    facts.stalled = 0.3;
    check(facts, LIMIT_GENERATOR, "kept from running");
    facts.stalled = 0;
    facts.unread = 0.5;
    check(facts, LIMIT_GENERATOR, "50 % of the missing messages");
    facts.had_per_s = 1200;
    check(facts, LIMIT_NONE, "kept");
}

static void test_what_is_not_known_has_its_reason(void **state)
{
    (void)state;
    check((struct limit_facts){.had_per_s = 1e6, .brief = true}, LIMIT_UNKNOWN, "too short to tell");
    check((struct limit_facts){.asked_per_s = 0.1, .none_due = true, .ran = 0.1}, LIMIT_UNKNOWN,
          "no message was due");
}

// A target that waits for a CPU is not what was measured.
static void test_a_target_without_a_cpu_is_not_the_limit(void **state)
{
    (void)state;
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.02, .target_ran = 0.04, .target_waited = 0.9},
          LIMIT_HOST, "had no CPU for 90 %");
    check(
        (struct limit_facts){
            .asked_per_s = 1000, .had_per_s = 700, .ran = 0.5, .target_ran = 0.5, .target_waited = 0.3},
        LIMIT_HOST, "the target's busiest thread");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.02, .target_ran = 0.95, .target_waited = 0.04},
          LIMIT_TARGET, "2 %");
}

// A stopped process neither runs nor waits for a CPU, and the target is not to blame for it.
static void test_a_generator_that_was_stopped_is_the_limit(void **state)
{
    (void)state;
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.05, .stalled = 0.6}, LIMIT_GENERATOR, "60 %");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.05, .waited = 0.02, .stalled = 0.09}, LIMIT_TARGET,
          "5 %");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.3, .waited = 0.4, .stalled = 0.4}, LIMIT_HOST,
          "40 %");
    check((struct limit_facts){.had_per_s = 1e6, .stalled = 0.6}, LIMIT_GENERATOR, "60 %");
}

// Stopped, held by a debugger, frozen: the target's work is not the limit, and nothing says what is.
static void test_a_target_that_stood_still_is_not_the_limit(void **state)
{
    (void)state;
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.05, .target_stopped = 0.4}, LIMIT_UNKNOWN,
          "frozen for about 40 %");
    check((struct limit_facts){.asked_per_s = 1000, .had_per_s = 700, .ran = 0.05, .target_stopped = 0.2},
          LIMIT_UNKNOWN, "20 %");
    check((struct limit_facts){.had_per_s = 1e6, .ran = 0.05, .target_stopped = 0.05}, LIMIT_TARGET, "5 %");
}

// Each kind of acts in its own words; a schedule whose end took a moment longer was kept.
static void test_the_limit_of_connects_arrivals_and_changes(void **state)
{
    (void)state;
    enum { LATE_NS = 5 * 1000000 };
    struct limit_facts facts = {.kind = LOAD_ARRIVALS,
                                .asked_per_s = 1000,
                                .had_per_s = 700,
                                .in_time = true,
                                .due = 100,
                                .ran = 0.2};
    check(facts, LIMIT_NONE, "kept");
    facts.in_time = false;
    check(facts, LIMIT_TARGET, "arrivals were begun in time, and 700 of 1000 a second succeeded");
    facts.not_sent = 30;
    check(facts, LIMIT_TARGET, "30 arrivals were due while the client's before was not answered");
    facts.lag_p99_ns = LATE_NS; // of ten seconds, no reason for three that are missing
    facts.took_ns = 10 * NS_PER_S;
    check(facts, LIMIT_TARGET, "30 arrivals were due");
    facts.took_ns = NS_PER_S / 100;
    check(facts, LIMIT_GENERATOR, "late all the same");
    facts.ran = 0.95;
    check(facts, LIMIT_GENERATOR, "95 %");
    check(
        (struct limit_facts){
            .kind = LOAD_CHANGES, .asked_per_s = 1000, .had_per_s = 700, .due = 1, .ran = 0.2},
        LIMIT_TARGET, "changes of subscriptions were sent in time, and 700 of 1000 a second were answered");
    check((struct limit_facts){.kind = LOAD_CONNECTS, .asked_per_s = 1, .none_due = true}, LIMIT_UNKNOWN,
          "no connect was due");
    check((struct limit_facts){.kind = LOAD_CONNECTS, .had_per_s = 1e4, .due = 100, .brief = true},
          LIMIT_UNKNOWN, "the time of the connects was too short");
}

// Ports and descriptors, SYNs that were dropped, waits that were asked for.
static void test_the_host_may_keep_connects_from_being_made(void **state)
{
    (void)state;
    struct limit_facts facts = {.kind = LOAD_CONNECTS,
                                .had_per_s = 100,
                                .due = 1000,
                                .ran = 0.1,
                                .failed_here = 200,
                                .why_failed = "no local port left on this route"};
    check(facts, LIMIT_HOST, "200 of 1000 connects failed here: no local port");
    facts.failed_here = 1; // of a thousand
    check(facts, LIMIT_TARGET, "10 %");
    facts.queue_full = true;
    check(facts, LIMIT_HOST, "full accept queue");
    facts.waits = true;
    check(facts, LIMIT_HOST, "full accept queue");
    facts.target_stopped = 0.5;
    check(facts, LIMIT_UNKNOWN, "was stopped");
    check((struct limit_facts){.kind = LOAD_ARRIVALS, .had_per_s = 100, .due = 50, .ran = 0.1, .waits = true},
          LIMIT_UNKNOWN, "--backoff");
    check(
        (struct limit_facts){.kind = LOAD_ARRIVALS, .had_per_s = 100, .due = 50, .ran = 0.95, .waits = true},
        LIMIT_GENERATOR, "95 %");
}

// The busiest worker of those with the latest acts; of a kind apart from the others.
static void test_loads_of_workers_are_joined_by_kind_and_number(void **state)
{
    (void)state;
    static struct tally_page pages[3];
    struct tally sum = {0};
    const int64_t figures[3][LOAD_FIGURES] = {
        {1, 900000, 0, 400000}, {2, 300000, 200000, 0}, {2, 100000, 5, 70}};
    for (int i = 0; i < 3; i++)
        for (int figure = 0; figure < LOAD_FIGURES; figure++)
            tally_set(&pages[i], tally_of_load(LOAD_CONNECTS, (enum load_figure)figure), figures[i][figure]);
    tally_set(&pages[0], tally_of_load(LOAD_MESSAGES, LOAD_RAN_PPM), 77);
    for (int i = 0; i < 3; i++)
        tally_sum(&sum, &pages[(i + 1) % 3]);
    assert_int_equal(sum.count[tally_of_load(LOAD_CONNECTS, LOAD_NUMBER)], 2);
    assert_int_equal(sum.count[tally_of_load(LOAD_CONNECTS, LOAD_RAN_PPM)], 300000);
    assert_int_equal(sum.count[tally_of_load(LOAD_CONNECTS, LOAD_WAITED_PPM)], 200000);
    assert_int_equal(sum.count[tally_of_load(LOAD_CONNECTS, LOAD_STALLED_PPM)], 70);
    assert_int_equal(sum.count[tally_of_load(LOAD_MESSAGES, LOAD_RAN_PPM)], 77);
    assert_false(tally_adds_up(tally_of_load(LOAD_ARRIVALS, LOAD_RAN_PPM)));
}

// Runs until told, and says when it has run for so long.
struct spinner {
    _Atomic bool stop, has_run;
};

static void *spin(void *context)
{
    struct spinner *spinner = context;
    struct timespec used;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        if (used.tv_nsec > 50000000 || used.tv_sec > 0)
            spinner->has_run = true;
    } while (!spinner->stop);
    return NULL;
}

static void test_the_busiest_thread_counts_and_not_the_sum(void **state)
{
    (void)state;
    struct spinner spinner = {.stop = false};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, spin, &spinner), 0);
    struct thread_load from = {0}, to = {0};
    if (thread_load_read(&from) < 0)
        skip();
    while (!spinner.has_run || clock_now_ns() < from.at_ns + THREAD_LOAD_LEAST_NS)
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    assert_int_equal(thread_load_read(&to), 0);
    spinner.stop = true;
    pthread_join(thread, NULL);
    double ran, waited;
    thread_load_between(&from, &to, &ran, &waited);
    // It ran or waited for a CPU whenever the host let this machine run; this thread slept.
    assert_true(ran > 0 && ran + waited > 0.1 && ran + waited < 1.5);

    thread_load_free(&from);
    thread_load_free(&to);
    struct thread_times of_earlier[2] = {{0}}, of_later[2] = {{0}};
    struct thread_load earlier = {.at_ns = NS_PER_S, .count = 2, .threads = of_earlier};
    struct thread_load later = {.at_ns = 2 * NS_PER_S, .count = 2, .threads = of_later};
    earlier.threads[0].tid = later.threads[1].tid = 1;
    earlier.threads[1].tid = 2;
    later.threads[0].tid = 3; // began meanwhile, and is not compared
    later.threads[0].ran_ns = 900 * NS_PER_MS;
    later.threads[1].ran_ns = 300 * NS_PER_MS;
    later.threads[1].waited_ns = 200 * NS_PER_MS;
    thread_load_between(&earlier, &later, &ran, &waited);
    assert_float_equal(ran, 0.3, 1e-9);
    assert_float_equal(waited, 0.2, 1e-9);

    later.threads[1].ran_ns = 1001 * NS_PER_MS; // counted at a tick: a share is never more than one
    thread_load_between(&earlier, &later, &ran, &waited);
    assert_float_equal(ran, 1, 1e-9);
    assert_float_equal(waited, 0, 1e-9);
    later.at_ns = earlier.at_ns + THREAD_LOAD_LEAST_NS - 1; // too short to tell
    thread_load_between(&earlier, &later, &ran, &waited);
    assert_true(ran == 0 && waited == 0);
}

static void *pause_until(void *context)
{
    pthread_mutex_t *gate = context;
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

// The busy thread is the last of a hundred.
static void test_every_thread_of_many_is_read(void **state)
{
    (void)state;
    enum { IDLE = 99 };
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t idle[IDLE], busy;
    struct spinner spinner = {.stop = false};
    struct thread_load from = {0}, to = {0};
    double ran, waited;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < IDLE; i++)
        assert_int_equal(pthread_create(&idle[i], NULL, pause_until, &gate), 0);
    assert_int_equal(pthread_create(&busy, NULL, spin, &spinner), 0);
    int code = thread_load_read(&from);
    while (!spinner.has_run || clock_now_ns() < from.at_ns + THREAD_LOAD_LEAST_NS)
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    if (code == 0)
        assert_int_equal(thread_load_read(&to), 0);
    spinner.stop = true;
    pthread_mutex_unlock(&gate);
    pthread_join(busy, NULL);
    for (int i = 0; i < IDLE; i++)
        pthread_join(idle[i], NULL);
    if (code == 0) {
        assert_in_range(to.count, IDLE + 2, 10000);
        thread_load_between(&from, &to, &ran, &waited);
        assert_true(ran + waited > 0.1);
    }
    thread_load_free(&from);
    thread_load_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_a_rate_the_limit_is_whoever_did_not_keep_it),
        cmocka_unit_test(test_without_a_rate_the_limit_is_the_target_when_the_generator_waits_for_it),
        cmocka_unit_test(test_where_no_cpu_is_idle_the_host_is_the_limit),
        cmocka_unit_test(test_only_cpus_that_it_may_use_are_idle),
        cmocka_unit_test(test_a_target_without_a_cpu_is_not_the_limit),
        cmocka_unit_test(test_a_worker_that_cannot_receive_is_the_limit),
        cmocka_unit_test(test_what_is_not_known_has_its_reason),
        cmocka_unit_test(test_a_generator_that_was_stopped_is_the_limit),
        cmocka_unit_test(test_a_target_that_stood_still_is_not_the_limit),
        cmocka_unit_test(test_the_limit_of_connects_arrivals_and_changes),
        cmocka_unit_test(test_the_host_may_keep_connects_from_being_made),
        cmocka_unit_test(test_loads_of_workers_are_joined_by_kind_and_number),
        cmocka_unit_test(test_the_busiest_thread_counts_and_not_the_sum),
        cmocka_unit_test(test_every_thread_of_many_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
