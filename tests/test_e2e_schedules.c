// SPDX-License-Identifier: Apache-2.0
// Each schedule in each scenario that has a rate, against the reference broker: as many acts are due as the schedule has, all are made,
// the books balance, and the rate that is said to have been asked for is the schedule's own. Times are of test_schedule.c.
#include "loadgen/schedule.h"
#include "tests/load_run.h"
#include "tests/mix_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_all_made(const struct load_run *load, const char *source, int64_t acts)
{
    assert_int_equal(load_run_book(load, source, "attempted"), acts);
    assert_int_equal(load_run_book(load, source, "measured"), acts);
}

static void assert_rate(const struct load_run *load, const char *name, double wanted)
{
    double found = load_run_metric(load, name);
    if (fabs(found - wanted) > 1e-6 * wanted)
        fail_msg("%s is %.10g, and not %.10g", name, found, wanted);
}

// The record says which schedule it was, and its parameters. `over_ns` of a schedule that ends with the last act.
static void assert_config(const json_t *config, enum schedule_kind kind, double from_per_s, double over_ns)
{
    const char *name = json_string_value(json_object_get(config, "schedule"));
    assert_non_null(name);
    assert_string_equal(name, schedule_names[kind]);
    bool rises = kind == SCHEDULE_RAMP || kind == SCHEDULE_STAIRS;
    assert_true(rises == (json_object_get(config, "schedule_from_per_s") != NULL));
    if (!rises)
        return;
    assert_true(json_real_value(json_object_get(config, "schedule_from_per_s")) == from_per_s);
    assert_true(fabs((double)json_integer_value(json_object_get(config, "schedule_over_ns")) - over_ns) <= 1);
    assert_int_equal(json_integer_value(json_object_get(config, "schedule_steps")),
                     kind == SCHEDULE_STAIRS ? 10 : 0);
}

// The first rate, where none is given: of stairs one of ten steps.
static double from_of(enum schedule_kind kind, double rate_per_s)
{
    return kind == SCHEDULE_STAIRS ? rate_per_s / 10 : 0;
}

// Until so many acts are due; the mean rate is that of the first and the last.
static double over_of(enum schedule_kind kind, double rate_per_s, double acts)
{
    return 2e9 * acts / (rate_per_s + from_of(kind, rate_per_s));
}

// The acts in a second, of a rate that is reached at its end; a Poisson process has about so many.
static int64_t acts_of_a_second(enum schedule_kind kind, double rate_per_s)
{
    return (int64_t)(kind == SCHEDULE_CONSTANT || kind == SCHEDULE_POISSON
                         ? rate_per_s
                         : (rate_per_s + from_of(kind, rate_per_s)) / 2);
}

// The mean rate of so many acts, from the first to the last.
static double mean_of(enum schedule_kind kind, double rate_per_s, int64_t acts)
{
    struct schedule schedule = {.rate_per_s = rate_per_s,
                                .shape = {.kind = kind,
                                          .from_per_s = from_of(kind, rate_per_s),
                                          .over_ns = (int64_t)over_of(kind, rate_per_s, (double)acts),
                                          .steps = 10}};
    return (double)(acts - 1) * 1e9 / (double)schedule_at(&schedule, acts - 1);
}

// Every schedule with every engine would take minutes: both engines have all schedules, in turn over the scenarios.
static const char *engine_of(int kind, int scenario)
{
    return load_run_engines[(kind + scenario) % LOAD_ENGINES];
}

static void begin(struct load_run *load, struct process *broker, const char *scenario, int kind, int number)
{
    load_run_prepare(load, process_port(broker), scenario, engine_of(kind, number));
    load_run_add(load, "--schedule", schedule_names[kind], NULL);
}

static const json_t *end(struct load_run *load)
{
    load_run_completes(load);
    return json_object_get(load->json, "config");
}

static void test_connects(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct load_run load;
        begin(&load, broker, "connect", kind, 0);
        load_run_add(&load, "--connections", "60", "--rate", "200", "--workers", "3", NULL);
        const json_t *config = end(&load);
        assert_config(config, kind, from_of(kind, 200), over_of(kind, 200, 60));
        assert_all_made(&load, "connects", 60);
        assert_true(load_run_metric(&load, "connect.p50") >=
                    0.99 * load_run_metric(&load, "connect_uncorrected.p50"));
        if (kind == SCHEDULE_POISSON) // 60 intervals: the mean, and four standard deviations
            assert_true(fabs(load_run_metric(&load, "connect.rate_asked") / 200 - 1) < 0.8);
        else
            assert_rate(&load, "connect.rate_asked",
                        kind == SCHEDULE_CONSTANT ? 200 : mean_of(kind, 200, 60));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void assert_messages(const struct load_run *load, enum schedule_kind kind)
{
    int64_t acts = acts_of_a_second(kind, 200);
    if (kind == SCHEDULE_POISSON) {
        assert_true(llabs(load_run_book(load, "publishes", "attempted") - acts) < 4 * 15);
        acts = load_run_book(load, "publishes", "attempted");
    }
    assert_all_made(load, "publishes", acts);
    assert_all_made(load, "deliveries", acts);
    assert_rate(load, "messages.rate_asked", (double)acts); // in a second
    assert_true(load_run_metric(load, "delivery.p50") >=
                0.99 * load_run_metric(load, "delivery_uncorrected.p50"));
}

static void test_messages_of_pairs_and_of_others(void **state)
{
    (void)state;
    static const char *const patterns[][4] = {{"--pairs", "6", NULL, NULL},
                                              {"--pattern", "fan-in", "--publishers", "6"}};
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < 2; i++)
        for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
            struct load_run load;
            begin(&load, broker, "publish", kind, i);
            load_run_add(&load, "--publish-rate", "200", "--duration", "1s", "--warmup", "200ms", "--workers",
                         "2", patterns[i][0], patterns[i][1], patterns[i][2], patterns[i][3], NULL);
            const json_t *config = end(&load);
            assert_config(config, kind, from_of(kind, 200), 1e9);
            assert_messages(&load, kind);
            // The warm-up has the rate with which the measured time begins.
            if (kind == SCHEDULE_RAMP || kind == SCHEDULE_STAIRS)
                assert_true(load_run_metric(&load, "messages.sent") ==
                            (double)acts_of_a_second(kind, 200) + from_of(kind, 200) / 5);
            load_run_finish(&load);
        }
    assert_int_equal(process_stop(broker), 0);
}

static void test_turns_of_churn(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct load_run load;
        begin(&load, broker, "churn", kind, 1);
        // No client has a second turn: on a busy host it could come too early.
        load_run_add(&load, "--connections", "200", "--churn-rate", "50", "--duration", "1s", "--workers",
                     "3", NULL);
        const json_t *config = end(&load);
        assert_config(config, kind, from_of(kind, 50), 1e9);
        int64_t acts = acts_of_a_second(kind, 50);
        if (kind == SCHEDULE_POISSON) {
            assert_true(llabs(load_run_book(&load, "arrivals", "attempted") - acts) < 4 * 8);
            acts = load_run_book(&load, "arrivals", "attempted");
        }
        if (kind == SCHEDULE_STAIRS) // 27.5: the last is due within the second
            acts = 28;
        assert_all_made(&load, "arrivals", acts);
        assert_rate(&load, "arrivals.rate_asked", kind == SCHEDULE_STAIRS ? 27.5 : (double)acts);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_clients_of_bursts(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct load_run load;
        begin(&load, broker, "burst", kind, 0);
        load_run_add(&load, "--connections", "10", "--burst", "50", "--burst-rate", "200", "--repeat", "2",
                     "--stay", "10ms", "--calm", "10ms", NULL);
        const json_t *config = end(&load);
        assert_config(config, kind, from_of(kind, 200), over_of(kind, 200, 50));
        assert_all_made(&load, "arrivals", 100);
        if (kind != SCHEDULE_POISSON)
            assert_rate(&load, "arrivals.rate_asked",
                        kind == SCHEDULE_CONSTANT ? 200 : mean_of(kind, 200, 50));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

static void test_changes_of_subscriptions(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct load_run load;
        begin(&load, broker, "subscribe", kind, 1);
        load_run_add(&load, "--connections", "80", "--filters", "1", "--subscribe-rate", "200", "--repeat",
                     "2", "--workers", "3", NULL);
        const json_t *config = end(&load);
        assert_config(config, kind, from_of(kind, 200), over_of(kind, 200, 80));
        assert_all_made(&load, "subacks", 160);
        assert_all_made(&load, "unsubacks", 160);
        if (kind != SCHEDULE_POISSON)
            assert_rate(&load, "subscriptions.rate_asked",
                        kind == SCHEDULE_CONSTANT ? 200 : mean_of(kind, 200, 80));
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

// A group and phase of each kind, with parameters of its own.
static const char mixed[] = "group chat role=pairs connections=12\n"
                            "group phones role=idle connections=200\n"
                            "phase arrive\n"
                            "chat do=connect rate=100 schedule=poisson\n"
                            "phones do=connect rate=400 schedule=ramp schedule-from=100\n"
                            "phase rising duration=1s\n"
                            "chat do=publish rate=300 schedule=stairs schedule-from=100 schedule-steps=5\n"
                            "phones do=churn rate=60 schedule=ramp schedule-over=500ms\n"
                            "phase random duration=1s\n"
                            "chat do=publish rate=200 schedule=poisson\n"
                            "phones do=subscribe rate=800 schedule=stairs schedule-over=100ms\n";

static const json_t *act_of(const struct load_run *load, size_t phase, size_t act)
{
    json_t *phases = json_object_get(json_object_get(load->json, "config"), "phases");
    return json_array_get(json_object_get(json_array_get(phases, phase), "acts"), act);
}

static void assert_mixed(const struct load_run *load)
{
    assert_all_made(load, "chat.arrive.connects", 12);
    assert_all_made(load, "phones.arrive.connects", 200);
    assert_all_made(load, "chat.rising.publishes", 200); // 100, 150, ..., 300 a second, 200 ms each
    assert_all_made(load, "chat.rising.deliveries", 200);
    assert_rate(load, "chat.rising.messages.rate_asked", 200);
    assert_all_made(load, "phones.rising.arrivals", 45); // 30 in the mean for half a second, then 60
    int64_t sent = load_run_book(load, "chat.random.publishes", "attempted");
    assert_true(llabs(sent - 200) < 4 * 15);
    assert_all_made(load, "chat.random.deliveries", sent);
    assert_rate(load, "chat.random.messages.rate_asked", (double)sent);
    assert_all_made(load, "phones.random.subacks", 200);
    assert_string_equal(json_string_value(json_object_get(act_of(load, 0, 0), "schedule")), "poisson");
    assert_true(json_real_value(json_object_get(act_of(load, 0, 1), "schedule_from_per_s")) == 100);
    assert_int_equal(json_integer_value(json_object_get(act_of(load, 0, 1), "schedule_over_ns")), 800000000);
    assert_int_equal(json_integer_value(json_object_get(act_of(load, 1, 0), "schedule_steps")), 5);
    assert_int_equal(json_integer_value(json_object_get(act_of(load, 1, 1), "schedule_over_ns")), 500000000);
}

static void test_groups_of_a_mix(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        char file[TEMP_PATH_SIZE];
        load_run_prepare(&load, process_port(broker), "mix", load_run_engines[i]);
        mix_text_write(mixed, temp_dir_file(load.dir, "mix.json", file));
        load_run_add(&load, "--mix", file, NULL);
        load_run_completes(&load);
        assert_mixed(&load);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_messages_of_pairs_and_of_others),
        cmocka_unit_test(test_turns_of_churn),
        cmocka_unit_test(test_clients_of_bursts),
        cmocka_unit_test(test_changes_of_subscriptions),
        cmocka_unit_test(test_groups_of_a_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
