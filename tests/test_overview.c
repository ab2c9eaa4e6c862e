// SPDX-License-Identifier: Apache-2.0
#include "loadgen/overview.h"
#include "loadgen/scenario.h"

#include "base/clock.h"
#include "loadgen/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct engine engine;
    struct scenario scenario;
    struct config config;
    struct run run;
    struct summary summary;
    struct overview overview;
    void *memory;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->engine = (struct engine){.name = "raw"};
    world->scenario = (struct scenario){.name = "publish"};
    world->config.engine = &world->engine;
    world->config.scenario = &world->scenario;
    world->config.connections = 200;
    world->config.targets = (struct opt_list){.values = {"mqtt://a:1", "mqtt://b:1"}, .count = 2};
    world->memory = aligned_alloc(64, LATENCY_COUNT * hist_bytes());
    assert_non_null(world->memory);
    memset(world->memory, 0, LATENCY_COUNT * hist_bytes());
    for (int i = 0; i < LATENCY_COUNT; i++)
        world->run.total[i] = hist_init((char *)world->memory + (size_t)i * hist_bytes());
    world->run.config = &world->config;
    world->run.tally.count[TALLY_CONNECTED] = 200;
    world->overview = (struct overview){
        .run = &world->run, .summary = &world->summary, .status = "complete", .took_ns = 13 * NS_PER_S};
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    free(world->memory);
    free(world);
    return 0;
}

static char *print(const struct world *world)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    overview_print(&world->overview, to);
    fclose(to);
    return text;
}

static void assert_says(const struct world *world, const char *said)
{
    char *text = print(world);
    if (!strstr(text, said))
        fail_msg("\"%s\" is not in:\n%s", said, text);
    free(text);
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void publish_at_a_rate(struct world *world)
{
    int64_t *count = world->run.tally.count;
    count[TALLY_DUE] = count[TALLY_PUBLISHED] = 5000;
    count[TALLY_DELIVERY_DUE] = 10000; // two subscribers each
    count[TALLY_RECEIVED] = 9990;
    world->config.connect_rate_per_s = 400;
    count[TALLY_FIRST_START_NS] = NS_PER_S;
    count[TALLY_LAST_CONNECTED_NS] = 2 * NS_PER_S;
    summary_add(&world->summary, "messages.rate", 998, "1/s", "higher");
    summary_add(&world->summary, "messages.rate_asked", 1000, "1/s", "none");
    for (int i = 1; i <= 1000; i++)
        hist_add(world->run.total[LATENCY_DELIVERY], i * NS_PER_US);
    hist_add(world->run.total[LATENCY_CONNECT], NS_PER_MS);
}

static void what_was_asked_stands_beside_what_was_had(void **state)
{
    struct world *world = *state;
    publish_at_a_rate(world);
    assert_says(world, "publish, engine raw, against mqtt://a:1 and 1 more: complete after 13.0 s\n");
    assert_says(world, "connections                      200           200\n");
    assert_says(world, "connects a second            400.0/s       200.0/s\n");
    assert_says(world, "messages sent                   5000          5000\n");
    assert_says(world, "messages arrived               10000          9990\n");
    assert_says(world, "messages a second           1000.0/s       998.0/s\n");
    world->summary.rows[1].value = 0;
    assert_says(world, "messages a second          unlimited       998.0/s\n");
}

static void percentiles_are_one_table_and_those_of_too_few_samples_are_not_known(void **state)
{
    struct world *world = *state;
    publish_at_a_rate(world);
    assert_says(world,
                "delivery                    500 us      900 us      990 us      999 us     1.00 ms        "
                "1000\n");
    assert_says(world, "connect                          -           -           -           -     1.00 ms"
                       "           1\n");
    world->run.censored[LATENCY_DELIVERY] = 7;
    assert_says(world, "7 of these had not ended");
}

static void losses_are_told_by_their_reason(void **state)
{
    struct world *world = *state;
    assert_says(world, "lost                  nothing\n");
    world->run.tally.failed[REASON_TIMEOUT] = 3;
    world->run.tally.dropped[REASON_RESET] = 2;
    world->run.tally.count[TALLY_LOST] = 10;
    assert_says(world, "lost                  3 clients failed: no answer in time\n"
                       "                      2 clients dropped: connection reset by the target\n"
                       "                      10 deliveries did not arrive\n");
}

static void the_limit_and_the_place_of_the_record_are_told(void **state)
{
    struct world *world = *state;
    assert_says(world, "record                none");
    world->config.record_dir = "results/runs/x";
    world->summary.limit = (struct limit){.by = LIMIT_TARGET, .why = "it was slow"};
    assert_says(world, "limit                 target: it was slow\n");
    assert_says(world, "record                results/runs/x ");
    snprintf(world->run.broken, sizeof world->run.broken, "interrupted by SIGINT");
    assert_says(world, "\nended early: interrupted by SIGINT\n");
}

static void the_way_of_the_ports_is_told(void **state)
{
    struct world *world = *state;
    assert_says(world, "local ports           the kernel searches a free one\n");
    world->run.plan.ports.way = PORTS_RANGE;
    world->run.tally.count[TALLY_PORTS_PASSED] = 2;
    world->run.probe_tally.count[TALLY_PORTS_PASSED] = 1;
    assert_says(world, "each client its own (IP_LOCAL_PORT_RANGE), 3 that were taken passed over\n");
}

static void arrivals_have_their_rate_their_time_and_the_tries_that_failed(void **state)
{
    struct world *world = *state;
    int64_t *count = world->run.tally.count;
    count[TALLY_ARRIVAL_DUE] = 100000;
    count[TALLY_ARRIVED] = 15662;
    count[TALLY_ARRIVAL_RETRIES] = 35;
    summary_add(&world->summary, "arrivals.rate", 7831, "1/s", "higher");
    assert_says(world, "arrivals                      100000         15662\n"
                       "arrivals a second          unlimited      7831.0/s\n"
                       "tries that failed                  -            35\n");
    summary_add(&world->summary, "arrivals.rate_asked", 50000, "1/s", "none");
    summary_add(&world->summary, "arrivals.seconds", 2, "s", "lower");
    assert_says(world, "arrivals a second          50000.0/s      7831.0/s\n"
                       "the arrivals took                  -       2.000 s\n");
}

// Clients beside the others publish in soak and in steps. A scenario that has no rate of messages has no row for it.
static void messages_of_the_clients_beside_are_counted(void **state)
{
    struct world *world = *state;
    int64_t *count = world->run.probe_tally.count;
    count[TALLY_DUE] = count[TALLY_PUBLISHED] = count[TALLY_DELIVERY_DUE] = 400;
    count[TALLY_RECEIVED] = 399;
    assert_says(world, "messages sent                    400           400\n"
                       "messages arrived                 400           399\n\n");
}

static void each_step_has_a_line(void **state)
{
    struct world *world = *state;
    world->summary.steps[0] = (struct summary_step){10, 2e6, 1e6, 5e4, NAN, 1 << 20};
    world->summary.step_count = 1;
    assert_says(world,
                "step                          took connect p99  delivery p50  delivery p99   user memory\n"
                "10                         2.00 ms     1.00 ms       50.0 us             -      1.00 MiB\n");
}

// "lost nothing" would contradict the line that calls this count doubtful.
static void a_doubtful_count_of_losses_is_not_told_as_nothing(void **state)
{
    struct world *world = *state;
    summary_add(&world->summary, "delivery.p50", 1000, "ns", "lower");
    summary_add(&world->summary, "messages.lost", 0, "1", "lower");
    world->summary.rows[0].doubt = "late_receiver";
    assert_says(world, "lost                  nothing\n");
    world->summary.rows[1].doubt = "late_receiver";
    assert_says(
        world,
        "lost                  nothing was counted, and the counts are doubtful: anomaly late_receiver\n");
}

// Of a mix: a line for each latency of a group in a phase, and no rates of all groups together.
static void each_group_has_a_line_for_each_phase(void **state)
{
    struct world *world = *state;
    struct hist *hist = world->run.total[LATENCY_DELIVERY];
    hist_add(hist, NS_PER_MS);
    hist_add(hist, 3 * NS_PER_MS);
    summary_add_latency(&world->summary, "boards.day.delivery", hist, 0);
    summary_add_latency(&world->summary, "boards.day.delivery_uncorrected", hist, 0);
    summary_add_latency(&world->summary, "step.100.connect", hist, 0);
    char *text = print(world);
    assert_null(strstr(text, "boards"));
    assert_non_null(strstr(text, "connects a second"));
    free(text);
    world->config.crew_count = 2;
    text = print(world);
    assert_non_null(
        strstr(text, "\nboards day delivery                                1.00 ms           -           -"
                     "     3.00 ms           2\n"));
    assert_null(strstr(text, "uncorrected"));
    assert_null(strstr(text, "connects a second"));
    free(text);
}

static void it_fits_a_screen_and_has_every_name_only_on_request(void **state)
{
    struct world *world = *state;
    publish_at_a_rate(world);
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        if (kind >= LATENCY_ARRIVAL && kind != LATENCY_LAG)
            continue; // of other scenarios
        hist_add(world->run.total[kind], NS_PER_MS);
        summary_add_latency(&world->summary, latency_name((enum latency_kind)kind), world->run.total[kind],
                            0);
    }
    world->summary.limit = (struct limit){.by = LIMIT_TARGET, .why = "it was slow"};
    char *text = print(world);
    assert_in_range(lines_of(text), 10, 24);
    assert_null(strstr(text, "connect.p50"));
    free(text);
    world->overview.all = true;
    text = print(world);
    assert_true(lines_of(text) > 24 + world->summary.count - 12);
    assert_non_null(strstr(text, "\nack.max                                    1.00 ms\n"));
    assert_non_null(strstr(text, "not known of 1 sample: it takes 1000"));
    free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_asked_stands_beside_what_was_had),
        TEST(percentiles_are_one_table_and_those_of_too_few_samples_are_not_known),
        TEST(losses_are_told_by_their_reason),
        TEST(the_limit_and_the_place_of_the_record_are_told),
        TEST(arrivals_have_their_rate_their_time_and_the_tries_that_failed),
        TEST(messages_of_the_clients_beside_are_counted),
        TEST(each_step_has_a_line),
        TEST(a_doubtful_count_of_losses_is_not_told_as_nothing),
        TEST(each_group_has_a_line_for_each_phase),
        TEST(the_way_of_the_ports_is_told),
        TEST(it_fits_a_screen_and_has_every_name_only_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
