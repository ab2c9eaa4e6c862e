// SPDX-License-Identifier: Apache-2.0
// A crew's counts and latencies are those of the phase; the run gets the same, and its log a line with the names of both.
#include "loadgen/crew.h"
#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct crew_request request = {.name = "sensors"};

struct world {
    struct crew crew;
    struct latency_batch batch;
    struct hist *into[LATENCY_COUNT];
    int64_t censored[LATENCY_COUNT];
    void *memory;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct err err = {0};
    assert_non_null(world);
    world->crew.request = &request;
    world->crew.plan.workers = 1;
    if (crew_open(&world->crew, &err) < 0)
        fail_msg("%s", err.text);
    world->batch.shared = world->crew.latency;
    assert_int_equal(posix_memalign(&world->memory, 64, LATENCY_COUNT * hist_bytes()), 0);
    memset(world->memory, 0, LATENCY_COUNT * hist_bytes());
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        world->into[kind] = hist_init((char *)world->memory + (size_t)kind * hist_bytes());
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    crew_close(&world->crew);
    crew_close(&world->crew); // it is empty now
    free(world->memory);
    free(world);
    return 0;
}

static void collect(struct world *world, struct hist_log *log)
{
    int64_t these[LATENCY_COUNT] = {0};
    latency_flush(&world->batch);
    crew_take(&world->crew, these);
    crew_collect(&world->crew, "day", log, 0, 1000000000, these, world->into, world->censored);
}

static void test_a_phase_has_its_own_latencies_and_the_run_has_all(void **state)
{
    struct world *world = *state;
    latency_add(&world->batch, LATENCY_ACK, 1000, 1);
    latency_add_censored(&world->batch, LATENCY_ACK, 5000, 1);
    collect(world, NULL);
    collect(world, NULL);
    assert_int_equal(hist_count(world->crew.hist[LATENCY_ACK]), 2);
    assert_int_equal(world->crew.censored[LATENCY_ACK], 1);
    crew_begin_phase(&world->crew);
    assert_int_equal(hist_count(world->crew.hist[LATENCY_ACK]), 0);
    assert_int_equal(world->crew.censored[LATENCY_ACK], 0);
    latency_add(&world->batch, LATENCY_ACK, 2000, 1);
    collect(world, NULL);
    assert_int_equal(hist_count(world->crew.hist[LATENCY_ACK]), 1);
    assert_int_equal(hist_count(world->into[LATENCY_ACK]), 3);
    assert_int_equal(world->censored[LATENCY_ACK], 1);
}

static void test_the_log_has_the_names_of_group_and_phase(void **state)
{
    struct world *world = *state;
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    struct hist_log *log;
    struct err err = {0};
    temp_dir_make(dir);
    assert_int_equal(hist_log_open(&log, temp_dir_file(dir, "latency.hlog", file), 0, &err), 0);
    latency_add(&world->batch, LATENCY_ACK, 1000, 1);
    latency_add(&world->batch, LATENCY_LAG, 1000, 1);
    collect(world, log);
    assert_int_equal(hist_log_close(log, NULL), 0);
    char *text = temp_file_read(file);
    assert_non_null(text);
    assert_non_null(strstr(text, "Tag=sensors.day.ack,"));
    assert_null(strstr(text, "lag")); // the generator's own: one for all
    assert_int_equal(hist_count(world->into[LATENCY_LAG]), 1);
    free(text);
    temp_dir_remove(dir);
}

static void test_counts_of_a_phase_are_what_was_added_in_it(void **state)
{
    struct world *world = *state;
    struct crew *crew = &world->crew;
    struct tally tally;
    crew->tally.count[TALLY_PUBLISHED] = 100;
    crew->tally.count[TALLY_OPEN] = 7;
    crew->tally.count[TALLY_LAST_RECEIVED_NS] = 1000;
    crew->tally.dropped[REASON_RESET] = 2;
    crew_phase_tally(crew, &tally);
    assert_int_equal(tally.count[TALLY_PUBLISHED], 100);
    crew_begin_phase(crew);
    crew->tally.count[TALLY_PUBLISHED] = 130;
    crew->tally.count[TALLY_OPEN] = 6;
    crew->tally.count[TALLY_LAST_RECEIVED_NS] = 2000;
    crew->tally.dropped[REASON_RESET] = 3;
    crew_phase_tally(crew, &tally);
    assert_int_equal(tally.count[TALLY_PUBLISHED], 30);
    assert_int_equal(tally.count[TALLY_OPEN], 6); // these are levels and times
    assert_int_equal(tally.count[TALLY_LAST_RECEIVED_NS], 2000);
    assert_int_equal(tally_dropped(&tally), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_phase_has_its_own_latencies_and_the_run_has_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_log_has_the_names_of_group_and_phase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counts_of_a_phase_are_what_was_added_in_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
