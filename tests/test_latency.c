// SPDX-License-Identifier: Apache-2.0
#include "loadgen/latency.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    struct latency_shared *shared;
    struct hist *hists[LATENCY_COUNT];
    void *memory;
};

static int set_up(void **state)
{
    static struct place place;
    struct err err = {0};
    if (latency_shared_open(&place.shared, 2, &err) < 0)
        return -1;
    place.memory = aligned_alloc(64, LATENCY_COUNT * hist_bytes());
    if (!place.memory)
        return -1;
    memset(place.memory, 0, LATENCY_COUNT * hist_bytes());
    for (int i = 0; i < LATENCY_COUNT; i++)
        place.hists[i] = hist_init((char *)place.memory + (size_t)i * hist_bytes());
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    latency_shared_close(place->shared);
    free(place->memory);
    return 0;
}

static void test_samples_of_many_processes_arrive_whole(void **state)
{
    struct place *place = *state;
    enum { CHILDREN = 4, SAMPLES = 10000 };
    pid_t pids[CHILDREN];
    for (int child = 0; child < CHILDREN; child++) {
        pids[child] = fork();
        if (pids[child] == 0) {
            struct latency_batch batch = {.shared = place->shared, .stripe = child};
            for (int i = 0; i < SAMPLES; i++) // neighbours that are no run
                latency_add(&batch, i % 2 ? LATENCY_ACK : LATENCY_DELIVERY, 5 * NS_PER_MS + i / 2 % 2 * 8000,
                            i);
            latency_flush(&batch);
            _exit(0);
        }
    }
    for (int child = 0; child < CHILDREN; child++)
        waitpid(pids[child], NULL, 0);
    latency_collect(place->shared, place->hists, NULL);
    assert_int_equal(hist_count(place->hists[LATENCY_ACK]), CHILDREN * SAMPLES / 2);
    assert_int_equal(hist_count(place->hists[LATENCY_DELIVERY]), CHILDREN * SAMPLES / 2);
    assert_int_equal(hist_count(place->hists[LATENCY_CONNECT]), 0);
    assert_in_range(hist_percentile(place->hists[LATENCY_ACK], 50), 4990000, 5010000);
    // What was collected is not there a second time.
    latency_collect(place->shared, place->hists, NULL);
    assert_int_equal(hist_count(place->hists[LATENCY_ACK]), CHILDREN * SAMPLES / 2);
}

static void test_a_worker_killed_while_it_counts_leaves_the_others_counting(void **state)
{
    struct place *place = *state;
    for (int round = 0; round < 20; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct latency_batch batch = {.shared = place->shared};
            if (write(ends[1], "x", 1) != 1)
                _exit(1);
            for (int64_t i = 0;; i++)
                latency_add(&batch, LATENCY_CONNECT, NS_PER_MS << i % 2, 0);
        }
        char word;
        assert_int_equal(read(ends[0], &word, 1), 1);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(ends[0]);
        close(ends[1]);
        struct latency_batch batch = {.shared = place->shared};
        latency_add(&batch, LATENCY_LAG, NS_PER_MS, 0);
        latency_flush(&batch); // would hang if the lock had died with its holder
    }
    latency_collect(place->shared, place->hists, NULL);
    assert_int_equal(hist_count(place->hists[LATENCY_LAG]), 20);
}

static void test_old_samples_are_flushed_and_young_ones_wait(void **state)
{
    struct place *place = *state;
    struct latency_batch batch = {.shared = place->shared};
    latency_add(&batch, LATENCY_CONNECT, 1000, 1000);
    latency_flush_old(&batch, 1000 + 99 * NS_PER_MS);
    assert_int_equal(batch.count, 1);
    latency_flush_old(&batch, 1000 + 100 * NS_PER_MS);
    assert_int_equal(batch.count, 0);
    latency_collect(place->shared, place->hists, NULL);
    assert_int_equal(hist_count(place->hists[LATENCY_CONNECT]), 1);
}

// Values next to one another are counted by runs: every figure is as if each had been counted by itself.
static void test_runs_count_as_their_values_do(void **state)
{
    struct place *place = *state;
    struct latency_batch batch = {.shared = place->shared};
    struct hist *one_by_one = place->hists[LATENCY_LAG];
    uint64_t random = 1;
    int64_t value_ns = 0, next_ns = 0;
    for (int i = 0; i < 200000; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        if (i % 50 == 0) // from below 0 to past an hour, and at the edges of steps
            next_ns = (int64_t)1 << (random >> 58) % 43;
        value_ns = next_ns + (int64_t)(random >> 40) % (next_ns / 500 + 2) - 1;
        if (i % 5000 == 0)
            value_ns = 3600 * NS_PER_S + i % 3;
        hist_add(one_by_one, value_ns > 0 ? value_ns : 0);
        latency_add(&batch, LATENCY_DELIVERY, value_ns, 0);
        if (i % 7 == 0) // another kind between them
            latency_add(&batch, LATENCY_CONNECT, value_ns, 0);
    }
    latency_flush(&batch);
    latency_collect(place->shared, place->hists, NULL);
    const struct hist *runs = place->hists[LATENCY_DELIVERY];
    assert_int_equal(hist_count(runs), 200000);
    assert_int_equal(hist_clipped(runs), hist_clipped(one_by_one));
    assert_int_equal(hist_min(runs), hist_min(one_by_one));
    assert_int_equal(hist_max(runs), hist_max(one_by_one));
    assert_float_equal(hist_mean(runs), hist_mean(one_by_one), 0);
    // All counts are the same: both are memory of the same shape, which was zero.
    assert_int_equal(hist_percentile(runs, 99), hist_percentile(one_by_one, 99));
    assert_memory_equal(runs, one_by_one, hist_bytes());
}

static void test_a_run_is_one_sample(void **state)
{
    struct place *place = *state;
    struct latency_batch batch = {.shared = place->shared};
    for (int i = 0; i < 1000; i++) {
        latency_add(&batch, LATENCY_DELIVERY, NS_PER_MS + i / 10, 0);
        latency_add(&batch, LATENCY_DELIVERY_UNCORRECTED, NS_PER_MS + i / 10, 0);
    }
    latency_add_censored(&batch, LATENCY_DELIVERY, NS_PER_MS, 0);
    assert_int_equal(batch.count, 3);
    latency_flush(&batch);
    int64_t censored[LATENCY_COUNT] = {0};
    latency_collect(place->shared, place->hists, censored);
    assert_int_equal(hist_count(place->hists[LATENCY_DELIVERY]), 1001);
    assert_int_equal(censored[LATENCY_DELIVERY], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_samples_of_many_processes_arrive_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_worker_killed_while_it_counts_leaves_the_others_counting,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_count_as_their_values_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_run_is_one_sample, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_samples_are_flushed_and_young_ones_wait, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
