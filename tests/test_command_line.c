// SPDX-License-Identifier: Apache-2.0
// The generator's command line: each scenario has its own options, and nothing beside its list knows its
// name.
#include "loadgen/command_line.h"
#include "loadgen/engine.h"
#include "loadgen/scenarios/scenarios.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config config;

static int parse(char **words, struct err *err)
{
    int count = 0;
    while (words[count])
        count++;
    *err = (struct err){0};
    return command_line_parse(&config, count, words, err);
}
#define PARSE(err, ...) parse((char *[]){"poolmark-loadgen", __VA_ARGS__, NULL}, err)

static bool is_common_json(json_t *described, const char *option)
{
    size_t at;
    json_t *scenario, *name;
    json_array_foreach(json_object_get(described, "scenarios"), at, scenario)
    {
        size_t i;
        bool found = false;
        json_array_foreach(json_object_get(scenario, "options"), i, name) found =
            found || strcmp(json_string_value(name), option) == 0;
        if (!found)
            return false;
    }
    return true;
}

// One table understands the words before the scenario is known.
static void test_options_of_one_name_are_alike_in_all_scenarios(void **state)
{
    (void)state;
    for (const struct scenario *const *a = scenario_list(); *a; a++)
        for (const struct scenario *const *b = scenario_list(); *b; b++)
            for (const struct opt *one = (*a)->options; one->name; one++)
                for (const struct opt *other = (*b)->options; other->name; other++) {
                    if (strcmp(one->name, other->name) != 0)
                        continue;
                    assert_int_equal(one->kind, other->kind);
                    assert_true(one->low == other->low && one->high == other->high);
                    assert_ptr_equal(one->parse, other->parse);
                }
}

static void test_every_scenario_is_whole(void **state)
{
    (void)state;
    for (const struct scenario *const *at = scenario_list(); *at; at++) {
        assert_non_null((*at)->summary);
        assert_non_null((*at)->check);
        assert_non_null((*at)->describe);
        assert_non_null((*at)->play);
        assert_true((*at)->options_bytes <= CONFIG_OPTIONS_BYTES);
        assert_ptr_equal(scenario_find((*at)->name), *at);
        if ((*at)->describe_keys) // it takes a file (tests/test_mix_plan.c)
            continue;
        struct err err;
        char name[32];
        snprintf(name, sizeof name, "%s", (*at)->name);
        assert_int_equal(PARSE(&err, name, "--target", "mqtt://127.0.0.1"), OPTS_RUN);
        assert_true(config.connections > 0);
        json_t *json = command_line_json(&config);
        assert_string_equal(json_string_value(json_object_get(json, "scenario")), (*at)->name);
        json_decref(json);
    }
    assert_null(scenario_find("no-such-scenario"));
}

static void test_clients_that_come_back_need_an_engine_and_waits_that_fit(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(PARSE(&err, "--target", "a", "churn", "--leave", "rst"), -EINVAL);
    assert_string_equal(
        err.text, "--leave rst: engine paho can only send a DISCONNECT; --engine raw can cut connections");
    assert_int_equal(PARSE(&err, "--target", "a", "churn", "--leave", "rst", "--engine", "raw"), OPTS_RUN);
    assert_int_equal(PARSE(&err, "--target", "a", "churn", "--jitter", "1"), -EINVAL);
    assert_string_equal(err.text, "--jitter: without --backoff no client tries again");
    assert_int_equal(PARSE(&err, "--target", "a", "burst", "--backoff", "2s", "--backoff-max", "1s"),
                     -EINVAL);
    assert_string_equal(err.text, "--backoff-max is less than --backoff");
    assert_int_equal(PARSE(&err, "--target", "a", "churn", "--churn-rate", "100", "--away", "20s"), -EINVAL);
    assert_string_equal(
        err.text, "--churn-rate 100 and --away: 2000 clients would be away at a time, and there are 1000");
    assert_int_equal(PARSE(&err, "--target", "a", "burst", "--connections", "10", "--burst", "20"), OPTS_RUN);
    assert_int_equal(config.connections, 30);
    assert_int_equal(config.later, 20);
}

static void test_a_schedule_takes_a_rate_and_its_own_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *scenario, *options[6], *wrong;
    } refused[] = {
        {"connect",
         {"--schedule", "ramp"},
         "--schedule ramp: there is no rate that goes so over time: give --rate"},
        {"publish",
         {"--schedule", "poisson", "--publish-rate", "0"},
         "--schedule poisson: there is no rate that goes so over time: give --publish-rate"},
        {"burst",
         {"--schedule", "stairs"},
         "--schedule stairs: there is no rate that goes so over time: give --burst-rate"},
        {"publish",
         {"--schedule-from", "5"},
         "--schedule-from: --schedule constant has none; it is for ramp and stairs"},
        {"churn",
         {"--schedule", "poisson", "--schedule-over", "5s"},
         "--schedule-over: --schedule poisson has none; it is for ramp and stairs"},
        {"soak",
         {"--schedule", "ramp", "--schedule-steps", "5"},
         "--schedule-steps: --schedule ramp has none; it is for stairs"},
        {"subscribe",
         {"--schedule", "stairs", "--schedule-steps", "1"},
         "--schedule-steps 1: a single step is the constant rate; at least 2"},
        {"churn",
         {"--schedule", "ramp", "--schedule-from", "200", "--away", "9s"},
         "--churn-rate 200 and --away: 1800 clients would be away at a time, and there are 1000"},
        {"slow", {"--schedule", "ramp"}, "--schedule: scenario slow does not use it; it is for connect"},
        {"publish",
         {"--schedule", "sine"},
         "--schedule: \"sine\" is unknown; it takes constant, poisson, ramp or stairs"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err err;
        char scenario[16];
        char *words[12] = {"poolmark-loadgen", scenario, "--target", "a"};
        snprintf(scenario, sizeof scenario, "%s", refused[i].scenario);
        for (int at = 0; at < 6 && refused[i].options[at]; at++)
            words[4 + at] = (char *)(uintptr_t)refused[i].options[at];
        assert_int_equal(parse(words, &err), -EINVAL);
        if (!strstr(err.text, refused[i].wrong))
            fail_msg("%s", err.text);
    }
}

static json_t *described(char **words)
{
    struct err err;
    if (parse(words, &err) != OPTS_RUN)
        fail_msg("%s", err.text);
    return command_line_json(&config);
}

// What was left open is in the record as it will be.
static void test_a_schedule_ends_with_what_it_paces(void **state)
{
    (void)state;
    static const struct {
        const char *scenario, *rate;
        double from_per_s, over_s;
    } paced[] = {{"connect", "--rate", 20, 2.0 * 1000 / 220},
                 {"publish", "--publish-rate", 20, 3},
                 {"churn", "--churn-rate", 20, 3},
                 {"soak", "--churn-rate", 20, 3},
                 {"burst", "--burst-rate", 20, 2.0 * 5000 / 220},
                 {"subscribe", "--subscribe-rate", 20, 2.0 * 10000 / 220}};
    for (size_t i = 0; i < sizeof paced / sizeof *paced; i++) {
        char scenario[16], rate[24];
        snprintf(scenario, sizeof scenario, "%s", paced[i].scenario);
        snprintf(rate, sizeof rate, "%s", paced[i].rate);
        bool lasts = paced[i].over_s == 3;
        json_t *json = described((char *[]){"poolmark-loadgen", scenario, "--target", "a", "--schedule",
                                            "stairs", rate, "200", lasts ? "--duration" : NULL, "3s", NULL});
        assert_string_equal(json_string_value(json_object_get(json, "schedule")), "stairs");
        assert_true(json_real_value(json_object_get(json, "schedule_from_per_s")) == paced[i].from_per_s);
        assert_int_equal(json_integer_value(json_object_get(json, "schedule_steps")), 10);
        assert_int_equal(json_integer_value(json_object_get(json, "schedule_over_ns")),
                         (int64_t)(paced[i].over_s * 1e9));
        json_decref(json);
    }
}

// The value of an option may be a word that is a scenario's name.
static void test_the_scenario_is_the_word_that_is_no_value(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(PARSE(&err, "--record", "steps", "publish", "--target", "a", "--pairs", "3"), OPTS_RUN);
    assert_string_equal(config.scenario->name, "publish");
    assert_string_equal(config.record_dir, "steps");
    assert_int_equal(config.connections, 6);
    assert_int_equal(config.pattern.publishers, 3);
    assert_true(config.even);
}

static void test_an_option_of_another_scenario_is_refused_by_name(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(PARSE(&err, "--target", "a", "publish", "--steps", "1,2"), -EINVAL);
    assert_string_equal(err.text, "--steps: scenario publish does not use it; it is for steps");
    assert_int_equal(PARSE(&err, "--target", "a", "publish", "--hold", "2s"), -EINVAL);
    assert_non_null(strstr(err.text, "it is for connect"));
    assert_non_null(strstr(err.text, " and "));
    assert_int_equal(PARSE(&err, "--target", "a", "--engine", "steam", "connect"), -EINVAL);
    assert_non_null(strstr(err.text, "paho, raw"));
}

static void test_a_description_has_every_option_once(void **state)
{
    (void)state;
    json_t *described = command_line_describe("poolmark-loadgen"), *option, *other;
    json_t *options = json_object_get(described, "options");
    size_t i, j;
    json_array_foreach(options, i, option) json_array_foreach(options, j, other) if (i != j)
        assert_string_not_equal(json_string_value(json_object_get(option, "name")),
                                json_string_value(json_object_get(other, "name")));
    assert_true(is_common_json(described, "target"));
    assert_false(is_common_json(described, "pairs"));
    json_decref(described);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_one_name_are_alike_in_all_scenarios),
        cmocka_unit_test(test_every_scenario_is_whole),
        cmocka_unit_test(test_clients_that_come_back_need_an_engine_and_waits_that_fit),
        cmocka_unit_test(test_a_schedule_takes_a_rate_and_its_own_parameters),
        cmocka_unit_test(test_a_schedule_ends_with_what_it_paces),
        cmocka_unit_test(test_the_scenario_is_the_word_that_is_no_value),
        cmocka_unit_test(test_an_option_of_another_scenario_is_refused_by_name),
        cmocka_unit_test(test_a_description_has_every_option_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
