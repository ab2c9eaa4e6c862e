// SPDX-License-Identifier: Apache-2.0
// The options of an identity and of messages: what fits together, and how what does not is named.
#include "loadgen/command_line.h"
#include "loadgen/engine.h"
#include "loadgen/scenario.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 40 };
static struct config config;

// Parses copies of the words: a password is overwritten. `said`: NULL, or what the error has in it.
__attribute__((sentinel)) static void expect(const char *said, ...)
{
    char *words[WORDS_MAX] = {strdup("poolmark-loadgen"), strdup("--target"), strdup("mqtt://127.0.0.1:1")};
    char *copies[WORDS_MAX];
    int count = 3;
    va_list list;
    va_start(list, said);
    for (const char *word; (word = va_arg(list, const char *));) {
        assert_true(count < WORDS_MAX - 1);
        words[count++] = strdup(word);
    }
    va_end(list);
    memcpy(copies, words, sizeof words);
    struct err err = {0};
    int code = command_line_parse(&config, count, words, &err);
    if (!said && code != OPTS_RUN)
        fail_msg("%s", err.text);
    if (said && (code != -EINVAL || !strstr(err.text, said)))
        fail_msg("code %d, \"%s\" has no \"%s\"", code, err.text, said);
    for (int i = 0; i < count; i++)
        free(copies[i]);
    command_line_free(&config);
}

static void test_a_password_needs_a_user_and_is_never_shown(void **state)
{
    (void)state;
    expect("[MQTT-3.1.2-22]", "connect", "--password", "s3cret", NULL);
    expect("--password: a percent sign begins a variable", "connect", "--username", "u", "--password",
           "s3cret%z", NULL);
    expect("--username and --users", "connect", "--username", "u", "--users", "f", NULL);
    expect("--username is empty", "connect", "--username", "", NULL);
    expect(NULL, "connect", "--username", "u", "--password", "s3cret", NULL);
    expect(NULL, "connect", "--username", "u%i", "--password", "100%%", NULL);
}

static void test_a_password_is_overwritten_in_the_arguments_and_left_out_of_the_record(void **state)
{
    (void)state;
    char one[] = "--password=s3cret", two[] = "s3cret", three[] = "--password=", four[] = "s3cret";
    char *words[] = {(char[]){"poolmark-loadgen"},
                     (char[]){"connect"},
                     (char[]){"--target"},
                     (char[]){"a"},
                     (char[]){"--password"},
                     two,
                     (char[]){"--username"},
                     four,
                     NULL};
    struct err err = {0};
    assert_int_equal(command_line_parse(&config, 8, words, &err), OPTS_RUN);
    assert_string_equal(two, "*");
    assert_null(memchr(two + 1, 'e', sizeof two - 1));
    assert_string_equal(four, "s3cret"); // the user's name is no secret
    assert_string_equal(config.identity.password, "s3cret");
    json_t *json = command_line_json(&config);
    char *text = json_dumps(json_object_get(json_object_get(json, "identity"), "password"), JSON_ENCODE_ANY);
    assert_string_equal(text, "\"given, and not recorded\"");
    free(text);
    json_decref(json);
    command_line_free(&config);
    char *joined[] = {(char[]){"poolmark-loadgen"},
                      (char[]){"connect"},
                      (char[]){"--target"},
                      (char[]){"a"},
                      one,
                      (char[]){"--username"},
                      four,
                      NULL};
    assert_int_equal(command_line_parse(&config, 7, joined, &err), OPTS_RUN);
    assert_string_equal(one, "--password=*");
    assert_string_equal(config.identity.password, "s3cret");
    command_line_free(&config);
    char *twice[] = {(char[]){"poolmark-loadgen"}, (char[]){"connect"},           (char[]){"--password"},
                     (char[]){"s3cret"},           (char[]){"--password=s4cret"}, NULL};
    assert_int_equal(command_line_parse(&config, 5, twice, &err), -EINVAL);
    assert_string_equal(err.text, "--password: is given twice; it takes one value"); // and neither is shown
    char *empty[] = {(char[]){"poolmark-loadgen"},
                     (char[]){"connect"},
                     (char[]){"--target"},
                     (char[]){"a"},
                     three,
                     (char[]){"--username"},
                     (char[]){"u"},
                     NULL};
    assert_int_equal(command_line_parse(&config, 7, empty, &err), OPTS_RUN);
    command_line_free(&config);
}

static void test_client_identifiers_differ(void **state)
{
    (void)state;
    expect("--client-id \"me\" is the same for all clients", "connect", "--client-id", "me", NULL);
    expect(NULL, "connect", "--client-id", "me", "--connections", "1", NULL);
    expect("put a sign between them", "connect", "--client-id", "%i%u", "--username", "u", NULL);
    expect("is the same for all clients", "connect", "--client-id", "%u", "--username", "u", NULL);
    expect(NULL, "connect", "--client-id", "%u", "--username", "u%i", NULL);
    expect("would be a part of itself", "connect", "--client-id", "%i%%-%c", NULL);
    expect("would be a part of itself", "connect", "--client-id", "%i-%u", "--username", "%c", NULL);
    expect("begins no variable", "connect", "--client-id", "%x", NULL);
    expect("--client-id is not UTF-8 [MQTT-1.5.3-1]", "connect", "--client-id", "\xFF%i", NULL);
    expect(NULL, "connect", "--client-id", "", NULL);
    expect("[MQTT-3.1.3-8]", "connect", "--client-id", "", "--clean", "false", NULL);
    expect("[MQTT-3.1.3-8]", "churn", "--client-id", "", "--keep-sessions", NULL);
}

static void test_client_identifiers_by_users_take_a_user_each(void **state)
{
    struct temp_place *place = *state;
    FILE *file = fopen(place->file, "w");
    assert_non_null(file);
    fputs("ann,s3cret\nbob,s3cret\nann,other\n", file);
    fclose(file);
    expect("has 3 users for 4 clients", "connect", "--client-id", "%u", "--users", place->file,
           "--connections", "4", NULL);
    expect("has the user \"ann\" twice", "connect", "--client-id", "%u", "--users", place->file,
           "--connections", "3", NULL);
    expect(NULL, "connect", "--client-id", "%u-%i", "--users", place->file, "--connections", "9", NULL);
    expect("--users: cannot read /nonexist", "connect", "--users", "/nonexist", NULL);
}

static void test_a_will_has_a_topic(void **state)
{
    (void)state;
    expect("--will-payload: there is no will", "connect", "--will-payload", "x", NULL);
    expect("--will-qos: there is no will", "connect", "--will-qos", "1", NULL);
    expect("--will-retain: there is no will", "connect", "--will-retain", NULL);
    expect("--will-qos", "connect", "--will-topic", "a", "--will-qos", "3", NULL);
    expect("[MQTT-4.7.3-1]", "connect", "--will-topic", "", NULL);
    expect("--will-topic: \"a/#\": a wildcard in a topic name [MQTT-3.3.2-2]", "connect", "--will-topic",
           "a/#", NULL);
    expect("--will-topic: \"a/u+\"", "connect", "--will-topic", "a/%u", "--username", "u+", NULL);
    expect(NULL, "connect", "--will-topic", "a/%c", "--will-payload", "\xFF", "--will-qos", "2",
           "--will-retain", NULL);
}

static void test_topics_fit_the_pattern(void **state)
{
    (void)state;
    expect("is the same for all 100 topics; it takes %i", "publish", "--topic", "a", NULL);
    expect(NULL, "publish", "--topic", "a", "--pairs", "1", NULL);
    expect(NULL, "publish", "--topic", "a/%c", NULL);
    expect("is the same for all", "publish", "--topic", "a/%c", "--client-id", "", NULL);
    expect("publishers share a topic", "publish", "--topic", "a/%c", "--pattern", "fan-out", NULL);
    expect(NULL, "publish", "--topic", "a", "--pattern", "fan-out", NULL);
    expect("is the same for all 3 topics", "publish", "--topic", "a", "--pattern", "topics:3", NULL);
    expect(NULL, "publish", "--topic", "a", "--pattern", "fan-in", NULL);
    expect("--topic: \"a/+/0\": a wildcard", "publish", "--topic", "a/+/%i", NULL);
    expect(NULL, "connect", "--subscribe", "--topic", "a/+/#", NULL);
    expect("--topic: without --subscribe", "connect", "--topic", "a/b", NULL);
    expect("--topic: without --subscribe", "churn", "--topic", "a/%i", NULL);
    expect("`scripts/poolmark limit` searches", "publish", "--find-limit", NULL);
    expect("[MQTT-4.7.1-2]", "connect", "--subscribe", "--topic", "#/a", NULL);
    expect("[MQTT-4.7.3-1]", "publish", "--topic", "", NULL);
}

static void test_a_field_has_at_most_65_535_bytes(void **state)
{
    (void)state;
    static const char *const options[] = {"--client-id", "--username", "--topic", "--will-topic",
                                          "--will-payload"};
    char *text = malloc(65600);
    assert_non_null(text);
    for (int over = 0; over < 2; over++) {
        size_t bytes = over ? 65520 : 65515; // and %i, of up to 20
        memset(text, 'a', bytes);
        memcpy(text + bytes, "%i", 3);
        for (int i = 0; i < 5; i++) {
            char said[64];
            snprintf(said, sizeof said, "%s: up to 65540 bytes", options[i]);
            if (strcmp(options[i], "--will-payload") == 0)
                expect(over ? said : NULL, "connect", "--will-topic", "w", options[i], text, NULL);
            else
                expect(over ? said : NULL, "connect", "--subscribe", options[i], text, NULL);
        }
    }
    memset(text, 'a', 65536);
    text[65536] = '\0';
    expect("--password: up to 65536 bytes", "connect", "--username", "u", "--password", text, NULL);
    free(text);
}

static void test_sessions_are_kept_on_request_in_every_scenario(void **state)
{
    (void)state;
    struct err err;
    char *kept[] = {(char[]){"x"},       (char[]){"--target"}, (char[]){"a"}, (char[]){"publish"},
                    (char[]){"--clean"}, (char[]){"false"},    NULL};
    assert_int_equal(command_line_parse(&config, 6, kept, &err), OPTS_RUN);
    assert_true(config.keep_sessions);
    command_line_free(&config);
    char *clean[] = {(char[]){"x"}, (char[]){"--target"}, (char[]){"a"}, (char[]){"publish"}, NULL};
    assert_int_equal(command_line_parse(&config, 4, clean, &err), OPTS_RUN);
    assert_false(config.keep_sessions);
    command_line_free(&config);
    expect("--clean: \"no\" is unknown", "connect", "--clean", "no", NULL);
}

// --- the Open MQTT Benchmark Suite -------------------------------------------------------------------------

static json_t *opened(const char *name, const char *scale, const char *option, const char *value)
{
    char *words[WORDS_MAX] = {strdup("x"),   strdup("--open"),   strdup(name), strdup("--scale"),
                              strdup(scale), strdup("--target"), strdup("a")};
    char *copies[WORDS_MAX];
    int count = 7;
    if (option) {
        words[count++] = strdup(option);
        words[count++] = strdup(value);
    }
    memcpy(copies, words, sizeof words);
    struct err err = {0};
    if (command_line_parse(&config, count, words, &err) != OPTS_RUN)
        fail_msg("%s: %s", name, err.text);
    json_t *json = command_line_json(&config);
    for (int i = 0; i < count; i++)
        free(copies[i]);
    command_line_free(&config);
    return json;
}

static double number(const json_t *json, const char *name)
{
    json_t *value = json_object_get(json, name);
    if (!json_is_number(value))
        fail_msg("the configuration has no number %s", name);
    return json_number_value(value);
}

static void test_scenarios_of_the_open_suite_are_those_of_ours_scaled(void **state)
{
    (void)state;
    static const struct {
        const char *name, *scenario, *scale;
        double connections, publishers, subscribers, rate;
    } all[] = {
        {"conn-tcp-1M-5K", "connect", "1", 1000000, 0, 0, 5000},
        {"conn-tcp-1M-5K", "connect", "0.01", 10000, 0, 0, 50},
        {"conn-tcp-10K-100", "connect", "0.001", 10, 0, 0, 1}, // never less than one
        {"p2p-50K-50K-50K-50K", "publish", "1", 100000, 50000, 50000, 50000},
        {"p2p-1K-1K-1K-1K", "publish", "0.01", 20, 10, 10, 10},
        {"fanout-5-1000-5-250K", "publish", "0.1", 105, 5, 100, 250},
        {"fanout-1-1K-1-1K", "publish", "1", 1001, 1, 1000, 1},
        {"fanin-50K-500-50K-50K", "publish", "0.01", 505, 500, 5, 500},
        {"fanin-1K-5-1K-1K", "publish", "0.1", 101, 100, 1, 100},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        json_t *json = opened(all[i].name, all[i].scale, NULL, NULL);
        assert_string_equal(json_string_value(json_object_get(json, "scenario")), all[i].scenario);
        assert_string_equal(json_string_value(json_object_get(json, "engine")), "raw");
        assert_true(number(json, "connections") == all[i].connections);
        assert_true(number(json, "keep_alive_s") == 300);
        assert_true(json_is_true(json_object_get(json, "clean_session")));
        bool connects = strcmp(all[i].scenario, "connect") == 0;
        assert_true(number(json, connects ? "rate_per_s" : "publish_rate_per_s") == all[i].rate);
        if (!connects) {
            assert_true(number(json, "qos") == 1);
            bool pairs = strncmp(all[i].name, "p2p", 3) == 0;
            assert_true(number(json, pairs ? "pairs" : "publishers") == all[i].publishers);
            assert_true(pairs || number(json, "subscribers") == all[i].subscribers);
        }
        const json_t *open = json_object_get(json, "open");
        assert_string_equal(json_string_value(json_object_get(open, "name")), all[i].name);
        assert_non_null(strstr(json_string_value(json_object_get(open, "is")), "30 minutes"));
        assert_null(strstr(json_string_value(json_object_get(open, "is")), "Given otherwise"));
        json_decref(json);
    }
}

static void test_options_beside_open_count(void **state)
{
    (void)state;
    json_t *json = opened("p2p-50K-50K-50K-50K", "0.01", "--duration", "2s");
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(json, "open"), "is")),
                           " Given otherwise: --duration."));
    assert_true(number(json, "duration_ns") == 2e9);
    assert_true(number(json, "pairs") == 500);
    json_decref(json);
    json = opened("conn-tcp-1M-5K", "0.001", "--hold", "1s");
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(json, "open"), "is")),
                           "stay for 30 minutes (--hold). Given otherwise: --hold."));
    json_decref(json);
    json = opened("p2p-50K-50K-50K-50K", "0.01", "--pairs", "7");
    assert_true(number(json, "connections") == 14);
    json_decref(json);
    expect("\"p2p\" is no scenario of the suite", "--open", "p2p", NULL);
    expect("no shared subscriptions: fanin- has the same load", "--open", "sharedsub-50K-500-50K-50K", NULL);
    expect("--scale is of --open", "connect", "--scale", "0.5", NULL);
    expect("--scale", "--open", "p2p-1K-1K-1K-1K", "--scale", "2", NULL);
    expect("it stands in place of a scenario", "publish", "--open", "p2p-1K-1K-1K-1K", NULL);
    expect("--steps: scenario publish does not use it", "--open", "p2p-1K-1K-1K-1K", "--steps", "1", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_password_needs_a_user_and_is_never_shown),
        cmocka_unit_test(test_a_password_is_overwritten_in_the_arguments_and_left_out_of_the_record),
        cmocka_unit_test(test_client_identifiers_differ),
        cmocka_unit_test_setup_teardown(test_client_identifiers_by_users_take_a_user_each, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(test_a_will_has_a_topic),
        cmocka_unit_test(test_topics_fit_the_pattern),
        cmocka_unit_test(test_a_field_has_at_most_65_535_bytes),
        cmocka_unit_test(test_sessions_are_kept_on_request_in_every_scenario),
        cmocka_unit_test(test_scenarios_of_the_open_suite_are_those_of_ours_scaled),
        cmocka_unit_test(test_options_beside_open_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
