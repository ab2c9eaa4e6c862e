// SPDX-License-Identifier: Apache-2.0
// The plain form of a mix: what is made of it, and what is refused with the group, phase and key named.
#include "base/clock.h"
#include "loadgen/command_line.h"
#include "loadgen/crew.h"
#include "loadgen/scenario.h"
#include "loadgen/schedule.h"
#include "tests/mix_text.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static char dir[TEMP_PATH_SIZE];

static int make_dir(void **state)
{
    (void)state;
    temp_dir_make(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    temp_dir_remove(dir);
    return 0;
}

static int parse(const char *engine, const char *json, struct err *err)
{
    char file[TEMP_PATH_SIZE], engine_word[16];
    FILE *to = fopen(temp_dir_file(dir, "mix.json", file), "w");
    assert_non_null(to);
    assert_true(fputs(json, to) >= 0);
    assert_int_equal(fclose(to), 0);
    snprintf(engine_word, sizeof engine_word, "%s", engine);
    char *words[] = {"poolmark-loadgen", "mix",   "--target", "a", "--engine",
                     engine_word,        "--mix", file,       NULL};
    *err = (struct err){0};
    return command_line_parse(&config, 8, words, err);
}

static int parse_text(const char *engine, const char *text, struct err *err)
{
    char *json = mix_text_json(text);
    int code = parse(engine, json, err);
    free(json);
    return code;
}

#define GROUPS                                                                                               \
    "group sensors role=publisher connections=30 qos=1\n"                                                    \
    "group lazy role=slow-reader from=sensors connections=2 qos=0\n"                                         \
    "group boards role=subscriber from=sensors connections=4\n"                                              \
    "group phones role=idle connections=50\n"
#define CONNECTED                                                                                            \
    "phase arrive\n"                                                                                         \
    "sensors do=connect\n"                                                                                   \
    "boards do=connect\n"                                                                                    \
    "lazy do=connect\n"                                                                                      \
    "phones do=connect to=20\n"
#define NEXT GROUPS CONNECTED

static json_t *described(const char *part, size_t number)
{
    json_t *json = command_line_json(&config);
    json_t *one = json_array_get(json_object_get(json, part), number);
    json_incref(one);
    json_decref(json);
    return one;
}

static void test_publishers_and_their_subscribers_share_a_pattern(void **state)
{
    (void)state;
    struct err err;
    if (parse_text("raw", NEXT, &err) != OPTS_RUN)
        fail_msg("%s", err.text);
    assert_int_equal(config.crew_count, 4);
    assert_int_equal(config.connections, 86);
    assert_int_equal(config.later, 30); // of the phones, which never come
    const struct pattern *pattern = &config.crews[0].config->pattern;
    assert_int_equal(pattern->kind, PATTERN_FAN_IN);
    assert_int_equal(pattern->publishers, 30);
    assert_int_equal(pattern->subscribers, 6);
    assert_int_equal(pattern->apart, 6);
    assert_int_equal(pattern->slow, 2);
    // Slow readers are the last, wherever they stand in the file.
    assert_int_equal(config.crews[0].place, 0);
    assert_int_equal(config.crews[1].place, 34);
    assert_int_equal(config.crews[2].place, 30);
    assert_int_equal(config.crews[1].messages_of, 0);
    assert_int_equal(config.crews[2].messages_of, 0);
    assert_int_equal(config.crews[3].messages_of, 3);
    assert_int_equal(config.crews[3].config->pattern.publishers, 0);
    // Subscribers have the QoS of their publishers, unless they say another.
    assert_int_equal(config.crews[2].config->qos, 1);
    assert_int_equal(config.crews[1].config->qos, 0);
    assert_true(config.crews[0].config->payload.given);
    assert_int_equal(config.crews[0].config->payload.most, 64);
    command_line_free(&config);
}

static void assert_act(size_t phase, size_t act, const char *what, double rate, int64_t before, int64_t goal)
{
    json_t *one = described("phases", phase);
    json_t *found = json_array_get(json_object_get(one, "acts"), act);
    assert_string_equal(json_string_value(json_object_get(found, "do")), what);
    assert_true(json_real_value(json_object_get(found, "rate_per_s")) == rate);
    assert_int_equal(json_integer_value(json_object_get(found, "before")), before);
    assert_int_equal(json_integer_value(json_object_get(found, "goal")), goal);
    json_decref(one);
}

static void test_rates_and_clients_of_each_phase_follow_from_the_keys(void **state)
{
    (void)state;
    struct err err;
    static const char text[] = NEXT "phase day duration=2s\n"
                                    "sensors do=publish every=60s\n"
                                    "phones do=churn every=10s\n"
                                    "lazy do=slow\n"
                                    "phase more\n"
                                    "phones do=connect rate=100/s\n"
                                    "phase less\n"
                                    "phones do=leave to=5\n"
                                    "phase storm\n"
                                    "phones do=storm by=rst\n";
    if (parse_text("raw", text, &err) != OPTS_RUN)
        fail_msg("%s", err.text);
    assert_int_equal(config.later, 30); // those come by arrivals
    assert_act(0, 3, "connect", 0, 0, 20);
    assert_act(1, 0, "publish", 0.5, 0, 30);
    assert_act(1, 1, "churn", 2, 0, 20);
    assert_act(2, 0, "connect", 100, 20, 50);
    assert_act(3, 0, "leave", 0, 5, 50);
    assert_act(4, 0, "storm", 0, 0, 5);
    command_line_free(&config);
}

// In so many seconds each of the 30 sensors has sent one message, and no second one is due.
static void test_each_client_acts_once_in_the_time_that_is_given(void **state)
{
    (void)state;
    for (int seconds = 1; seconds <= 100; seconds++) {
        struct err err;
        char text[512];
        snprintf(text, sizeof text, NEXT "phase day duration=%ds\nsensors do=publish every=%ds\n", seconds,
                 seconds);
        if (parse_text("raw", text, &err) != OPTS_RUN)
            fail_msg("%s", err.text);
        json_t *day = described("phases", 1);
        json_t *act = json_array_get(json_object_get(day, "acts"), 0);
        struct schedule schedule = {.rate_per_s = json_real_value(json_object_get(act, "rate_per_s"))};
        assert_true(schedule_at(&schedule, 29) < seconds * NS_PER_S);
        assert_true(schedule_at(&schedule, 30) >= seconds * NS_PER_S);
        json_decref(day);
        command_line_free(&config);
    }
}

static const struct {
    const char *text, *wrong;
} refused[] = {
    {"", "groups: there is none"},
    {"group phones role=idle connections=5\n", "phases: there is none"},
    {"group Phones\n" CONNECTED, "a name is 1 to 18 of a-z"},
    {"group delivery\n" CONNECTED, "figures of the run have this name"},
    {"group phones\n" CONNECTED, "no group \"sensors\""},
    {"group phones\ngroup phones\n" CONNECTED, "group phones is there twice"},
    {"group phones rolle=idle\n" CONNECTED, "group phones: --rolle: is not an option"},
    {"group phones !idle\n" CONNECTED, "group phones: \"idle\" is no key"},
    {"group phones help\n" CONNECTED, "are no keys"},
    {"group phones\nphase a\nphones do=connect\n", "group phones: --role is missing"},
    {"group phones role=idle\nphase a\nphones do=connect\n", "group phones: --connections is missing"},
    {"group sensors role=publisher connections=3\nphase a\nsensors do=connect\n",
     "group sensors: nobody gets its messages"},
    {"group boards role=subscriber from=sensors connections=3\nphase a\nboards do=connect\n",
     "group boards: --from sensors: there are no publishers"},
    {"group boards role=subscriber connections=3\nphase a\nboards do=connect\n",
     "group boards: --from is missing"},
    {"group p role=pairs connections=3\nphase a\np do=connect\n",
     "group p: --connections 3: pairs are two clients each"},
    {"group p role=idle connections=3 retain\nphase a\np do=connect\n",
     "group p: --retain: idle does not use it; it is for publisher, pairs"},
    {"group p role=idle connections=3 client-id=x\nphase a\np do=connect\n",
     "group p: --client-id \"x\" is the same for all clients"},
    {"group p role=idle connections=3 client-id=x%i\ngroup q role=idle connections=3 client-id=x%i\nphase "
     "a\np do=connect\n",
     "group q: --client-id: group p has the same"},
    {GROUPS "phase a duration=1s\n", "group sensors: it connects in no phase"},
    {GROUPS "phase a\n", "phase a: nobody does anything in it"},
    {NEXT CONNECTED, "phase arrive is there twice"},
    {GROUPS "phase a\nphones do=connect\nphones do=leave\n", "phase a: group phones is there twice"},
    {GROUPS "phase a\nphones do=fly\n", "--do: \"fly\" is unknown; it takes connect"},
    {GROUPS "phase a\nphones to=3\n", "--do is missing"},
    {GROUPS "phase a\nphones do=connect to=51\n", "--to 51: it has 50 clients"},
    {GROUPS "phase a\nphones do=connect away=1s\n",
     "--away: connect does not use it; it is for churn, storm"},
    {GROUPS "phase a\nphones do=leave\n", "0 of its clients are connected"},
    {GROUPS "phase a\nphones do=storm\n", "none of its clients is connected"},
    {NEXT "phase b\nphones do=connect to=20\n", "20 of its clients are connected already"},
    {NEXT "phase b\nphones do=churn rate=5\n", "--do churn: the phase has no duration"},
    {NEXT "phase b duration=1s\nphones do=churn\n", "--do churn takes --rate or --every"},
    {NEXT "phase b duration=1s\nphones do=churn rate=50 away=1s\n",
     "--away: 50 clients would be away at a time, and there are 20"},
    {NEXT "phase b duration=1s\nphones do=churn rate=5 every=1s\n", "--rate and --every"},
    {NEXT "phase b\nphones do=connect schedule=ramp\n", "--schedule ramp: there is no rate"},
    {NEXT "phase b duration=1s\nphones do=churn rate=5 schedule-steps=3\n",
     "--schedule-steps: --schedule constant has none"},
    {NEXT "phase b duration=1s\nphones do=churn rate=5 schedule=ramp schedule-from=50 away=1s\n",
     "--away: 50 clients would be away at a time, and there are 20"},
    {NEXT "phase b\nphones do=storm schedule=ramp\n",
     "--schedule: storm does not use it; it is for connect, publish, churn, subscribe, unsubscribe"},
    {NEXT "phase b\nphones do=storm jitter=0.5\n", "--jitter: without --backoff"},
    {NEXT "phase b\nphones do=leave by=mix\n", "--by mix"},
    {NEXT "phase b\nsensors do=publish rate=5\n", "--do publish: the phase has no duration"},
    {NEXT "phase b duration=1s\nboards do=publish rate=5\n", "--do publish: its role is subscriber"},
    {GROUPS "phase a\nsensors do=connect\nphase b duration=1s\nsensors do=publish rate=5\n",
     "--do publish: of lazy only 0 of 2 clients are connected"},
    {NEXT "phase b duration=1s\nsensors do=publish rate=5\nboards do=storm\n",
     "boards gets its messages, and cannot storm in the same phase"},
    {NEXT "phase b duration=1s\nlazy do=slow\n", "--do slow: sensors does not publish in this phase"},
    {NEXT "phase b duration=1s\nsensors do=publish\nlazy do=slow\n",
     "a closed loop would wait for the slow readers lazy"},
    {NEXT "phase b duration=1s\nsensors do=publish rate=5\nboards do=slow\n",
     "--do slow: its role is subscriber, and not slow-reader"},
    {NEXT "phase b\nphones do=subscribe rate=9\n", "only 20 of its 50 clients are connected"},
    {NEXT "phase b\nboards do=subscribe\n", "--do subscribe takes --rate"},
};

static void assert_refused(int code, const struct err *err, const char *wrong)
{
    assert_int_equal(code, -EINVAL);
    if (!strstr(err->text, wrong))
        fail_msg("\"%s\" is not in \"%s\"", wrong, err->text);
    assert_non_null(strstr(err->text, "mix.json"));
    command_line_free(&config);
}

static void test_what_cannot_be_played_is_refused_by_name(void **state)
{
    (void)state;
    struct err err;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int code = parse_text("raw", refused[i].text, &err);
        assert_refused(code, &err, refused[i].wrong);
    }
    int code = parse_text("paho", NEXT "phase b\nphones do=storm by=rst\n", &err);
    assert_refused(code, &err, "--by rst: engine paho can only send a DISCONNECT");
}

static void test_a_file_of_another_form_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *wrong;
    } bad[] = {{"{", "not JSON"},
               {"[group.phones]", "not JSON"},
               {"[]", "groups: there is none"},
               {"{\"groups\": [7], \"phases\": [7]}", "a name is 1 to 18"},
               {"{\"groups\": [{\"name\": \"p\"}], \"phases\": [7]}", "not a list of words"},
               {"{\"groups\": [{\"name\": \"p\", \"options\": [7]}], \"phases\": [7]}", "not a text"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err;
        int code = parse("raw", bad[i].json, &err);
        assert_refused(code, &err, bad[i].wrong);
    }
}

static void test_options_that_groups_have_are_no_options_of_the_run(void **state)
{
    (void)state;
    static char *const options[][2] = {
        {"--qos", "1"}, {"--username", "u"}, {"--rate", "5"}, {"--keep-alive", "9"}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct err err = {0};
        char *words[] = {"poolmark-loadgen", "mix",         "--target", "a", "--mix", "none",
                         options[i][0],      options[i][1], NULL};
        assert_int_equal(command_line_parse(&config, 8, words, &err), -EINVAL);
        assert_non_null(strstr(err.text, options[i][0]));
        assert_non_null(strstr(err.text, "groups in its file"));
        command_line_free(&config);
    }
}

static void test_a_mix_without_a_file_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    char *words[] = {"poolmark-loadgen", "mix", "--target", "a", NULL};
    assert_int_equal(command_line_parse(&config, 4, words, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no --mix FILE"));
    command_line_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publishers_and_their_subscribers_share_a_pattern),
        cmocka_unit_test(test_rates_and_clients_of_each_phase_follow_from_the_keys),
        cmocka_unit_test(test_each_client_acts_once_in_the_time_that_is_given),
        cmocka_unit_test(test_what_cannot_be_played_is_refused_by_name),
        cmocka_unit_test(test_a_file_of_another_form_is_refused),
        cmocka_unit_test(test_options_that_groups_have_are_no_options_of_the_run),
        cmocka_unit_test(test_a_mix_without_a_file_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
