// SPDX-License-Identifier: Apache-2.0
// Retained messages: kept, replaced, forgotten and matched, with every reference given back.
#include "broker/mqtt/retained.h"
#include "tests/store_of.h"
#include "broker/mqtt/message.h"
#include "tests/naive_match.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct fixture {
    struct pool *pool;
    struct retained *retained;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 256;
    if (!fixture || pool_open(&fixture->pool, pool_strategy_find("malloc"), &config, NULL) < 0 ||
        retained_open(&fixture->retained, &(struct retained_rules){0}) < 0)
        return -1;
    *state = fixture;
    return 0;
}

// Whatever a test left in is let go, and then the pool must have everything back.
static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct pool_stats stats;
    retained_close(fixture->retained);
    pool_stats(fixture->pool, &stats);
    pool_close(fixture->pool);
    free(fixture);
    return stats.in_use == 0 ? 0 : -1;
}

static void keep(struct fixture *fixture, const char *topic, const char *payload)
{
    struct mqtt_bytes bytes = {payload, strlen(payload)};
    struct message *message = message_new(store_of(fixture->pool), mqtt_text_of(topic), bytes, 1, true);
    assert_non_null(message);
    assert_int_equal(retained_set(fixture->retained, mqtt_text_of(topic), message), 0);
    message_unref(message);
}

static void forget(struct fixture *fixture, const char *topic)
{
    assert_int_equal(retained_set(fixture->retained, mqtt_text_of(topic), NULL), 0);
}

// Topics and messages may have three quarters of the account: what is beyond is not kept, and changes nothing.
static void test_what_is_retained_leaves_a_quarter_to_others(void **state)
{
    (void)state;
    struct account account;
    account_open(&account, 64 * 1024);
    struct pool *pool;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 256;
    assert_int_equal(pool_open(&pool, pool_strategy_find("malloc"), &config, NULL), 0);
    struct block_store store;
    block_store_open(&store, pool, &account, ACCOUNT_MESSAGES);
    struct retained *retained;
    assert_int_equal(retained_open(&retained, &(struct retained_rules){.account = &account}), 0);
    int64_t kept = 0;
    int code = 0;
    while (code == 0) {
        char topic[24];
        snprintf(topic, sizeof topic, "t/%lld", (long long)kept);
        struct message *message =
            message_new(&store, mqtt_text_of(topic), (struct mqtt_bytes){"x", 1}, 1, true);
        assert_non_null(message); // the account has room for it until the end
        code = retained_set(retained, mqtt_text_of(topic), message);
        message_unref(message);
        kept += code == 0;
    }
    assert_int_equal(code, -ENOMEM);
    assert_int_equal(retained_count(retained), kept);
    assert_true(retained_is_valid(retained));
    assert_true(account_sum(&account) <= 48 * 1024);
    assert_true(account_sum(&account) > 47 * 1024);
    assert_true(account_take(&account, ACCOUNT_SUBSCRIPTIONS,
                             12 * 1024 - 1)); // what is left below the last sixteenth
    account_give(&account, ACCOUNT_SUBSCRIPTIONS, 12 * 1024 - 1);
    // A smaller message in place of one that is there, and the end of one, are always taken.
    assert_int_equal(retained_set(retained, mqtt_text_of("t/0"), NULL), 0);
    assert_int_equal(retained_count(retained), kept - 1);
    retained_close(retained);
    assert_int_equal(account_sum(&account), 0);
    pool_close(pool);
}

struct seen {
    char text[1024]; // " topic=payload" of each
    int count;
};

static void see(void *context, struct message *message)
{
    struct seen *seen = context;
    struct mqtt_text topic = message_topic(message);
    struct mqtt_bytes payload = message_payload(message);
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, " %.*s=%.*s", (int)topic.bytes, topic.data,
             (int)payload.bytes, (const char *)payload.data);
    seen->count++;
}

static struct seen match(struct fixture *fixture, const char *filter)
{
    struct seen seen = {.count = 0};
    int64_t count = retained_match(fixture->retained, mqtt_text_of(filter), see, &seen);
    assert_int_equal(count, seen.count);
    return seen;
}

static void test_mqtt_3_3_1_5_a_new_message_replaces_the_one_before(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, "a/b", "old");
    keep(fixture, "a/b", "new");
    assert_string_equal(match(fixture, "a/b").text, " a/b=new");
    assert_int_equal(retained_count(fixture->retained), 1);
}

static void test_mqtt_3_3_1_10_an_empty_payload_forgets_the_message(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, "a/b", "x");
    keep(fixture, "a", "y");
    forget(fixture, "a/b");
    forget(fixture, "a/b");   // there is none any more
    forget(fixture, "never"); // nor ever was
    forget(fixture, "a/b/c/d");
    assert_string_equal(match(fixture, "#").text, " a=y");
    assert_int_equal(retained_count(fixture->retained), 1);
    assert_true(retained_is_valid(fixture->retained));
}

static void test_mqtt_3_3_1_6_a_filter_gets_every_message_that_matches(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, "sport", "1");
    keep(fixture, "sport/tennis", "2");
    keep(fixture, "sport/tennis/player1", "3");
    keep(fixture, "sport/golf/player1", "4");
    keep(fixture, "/finance", "5");
    assert_int_equal(match(fixture, "#").count, 5);
    assert_int_equal(match(fixture, "sport/#").count, 4);
    assert_int_equal(match(fixture, "sport/+/player1").count, 2);
    assert_string_equal(match(fixture, "+").text, " sport=1");
    assert_string_equal(match(fixture, "/+").text, " /finance=5");
    assert_int_equal(match(fixture, "+/+").count, 2);
    assert_int_equal(match(fixture, "sport/tennis/player1/#").count, 1);
    assert_int_equal(match(fixture, "sports").count, 0);
}

static void test_mqtt_4_7_2_1_wildcards_do_not_find_topics_that_begin_with_a_dollar(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, "$SYS/broker/uptime", "1");
    keep(fixture, "$SYS", "2");
    keep(fixture, "a/$b", "3");
    assert_string_equal(match(fixture, "#").text, " a/$b=3");
    assert_string_equal(match(fixture, "+/#").text, " a/$b=3");
    assert_int_equal(match(fixture, "+").count, 0);
    assert_int_equal(match(fixture, "+/broker/uptime").count, 0);
    assert_int_equal(match(fixture, "$SYS/#").count, 2);
    assert_int_equal(match(fixture, "$SYS/+/uptime").count, 1);
}

static int try_to_keep(struct retained *retained, struct pool *pool, const char *topic, size_t bytes)
{
    static const char payload[1000];
    struct message *message =
        message_new(store_of(pool), mqtt_text_of(topic), (struct mqtt_bytes){payload, bytes}, 0, true);
    assert_non_null(message);
    int code = retained_set(retained, mqtt_text_of(topic), message);
    message_unref(message);
    return code;
}

static void test_past_the_bound_on_their_number_only_replacing_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct retained *few;
    assert_int_equal(retained_open(&few, &(struct retained_rules){.max_messages = 2}), 0);
    assert_int_equal(try_to_keep(few, fixture->pool, "a", 10), 0);
    assert_int_equal(try_to_keep(few, fixture->pool, "b/c", 10), 0);
    assert_int_equal(try_to_keep(few, fixture->pool, "b/d", 10), -ENOSPC);
    assert_int_equal(retained_count(few), 2);
    assert_int_equal(try_to_keep(few, fixture->pool, "a", 20), 0);
    assert_int_equal(retained_set(few, mqtt_text_of("a"), NULL), 0);
    assert_int_equal(try_to_keep(few, fixture->pool, "b/d", 10), 0);
    assert_true(retained_is_valid(few));
    retained_close(few);
}

static void test_past_the_bound_on_their_bytes_the_message_before_stays(void **state)
{
    struct fixture *fixture = *state;
    struct retained *small;
    assert_int_equal(retained_open(&small, &(struct retained_rules){.max_bytes = 1000}), 0);
    assert_int_equal(try_to_keep(small, fixture->pool, "a", 300), 0);
    assert_int_equal(try_to_keep(small, fixture->pool, "b", 300), 0);
    assert_int_equal(try_to_keep(small, fixture->pool, "a", 700), -ENOSPC);
    assert_int_equal(try_to_keep(small, fixture->pool, "c", 400), -ENOSPC);
    assert_int_equal(retained_count(small), 2);
    assert_int_equal(try_to_keep(small, fixture->pool, "a", 100), 0); // smaller: there is room again
    assert_int_equal(try_to_keep(small, fixture->pool, "c", 400), 0);
    assert_true(retained_is_valid(small));
    retained_close(small);
}

static void test_a_visitor_may_keep_what_it_was_shown(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, "a", "kept");
    struct message *message =
        message_new(store_of(fixture->pool), mqtt_text_of("b"), (struct mqtt_bytes){"x", 1}, 0, true);
    assert_non_null(message);
    assert_int_equal(retained_set(fixture->retained, mqtt_text_of("b"), message), 0);
    forget(fixture, "b");
    assert_int_equal(message_payload(message).bytes, 1); // ours still
    message_unref(message);
}

// Sets, clears and matches random topics, and compares with a plain list.
static void test_random_filters_find_what_the_plainest_matcher_finds(void **state)
{
    enum { TOPICS = 400, STEPS = 10000 };
    struct fixture *fixture = *state;
    static char topics[TOPICS][RANDOM_TOPIC_BYTES];
    static bool is_kept[TOPICS];
    uint64_t seed = 3311;
    int count = 0;
    memset(is_kept, 0, sizeof is_kept);
    while (count < TOPICS) { // different ones
        random_topic(&seed, false, topics[count]);
        bool is_new = true;
        for (int i = 0; i < count; i++)
            is_new = is_new && strcmp(topics[i], topics[count]) != 0;
        if (is_new)
            count++;
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t which = random_next(&seed, TOPICS);
        if (step % 3 == 0) {
            keep(fixture, topics[which], "x");
            is_kept[which] = true;
        } else if (step % 7 == 0) {
            forget(fixture, topics[which]);
            is_kept[which] = false;
        } else {
            char filter[RANDOM_TOPIC_BYTES];
            random_topic(&seed, true, filter);
            int wanted = 0;
            for (int i = 0; i < TOPICS; i++)
                wanted += is_kept[i] && naive_match(filter, topics[i]);
            struct seen seen = {.count = 0};
            int64_t found = retained_match(fixture->retained, mqtt_text_of(filter), see, &seen);
            assert_int_equal(found, wanted);
        }
    }
    assert_true(retained_is_valid(fixture->retained));
}

static void *keep_and_forget(void *context)
{
    struct fixture *fixture = context;
    for (int i = 0; i < 500; i++) {
        char topic[32];
        snprintf(topic, sizeof topic, "t/%d", i % 20);
        struct message *message =
            message_new(store_of(fixture->pool), mqtt_text_of(topic), (struct mqtt_bytes){"x", 1}, 0, true);
        if (!message || retained_set(fixture->retained, mqtt_text_of(topic), i % 3 ? message : NULL) < 0)
            abort();
        message_unref(message);
    }
    return NULL;
}

static void *look(void *context)
{
    struct fixture *fixture = context;
    for (int i = 0; i < 500; i++) {
        struct seen seen = {.count = 0};
        retained_match(fixture->retained, mqtt_text_of(i % 2 ? "t/+" : "t/7"), see, &seen);
    }
    return NULL;
}

static void test_threads_keep_forget_and_match_at_once(void **state)
{
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? look : keep_and_forget, *state), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_true(retained_is_valid(((struct fixture *)*state)->retained));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mqtt_3_3_1_5_a_new_message_replaces_the_one_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_mqtt_3_3_1_10_an_empty_payload_forgets_the_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_mqtt_3_3_1_6_a_filter_gets_every_message_that_matches, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_mqtt_4_7_2_1_wildcards_do_not_find_topics_that_begin_with_a_dollar, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_past_the_bound_on_their_number_only_replacing_is_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_past_the_bound_on_their_bytes_the_message_before_stays, set_up,
                                        tear_down),
        cmocka_unit_test(test_what_is_retained_leaves_a_quarter_to_others),
        cmocka_unit_test_setup_teardown(test_a_visitor_may_keep_what_it_was_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random_filters_find_what_the_plainest_matcher_finds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_threads_keep_forget_and_match_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
