// SPDX-License-Identifier: Apache-2.0
// Subscriptions: the examples of section 4.7, overlapping filters, subscribers that come and go, a property
// test against the plainest matcher there is, and threads.
#include "broker/mqtt/account.h"
#include "broker/mqtt/topics.h"
#include "tests/naive_match.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CALLS_MAX = 512 };

struct calls {
    struct topics_subscriber *subscribers[CALLS_MAX];
    uint8_t qos[CALLS_MAX];
    int count;
    uint32_t work;
};

static void record(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    struct calls *calls = context;
    assert_true(calls->count < CALLS_MAX);
    for (int i = 0; i < calls->count; i++)
        assert_ptr_not_equal(calls->subscribers[i], subscriber); // each once
    calls->subscribers[calls->count] = subscriber;
    calls->qos[calls->count++] = qos;
}

static struct topics *open_topics(void)
{
    struct topics *topics = NULL;
    assert_int_equal(topics_open(&topics, NULL), 0);
    return topics;
}

static int subscribe(struct topics *topics, struct topics_subscriber *subscriber, const char *filter,
                     uint8_t qos)
{
    return topics_subscribe(topics, subscriber, mqtt_text_of(filter), qos);
}

static struct calls match(struct topics *topics, const char *name)
{
    struct calls calls = {.count = 0, .work = 0};
    int64_t count = topics_match(topics, mqtt_text_of(name), NULL, record, &calls, &calls.work);
    assert_int_equal(count, calls.count);
    return calls;
}

// The QoS that `subscriber` would get, -1 for nothing.
static int qos_for(const struct calls *calls, const struct topics_subscriber *subscriber)
{
    for (int i = 0; i < calls->count; i++)
        if (calls->subscribers[i] == subscriber)
            return calls->qos[i];
    return -1;
}

static bool matches(const char *filter, const char *name)
{
    struct topics *topics = open_topics();
    struct topics_subscriber subscriber = {0};
    assert_int_equal(subscribe(topics, &subscriber, filter, 1), 1);
    bool matched = match(topics, name).count == 1;
    assert_int_equal(matched, naive_match(filter, name));
    topics_close(topics);
    return matched;
}

static void test_mqtt_4_7_1_2_the_examples_of_the_multi_level_wildcard(void **state)
{
    (void)state;
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    assert_true(matches("sport/#", "sport"));
    assert_true(matches("#", "anything/at/all"));
    assert_true(matches("sport/tennis/#", "sport/tennis"));
    assert_false(matches("sport/tennis/player1/#", "sport/tennis"));
    assert_false(matches("sport/#", "sports"));
    assert_true(matches("#", "/"));
}

static void test_mqtt_4_7_1_3_the_examples_of_the_single_level_wildcard(void **state)
{
    (void)state;
    assert_true(matches("sport/tennis/+", "sport/tennis/player1"));
    assert_true(matches("sport/tennis/+", "sport/tennis/player2"));
    assert_false(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert_false(matches("sport/+", "sport"));
    assert_true(matches("sport/+", "sport/"));
    assert_true(matches("+/+", "/finance"));
    assert_true(matches("/+", "/finance"));
    assert_false(matches("+", "/finance"));
    assert_true(matches("+/tennis/#", "sport/tennis/x/y"));
    assert_true(matches("sport/+/player1", "sport/tennis/player1"));
    assert_true(matches("+/+/+", "//"));
}

static void test_mqtt_4_7_2_1_wildcards_do_not_match_topics_that_begin_with_a_dollar(void **state)
{
    (void)state;
    assert_false(matches("#", "$SYS/monitor/Clients"));
    assert_false(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert_false(matches("+", "$SYS"));
    assert_true(matches("$SYS/#", "$SYS/monitor/Clients"));
    assert_true(matches("$SYS/#", "$SYS"));
    assert_true(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert_true(matches("a/+", "a/$b")); // only the first level is special
    assert_true(matches("#", "a/$b"));
}

static void test_mqtt_4_7_3_names_are_compared_character_by_character(void **state)
{
    (void)state;
    assert_false(matches("ACCOUNTS", "Accounts"));
    assert_true(matches("Accounts payable", "Accounts payable"));
    assert_false(matches("/finance", "finance"));
    assert_false(matches("finance/", "finance"));
}

static void test_mqtt_3_3_5_1_overlapping_filters_call_once_with_the_highest_qos(void **state)
{
    (void)state;
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0}, two = {0};
    assert_int_equal(subscribe(topics, &one, "a/b", 0), 1);
    assert_int_equal(subscribe(topics, &one, "a/+", 2), 1);
    assert_int_equal(subscribe(topics, &one, "#", 1), 1);
    assert_int_equal(subscribe(topics, &two, "#", 1), 1);
    struct calls calls = match(topics, "a/b");
    assert_int_equal(calls.count, 2);
    assert_int_equal(qos_for(&calls, &one), 2);
    assert_int_equal(qos_for(&calls, &two), 1);
    calls = match(topics, "x");
    assert_int_equal(qos_for(&calls, &one), 1);
    assert_true(topics_is_valid(topics));
    topics_close(topics);
}

static void test_mqtt_3_8_4_3_subscribing_once_more_replaces_the_qos(void **state)
{
    (void)state;
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0};
    assert_int_equal(subscribe(topics, &one, "a", 2), 1);
    assert_int_equal(subscribe(topics, &one, "a", 0), 0);
    assert_int_equal(topics_count(topics), 1);
    assert_int_equal(topics_subscriber_count(topics, &one), 1);
    struct calls calls = match(topics, "a");
    assert_int_equal(qos_for(&calls, &one), 0);
    topics_close(topics);
}

static void test_mqtt_3_10_4_1_unsubscribing_compares_filters_by_their_characters(void **state)
{
    (void)state;
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0}, two = {0};
    assert_int_equal(subscribe(topics, &one, "a/+", 1), 1);
    assert_false(topics_unsubscribe(topics, &one, mqtt_text_of("a/b")));
    assert_false(topics_unsubscribe(topics, &one, mqtt_text_of("a/#")));
    assert_false(topics_unsubscribe(topics, &one, mqtt_text_of("a")));
    assert_false(topics_unsubscribe(topics, &two, mqtt_text_of("a/+")));
    assert_true(topics_unsubscribe(topics, &one, mqtt_text_of("a/+")));
    assert_false(topics_unsubscribe(topics, &one, mqtt_text_of("a/+")));
    assert_int_equal(match(topics, "a/b").count, 0);
    assert_int_equal(topics_count(topics), 0);
    topics_close(topics);
}

static void test_a_filter_of_many_subscribers_keeps_the_others_when_one_leaves(void **state)
{
    (void)state;
    enum { MANY = 200 };
    struct topics *topics = open_topics();
    static struct topics_subscriber many[MANY];
    memset(many, 0, sizeof many);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(subscribe(topics, &many[i], "news", (uint8_t)(i % 3)), 1);
        assert_int_equal(subscribe(topics, &many[i], "news/#", 1), 1);
    }
    assert_true(topics_is_valid(topics));
    for (int i = 0; i < MANY; i++) {
        struct calls calls = match(topics, "news");
        assert_int_equal(calls.count, MANY - i);
        assert_int_equal(qos_for(&calls, &many[i * 37 % MANY]), i * 37 % MANY % 3 == 2 ? 2 : 1);
        topics_leave(topics, &many[i * 37 % MANY]);
        assert_null(many[i * 37 % MANY].root);
        assert_true(topics_is_valid(topics));
    }
    assert_int_equal(topics_count(topics), 0);
    topics_close(topics);
}

// One of the ways to write a/a/a... with pluses.
static void write_plus(char *filter, int levels, int bits)
{
    for (int level = 0; level < levels; level++) {
        filter[2 * level] = bits >> level & 1 ? '+' : 'a';
        filter[2 * level + 1] = level + 1 < levels ? '/' : 0;
    }
}

static void test_more_matching_filters_than_fit_on_the_stack(void **state)
{
    (void)state;
    enum { LEVELS = 6, FILTERS = 1 << LEVELS };
    struct topics *topics = open_topics();
    static struct topics_subscriber many[FILTERS];
    memset(many, 0, sizeof many);
    for (int bits = 0; bits < FILTERS; bits++) {
        char filter[2 * LEVELS];
        write_plus(filter, LEVELS, bits);
        for (int i = 0; i < 4; i++) // each filter has four, each subscriber four filters
            assert_int_equal(subscribe(topics, &many[(bits + i) % FILTERS], filter, (uint8_t)(bits % 2)), 1);
    }
    struct calls calls = match(topics, "a/a/a/a/a/a");
    assert_int_equal(calls.count, FILTERS);
    for (int i = 0; i < FILTERS; i++)
        assert_int_equal(qos_for(&calls, &many[i]), 1);
    topics_close(topics);
}

// A search over many filters of one client needs memory by their number.
static void test_what_a_search_takes_is_in_the_account(void **state)
{
    (void)state;
    enum { LEVELS = 8, FILTERS = 1 << LEVELS, PLACE_BYTES = 16 };
    struct account account;
    struct account_reading reading;
    struct topics *topics = NULL;
    struct topics_subscriber one = {0};
    account_open(&account, 1 << 30);
    assert_int_equal(topics_open(&topics, &account), 0);
    for (int bits = 0; bits < FILTERS; bits++) {
        char filter[2 * LEVELS];
        write_plus(filter, LEVELS, bits);
        assert_int_equal(subscribe(topics, &one, filter, 0), 1);
    }
    int64_t held = account_sum(&account);
    assert_int_equal(match(topics, "a/a/a/a/a/a/a/a").count, 1);
    account_read(&account, &reading);
    assert_true(reading.peak >= held + 2 * FILTERS * PLACE_BYTES);
    assert_int_equal(account_sum(&account), held);
    account.limit = account.limit_of_stores = held + 2 * FILTERS * PLACE_BYTES;
    struct calls calls = {.count = 0};
    assert_int_equal(topics_match(topics, mqtt_text_of("a/a/a/a/a/a/a/a"), NULL, record, &calls, &calls.work),
                     -ENOMEM);
    assert_int_equal(calls.count, 0);
    assert_int_equal(account_sum(&account), held);
    assert_int_equal(match(topics, "a/a/a/a/a/a/a/b").count, 1);
    topics_leave(topics, &one);
    assert_int_equal(account_sum(&account), 0);
    topics_close(topics);
}

// A random walk of subscribing, unsubscribing, leaving and matching, with a table of what should be there
// beside it.
static void test_random_topics_match_as_the_plainest_matcher_says(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 12, SLOTS = 24, STEPS = 20000 };
    struct topics *topics = open_topics();
    static struct topics_subscriber subscribers[SUBSCRIBERS];
    static char filters[SUBSCRIBERS][SLOTS][RANDOM_TOPIC_BYTES];
    static uint8_t qos[SUBSCRIBERS][SLOTS];
    memset(subscribers, 0, sizeof subscribers);
    memset(filters, 0, sizeof filters);
    uint64_t seed = 20141029;
    for (int step = 0; step < STEPS; step++) {
        uint32_t who = random_next(&seed, SUBSCRIBERS), what = random_next(&seed, 16);
        char topic[RANDOM_TOPIC_BYTES];
        random_topic(&seed, what < 8, topic);
        if (what < 8) { // subscribe, to unsubscribe when there was no place left
            int place = -1, empty = -1;
            for (int i = 0; i < SLOTS; i++) {
                place = strcmp(filters[who][i], topic) == 0 ? i : place;
                empty = filters[who][i][0] == 0 ? i : empty;
            }
            if (what < 5 && (place >= 0 || empty >= 0)) {
                int slot = place >= 0 ? place : empty;
                qos[who][slot] = (uint8_t)random_next(&seed, 3);
                strcpy(filters[who][slot], topic);
                assert_int_equal(subscribe(topics, &subscribers[who], topic, qos[who][slot]), place < 0);
            } else {
                assert_int_equal(topics_unsubscribe(topics, &subscribers[who], mqtt_text_of(topic)),
                                 place >= 0);
                if (place >= 0)
                    filters[who][place][0] = 0;
            }
        } else if (what == 8 && step % 10 == 0) {
            topics_leave(topics, &subscribers[who]);
            memset(filters[who], 0, sizeof filters[who]);
        } else {
            struct calls calls = match(topics, topic);
            for (int s = 0; s < SUBSCRIBERS; s++) {
                int wanted = -1;
                for (int i = 0; i < SLOTS; i++)
                    if (filters[s][i][0] && naive_match(filters[s][i], topic) && qos[s][i] > wanted)
                        wanted = qos[s][i];
                assert_int_equal(qos_for(&calls, &subscribers[s]), wanted);
            }
        }
        if (step % 500 == 0)
            assert_true(topics_is_valid(topics));
    }
    topics_close(topics);
}

struct shared {
    struct topics *topics;
    atomic_int writers; // release when a writer ends, acquire when a reader looks: nothing else hangs on it
    atomic_long called;
};

static void *write_some(void *context)
{
    struct shared *shared = context;
    struct topics_subscriber mine[16] = {0};
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 16; i++) {
            char filter[32];
            snprintf(filter, sizeof filter, "t/%d", i);
            if (topics_subscribe(shared->topics, &mine[i], mqtt_text_of(i % 4 ? filter : "t/#"), 1) < 0)
                abort();
        }
        for (int i = 0; i < 16; i++)
            topics_leave(shared->topics, &mine[i]);
    }
    atomic_fetch_sub_explicit(&shared->writers, 1, memory_order_release);
    return NULL;
}

static void touch(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    struct shared *shared = context;
    if (subscriber->root == NULL || qos != 1) // it is subscribed as long as it is handed out
        abort();
    atomic_fetch_add_explicit(&shared->called, 1, memory_order_relaxed); // a count, read after the joins
}

static void *match_some(void *context)
{
    struct shared *shared = context;
    for (int i = 0; atomic_load_explicit(&shared->writers, memory_order_acquire) > 0; i++) {
        char name[32];
        uint32_t work = 0;
        snprintf(name, sizeof name, "t/%d", i % 20);
        if (topics_match(shared->topics, mqtt_text_of(name), NULL, touch, shared, &work) < 0)
            abort();
    }
    return NULL;
}

static void test_threads_subscribe_leave_and_match_at_once(void **state)
{
    (void)state;
    struct shared shared = {.topics = open_topics()};
    atomic_init(&shared.writers, 4);
    atomic_init(&shared.called, 0);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 4 ? write_some : match_some, &shared), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(topics_count(shared.topics), 0);
    assert_true(topics_is_valid(shared.topics));
    topics_close(shared.topics);
}

static void test_closing_frees_the_subscriptions_that_are_left(void **state)
{
    (void)state;
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0}, two = {0};
    assert_int_equal(subscribe(topics, &one, "a", 0), 1);
    assert_int_equal(subscribe(topics, &two, "a", 0), 1);
    assert_int_equal(subscribe(topics, &two, "b/#", 0), 1);
    topics_close(topics);
    topics_close(NULL);
}

static void test_a_subscriber_leaves_in_portions(void **state)
{
    (void)state;
    enum { FILTERS = 100, PORTION = 30 };
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0}, two = {0};
    for (int i = 0; i < FILTERS; i++) {
        char filter[16];
        snprintf(filter, sizeof filter, "t/%d", i);
        assert_int_equal(subscribe(topics, &one, filter, 0), 1);
        assert_int_equal(subscribe(topics, &two, filter, 0), 1);
    }
    for (int left = FILTERS - PORTION; left > 0; left -= PORTION) {
        assert_false(topics_leave_some(topics, &one, PORTION));
        assert_int_equal(topics_subscriber_count(topics, &one), left);
        assert_true(topics_is_valid(topics));
    }
    assert_true(topics_leave_some(topics, &one, PORTION));
    assert_true(topics_leave_some(topics, &one, PORTION)); // nothing more
    assert_int_equal(topics_count(topics), FILTERS);
    assert_int_equal(topics_subscriber_count(topics, &two), FILTERS);
    topics_leave(topics, &two);
    topics_close(topics);
}

// 512 filters of one client match a name of nine levels. The search goes through a thousand nodes, for one delivery.
static void test_the_work_of_a_match_is_that_of_its_search(void **state)
{
    (void)state;
    enum { LEVELS = 9, FILTERS = 1 << LEVELS };
    struct topics *topics = open_topics();
    struct topics_subscriber one = {0};
    struct calls few = match(topics, "a/a/a/a/a/a/a/a/a");
    for (unsigned bits = 0; bits < FILTERS; bits++) {
        char filter[2 * LEVELS];
        for (int i = 0; i < LEVELS; i++) {
            filter[2 * i] = bits >> i & 1 ? '+' : 'a';
            filter[2 * i + 1] = i < LEVELS - 1 ? '/' : 0;
        }
        assert_int_equal(subscribe(topics, &one, filter, 0), 1);
    }
    struct calls many = match(topics, "a/a/a/a/a/a/a/a/a");
    assert_int_equal(many.count, 1);
    assert_true(few.work <= 1);
    assert_in_range(many.work, FILTERS, 10 * FILTERS);
    topics_close(topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_4_7_1_2_the_examples_of_the_multi_level_wildcard),
        cmocka_unit_test(test_mqtt_4_7_1_3_the_examples_of_the_single_level_wildcard),
        cmocka_unit_test(test_mqtt_4_7_2_1_wildcards_do_not_match_topics_that_begin_with_a_dollar),
        cmocka_unit_test(test_mqtt_4_7_3_names_are_compared_character_by_character),
        cmocka_unit_test(test_mqtt_3_3_5_1_overlapping_filters_call_once_with_the_highest_qos),
        cmocka_unit_test(test_mqtt_3_8_4_3_subscribing_once_more_replaces_the_qos),
        cmocka_unit_test(test_mqtt_3_10_4_1_unsubscribing_compares_filters_by_their_characters),
        cmocka_unit_test(test_a_filter_of_many_subscribers_keeps_the_others_when_one_leaves),
        cmocka_unit_test(test_more_matching_filters_than_fit_on_the_stack),
        cmocka_unit_test(test_what_a_search_takes_is_in_the_account),
        cmocka_unit_test(test_random_topics_match_as_the_plainest_matcher_says),
        cmocka_unit_test(test_threads_subscribe_leave_and_match_at_once),
        cmocka_unit_test(test_closing_frees_the_subscriptions_that_are_left),
        cmocka_unit_test(test_a_subscriber_leaves_in_portions),
        cmocka_unit_test(test_the_work_of_a_match_is_that_of_its_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
