// SPDX-License-Identifier: Apache-2.0
// Names with variables, files of users, and what they make of each client's CONNECT.
#include "loadgen/identity.h"

#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void parse(struct name_pattern *pattern, const char *text)
{
    struct err err = {0};
    if (name_pattern_parse(pattern, text, &err) < 0)
        fail_msg("%s: %s", text, err.text);
}

static void test_variables_become_what_they_stand_for(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text, *filter;
    } all[] = {
        {"", "", ""},
        {"plain", "plain", "plain"},
        {"%p-%i", "pm-7", "+"},
        {"a/%i/b", "a/7/b", "a/+/b"},
        {"%u/x%c/100%%", "ann/xdev-7/100%", "+/+/100%"},
        {"%p/t/%i", "pm/t/7", "pm/t/+"},
        {"/%i", "/7", "/+"},
        {"%i/", "7/", "+/"},
        {"%i%i//x", "77//x", "+//x"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct name_pattern pattern;
        char text[64], filter[64];
        parse(&pattern, all[i].pattern);
        struct name_values values = {.client_id = "dev-7", .user = "ann", .prefix = "pm", .number = 7};
        size_t bytes = name_pattern_write(&pattern, &values, text);
        assert_string_equal(text, all[i].text);
        assert_int_equal(bytes, strlen(text));
        assert_true(bytes <= name_pattern_bytes(&pattern, 5, 3, 2));
        name_pattern_write_filter(&pattern, "pm", filter);
        assert_string_equal(filter, all[i].filter);
    }
}

static void test_what_begins_no_variable_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"%", "a%z", "%rand", "%rand_", "%rand_0", "%rand_x", "%I"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct name_pattern pattern;
        struct err err = {0};
        assert_int_equal(name_pattern_parse(&pattern, bad[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, strchr(bad[i], '%')));
        assert_non_null(strstr(err.text, "%rand_N"));
    }
    char many[200] = "";
    for (int i = 0; i < 40; i++)
        strcat(many, "%i");
    struct name_pattern pattern;
    struct err err = {0};
    assert_int_equal(name_pattern_parse(&pattern, many, &err), -EINVAL);
}

static void test_random_numbers_are_within_their_bound_and_come_again(void **state)
{
    (void)state;
    struct name_pattern pattern;
    parse(&pattern, "%rand_10 %rand_10");
    bool seen[11] = {false}, differ = false;
    for (int64_t number = 0; number < 1000; number++) {
        char text[64], again[64];
        struct name_values values = {.number = number, .seed = 3};
        name_pattern_write(&pattern, &values, text);
        name_pattern_write(&pattern, &values, again);
        assert_string_equal(text, again);
        int first, second;
        assert_int_equal(sscanf(text, "%d %d", &first, &second), 2);
        assert_in_range(first, 1, 10);
        seen[first] = true;
        differ = differ || first != second;
    }
    for (int i = 1; i <= 10; i++)
        assert_true(seen[i]);
    assert_true(differ);
}

static void test_names_that_may_be_one_for_two_clients_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        bool ambiguous;
    } all[] = {{"%i", false},  {"x%i", false},      {"%u-%i", false}, {"%u%i", true}, {"%i%u", true},
               {"%i%i", true}, {"%i%rand_9", true}, {"%p%i", false},  {"1%i", false}, {"%c/%i", false}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct name_pattern pattern;
        parse(&pattern, all[i].pattern);
        assert_int_equal(name_pattern_is_ambiguous(&pattern), all[i].ambiguous);
    }
}

// --- users -------------------------------------------------------------------------------------------------

static int read_users(struct users *users, const char *path, const char *text, size_t bytes, struct err *err)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
    *err = (struct err){0};
    return users_read(users, path, err);
}

static void test_users_are_read_from_a_csv_file(void **state)
{
    struct temp_place *place = *state;
    struct users users;
    struct err err;
    static const char text[] = "\xEF\xBB\xBFusername,password\r\n"
                               "ann,secret\r\n"
                               "\n"
                               "\"b,o\"\"b\",\"pass,word\"\n"
                               "carl\n"
                               "dora,\n"
                               "\xC3\xA9mile,\"two\nlines\"";
    assert_int_equal(read_users(&users, place->file, text, sizeof text - 1, &err), 0);
    static const struct {
        const char *user, *password;
    } expected[] = {{"ann", "secret"},
                    {"b,o\"b", "pass,word"},
                    {"carl", NULL},
                    {"dora", ""},
                    {"\xC3\xA9mile", "two\nlines"}};
    assert_int_equal(users.count, 5);
    assert_int_equal(users.with_password, 4);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(users.rows[i].user, expected[i].user);
        assert_int_equal(users.rows[i].user_bytes, strlen(expected[i].user));
        assert_int_equal(users.rows[i].has_password, expected[i].password != NULL);
        if (!expected[i].password)
            continue;
        assert_int_equal(users.rows[i].password_bytes, strlen(expected[i].password));
        assert_memory_equal(users.rows[i].password, expected[i].password, strlen(expected[i].password));
    }
    assert_int_equal(users.user_most, 6);
    assert_int_equal(users.password_most, 9);
    users_free(&users);
}

static void test_a_wrong_line_of_users_is_named_and_not_shown(void **state)
{
    struct temp_place *place = *state;
    char long_name[70000];
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name + sizeof long_name - 8, ",secret\n", 8);
    const struct {
        const char *text;
        size_t bytes;
        const char *said;
    } all[] = {
        {"ann,secret\n,secret\n", 18, "line 2: a password without a user name [MQTT-3.1.2-22]"},
        {"ann,secret,more\n", 16, "line 1: more than two columns"},
        {"\n\"ann,secret\n", 13, "line 2: a quote that does not end"},
        {"\"ann\"x,secret\n", 14, "line 1: text behind the quote"},
        {"a\xFFn,secret\n", 11, "line 1: a user name that is not UTF-8 [MQTT-1.5.3-1]"},
        {"a\0n,secret\n", 11, "line 1: a user name with U+0000 [MQTT-1.5.3-2]"},
        {long_name, sizeof long_name, "line 1: more than 65 535 bytes"},
        {"username,password\n", 18, "has no user"},
        {"", 0, "has no user"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct users users;
        struct err err;
        assert_int_equal(read_users(&users, place->file, all[i].text, all[i].bytes, &err), -EINVAL);
        if (!strstr(err.text, all[i].said))
            fail_msg("\"%s\" has no \"%s\"", err.text, all[i].said);
        assert_non_null(strstr(err.text, place->file));
        assert_null(strstr(err.text, "secret"));
        assert_null(users.rows);
    }
    struct users users;
    struct err err = {0};
    assert_int_equal(users_read(&users, "/nonexist/users.csv", &err), -EINVAL);
    assert_non_null(strstr(err.text, "cannot read /nonexist/users.csv"));
    assert_int_equal(users_read(&users, place->dir, &err), -EINVAL);
}

// --- clients -----------------------------------------------------------------------------------------------

static void test_a_plain_client_has_prefix_and_number(void **state)
{
    (void)state;
    const struct identity *plain = identity_plain();
    char texts[256];
    struct mqtt_connect connect;
    identity_fill(plain, "pm12345678901p", 999999999, texts, &connect);
    assert_string_equal(connect.client_id.data, "pm12345678901p-999999999");
    assert_false(connect.has_user_name || connect.has_password || connect.has_will);
    assert_true(connect.client_id.bytes < plain->texts_bytes);
}

static void test_a_client_has_the_names_and_the_will_of_its_number(void **state)
{
    (void)state;
    struct identity identity = {.first = 100, .will_qos = 2, .will_retain = true, .password = strdup("p%i")};
    parse(&identity.client_id, "dev-%i");
    parse(&identity.username, "u/%c");
    parse(&identity.secret, identity.password);
    parse(&identity.will_topic, "gone/%u");
    parse(&identity.will_payload, "%i %c");
    char texts[256];
    struct mqtt_connect connect;
    identity_fill(&identity, "pm", 5, texts, &connect);
    assert_string_equal(connect.client_id.data, "dev-105");
    assert_true(connect.has_user_name && connect.has_password && connect.has_will);
    assert_string_equal(connect.user_name.data, "u/dev-105");
    assert_int_equal(connect.password.bytes, 4);
    assert_memory_equal(connect.password.data, "p105", 4);
    assert_string_equal(connect.will_topic.data, "gone/u/dev-105");
    assert_memory_equal(connect.will_message.data, "105 dev-105", connect.will_message.bytes);
    assert_int_equal(connect.will_qos, 2);
    assert_true(connect.will_retain);
    identity_free(&identity);
}

static void test_clients_take_the_lines_of_users_in_turn(void **state)
{
    struct temp_place *place = *state;
    struct identity identity = {.password = strdup("common")};
    struct err err;
    static const char text[] = "ann,a\nbob\n";
    assert_int_equal(read_users(&identity.users, place->file, text, sizeof text - 1, &err), 0);
    parse(&identity.client_id, "%u-%i");
    parse(&identity.secret, identity.password);
    static const struct {
        const char *id, *password;
    } expected[] = {{"ann-0", "a"}, {"bob-1", "common"}, {"ann-2", "a"}};
    for (int i = 0; i < 3; i++) {
        char texts[256];
        struct mqtt_connect connect;
        identity_fill(&identity, "pm", i, texts, &connect);
        assert_string_equal(connect.client_id.data, expected[i].id);
        assert_int_equal(connect.password.bytes, strlen(expected[i].password));
        assert_memory_equal(connect.password.data, expected[i].password, connect.password.bytes);
    }
    identity_free(&identity);
}

static void test_topics_have_numbers_of_their_own_and_the_names_of_a_client(void **state)
{
    (void)state;
    struct identity identity = {.first = 10, .topic_bytes = 64};
    parse(&identity.client_id, "dev-%i");
    parse(&identity.topic, "t/%i/%c");
    char to[256];
    assert_string_equal(identity_topic(&identity, "pm", 2, 5, to), "t/12/dev-15");
    assert_string_equal(identity_filter(&identity, "pm", to), "t/+/+");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables_become_what_they_stand_for),
        cmocka_unit_test(test_what_begins_no_variable_is_named),
        cmocka_unit_test(test_random_numbers_are_within_their_bound_and_come_again),
        cmocka_unit_test(test_names_that_may_be_one_for_two_clients_are_known),
        cmocka_unit_test_setup_teardown(test_users_are_read_from_a_csv_file, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_line_of_users_is_named_and_not_shown, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(test_a_plain_client_has_prefix_and_number),
        cmocka_unit_test(test_a_client_has_the_names_and_the_will_of_its_number),
        cmocka_unit_test_setup_teardown(test_clients_take_the_lines_of_users_in_turn, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(test_topics_have_numbers_of_their_own_and_the_names_of_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
