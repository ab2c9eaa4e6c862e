// SPDX-License-Identifier: Apache-2.0
// The search of subscribers in portions: as the search at once, while subscriptions come and go.
#include "broker/mqtt/account.h"
#include "broker/mqtt/topics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SUBSCRIBERS = 300 };

struct seen {
    int visits[SUBSCRIBERS];
    int qos[SUBSCRIBERS];
};

static struct topics_subscriber subscribers[SUBSCRIBERS];

static int set_up(void **state)
{
    struct topics *topics = NULL;
    memset(subscribers, 0, sizeof subscribers);
    *state = NULL;
    if (topics_open(&topics, NULL) < 0)
        return -1;
    *state = topics;
    return 0;
}

static int tear_down(void **state)
{
    topics_close(*state);
    return 0;
}

static void see(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    struct seen *seen = context;
    ptrdiff_t number = subscriber - subscribers;
    assert_in_range(number, 0, SUBSCRIBERS - 1);
    if (seen->visits[number]++ == 0 || seen->qos[number] < qos)
        seen->qos[number] = qos;
}

static void subscribe(struct topics *topics, int number, const char *filter, uint8_t qos)
{
    assert_true(topics_subscribe(topics, &subscribers[number], mqtt_text_of(filter), qos) >= 0);
}

// One to six levels of a and +, at times with # behind them.
static void subscribe_to_some(struct topics *topics, int number, uint32_t *random)
{
    char filter[16];
    size_t at = 0;
    *random = *random * 1664525 + 1013904223;
    uint32_t bits = *random >> 8;
    for (uint32_t level = 0; level <= bits % 6; level++) {
        filter[at++] = bits >> (3 + level) & 1 ? '+' : 'a';
        filter[at++] = '/';
    }
    filter[at] = '#';
    filter[bits >> 12 & 1 ? at + 1 : at - 1] = '\0';
    subscribe(topics, number, filter, (uint8_t)((bits >> 13) % 3));
}

static struct seen match(struct topics *topics, const char *name)
{
    struct seen seen = {.visits = {0}};
    uint32_t work = 0;
    assert_true(topics_match(topics, mqtt_text_of(name), NULL, see, &seen, &work) >= 0);
    return seen;
}

static void portions_visit_whom_one_search_visits(void **state)
{
    struct topics *topics = *state;
    uint32_t random = 1;
    for (int i = 0; i < 4 * SUBSCRIBERS; i++)
        subscribe_to_some(topics, i % SUBSCRIBERS, &random);
    struct seen wanted = match(topics, "a/a/a");
    for (uint32_t most = 2; most < 5000; most = most * 3 + 1) {
        struct seen seen = {.visits = {0}};
        struct topics_search *search = topics_search_new(topics, mqtt_text_of("a/a/a"));
        assert_non_null(search);
        enum topics_progress progress;
        do {
            uint32_t work = 0;
            progress = topics_search_some(search, most, see, &seen, &work);
            assert_in_range(work, 1, most + 1);
        } while (progress == TOPICS_MORE);
        assert_int_equal(progress, TOPICS_DONE);
        topics_search_free(search);
        for (int i = 0; i < SUBSCRIBERS; i++) {
            assert_int_equal(seen.visits[i] > 0, wanted.visits[i] > 0);
            assert_int_equal(seen.qos[i], wanted.qos[i]);
        }
    }
}

// Those with even numbers stay. All others leave and come between the portions, also to filters of those that stay.
static void who_stays_is_visited_while_others_come_and_go(void **state)
{
    struct topics *topics = *state;
    uint32_t random = 7;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribe(topics, i, "a/+/a", 1);
        subscribe(topics, i, i % 4 < 2 ? "a/#" : "+/a/+", (uint8_t)(i % 3));
    }
    struct seen seen = {.visits = {0}};
    struct topics_search *search = topics_search_new(topics, mqtt_text_of("a/a/a"));
    enum topics_progress progress = TOPICS_MORE;
    for (int step = 0; progress == TOPICS_MORE; step++) {
        uint32_t work = 0;
        progress = topics_search_some(search, 7, see, &seen, &work);
        for (int i = 1; i < 20; i += 2) {
            int number = (step * 38 + i) % SUBSCRIBERS | 1;
            topics_leave(topics, &subscribers[number]);
            if (i % 3)
                subscribe_to_some(topics, number, &random);
        }
        assert_true(step < 5000);
    }
    topics_search_free(search);
    struct seen wanted = match(topics, "a/a/a");
    for (int i = 0; i < SUBSCRIBERS; i += 2) {
        assert_true(seen.visits[i] >= 2); // of both filters
        assert_int_equal(seen.qos[i], wanted.qos[i]);
    }
    assert_true(topics_is_valid(topics));
}

static void a_search_past_its_bounds_calls_nobody(void **state)
{
    struct topics *topics = *state;
    for (int i = 0; i < 100; i++) {
        subscribe(topics, i, "a/+", 0);
        if (i < 10)
            subscribe(topics, i, "a/#", 0);
    }
    static const struct topics_bounds enough = {.nodes = 4, .subscriptions = 10, .most = 100};
    for (int too_small = 0; too_small < 4; too_small++) {
        struct topics_bounds bounds = enough;
        bounds.nodes -= too_small == 1 ? 2 : 0;
        bounds.subscriptions -= too_small == 2;
        bounds.most -= too_small == 3;
        struct seen seen = {.visits = {0}};
        uint32_t work = 0;
        int64_t count = topics_match(topics, mqtt_text_of("a/b"), &bounds, see, &seen, &work);
        assert_int_equal(count, too_small ? -E2BIG : 100);
        assert_int_equal(seen.visits[0], too_small ? 0 : 1);
    }
}

static void without_memory_there_is_no_search(void **state)
{
    (void)state;
    struct account account;
    struct topics *topics;
    account_open(&account, 64);
    assert_int_equal(topics_open(&topics, &account), 0);
    assert_null(topics_search_new(topics, mqtt_text_of("a/b")));
    assert_int_equal(account_sum(&account), 0);
    topics_search_free(NULL);
    topics_close(topics);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(portions_visit_whom_one_search_visits),
        TEST(who_stays_is_visited_while_others_come_and_go),
        TEST(a_search_past_its_bounds_calls_nobody),
        cmocka_unit_test(without_memory_there_is_no_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
