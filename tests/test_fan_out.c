// SPDX-License-Identifier: Apache-2.0
// Messages on their way to many sessions: each reaches each of its sessions once, in order.
#include "broker/mqtt/fan_out.h"
#include "tests/store_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { SESSIONS = 1000 };

struct fixture {
    struct pool *pool;
    struct account account;
    struct fan_outs fans;
    struct session *sessions[SESSIONS];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 256;
    fixture = (struct fixture){.fans.account = &fixture.account};
    account_open(&fixture.account, 0);
    assert_int_equal(pool_open(&fixture.pool, pool_strategy_find("malloc"), &config, NULL), 0);
    for (int i = 0; i < SESSIONS; i++) {
        fixture.sessions[i] = session_new(store_of(fixture.pool), NULL, mqtt_text_of("c"), 0, true);
        assert_non_null(fixture.sessions[i]);
    }
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct pool_stats stats;
    for (int i = 0; i < SESSIONS; i++)
        session_unref(fixture->sessions[i], store_of(fixture->pool));
    pool_stats(fixture->pool, &stats);
    pool_close(fixture->pool);
    return stats.in_use == 0 && account_sum(&fixture->account) == 0 ? 0 : -1;
}

static void push(struct fixture *fixture, const char *topic, int first, int count)
{
    struct fan_out *fan = NULL;
    struct message *message =
        message_new(store_of(fixture->pool), mqtt_text_of(topic), (struct mqtt_bytes){"x", 1}, 0, false);
    assert_non_null(message);
    for (int i = first; i < first + count; i++)
        assert_true(fan_out_add(&fan, &fixture->account, fixture->sessions[i], (uint8_t)(i % 3)));
    fan_outs_push(&fixture->fans, fan, message);
    message_unref(message);
}

static void expect(struct fixture *fixture, const char *topic, int number)
{
    struct fan_target target;
    assert_true(fan_outs_next(&fixture->fans, &target));
    assert_ptr_equal(target.session, fixture->sessions[number]);
    assert_int_equal(target.qos, number % 3);
    assert_true(mqtt_text_equal(message_topic(target.message), mqtt_text_of(topic)));
    message_unref(target.message);
    session_unref(target.session, store_of(fixture->pool));
}

static void messages_reach_their_sessions_in_the_order_of_the_list(void **state)
{
    struct fixture *fixture = *state;
    struct fan_target target;
    assert_false(fan_outs_next(&fixture->fans, &target));
    push(fixture, "a", 0, SESSIONS);
    push(fixture, "b", 10, 1);
    push(fixture, "nobody", 0, 0);
    for (int i = 0; i < SESSIONS / 2; i++)
        expect(fixture, "a", i);
    push(fixture, "a", 0, 3); // while the first one goes on
    for (int i = SESSIONS / 2; i < SESSIONS; i++)
        expect(fixture, "a", i);
    expect(fixture, "b", 10);
    for (int i = 0; i < 3; i++)
        expect(fixture, "a", i);
    assert_false(fan_outs_next(&fixture->fans, &target));
}

static void a_topic_is_in_the_list_until_its_last_message_has_reached_all(void **state)
{
    struct fixture *fixture = *state;
    uint32_t work = 0;
    assert_false(fan_outs_has(&fixture->fans, mqtt_text_of("a"), &work));
    push(fixture, "b", 0, 2);
    push(fixture, "a", 0, 2);
    assert_true(fan_outs_has(&fixture->fans, mqtt_text_of("a"), &work));
    assert_false(fan_outs_has(&fixture->fans, mqtt_text_of("a/b"), &work));
    assert_int_equal(work, 4); // messages looked at
    expect(fixture, "b", 0);
    expect(fixture, "b", 1);
    expect(fixture, "a", 0);
    assert_true(fan_outs_has(&fixture->fans, mqtt_text_of("a"), &work));
    expect(fixture, "a", 1);
    assert_false(fan_outs_has(&fixture->fans, mqtt_text_of("a"), &work));
}

static void deliver(void *context, struct session *session, struct message *message, uint8_t qos)
{
    (void)session;
    (void)message;
    (void)qos;
    ++*(int *)context;
}

static struct topics *all_subscribe(struct fixture *fixture, struct account *account)
{
    struct topics *topics;
    assert_int_equal(topics_open(&topics, account), 0);
    for (int i = 0; i < SESSIONS; i++)
        assert_int_equal(topics_subscribe(topics, &fixture->sessions[i]->subscriber, mqtt_text_of("#"), 0),
                         1);
    return topics;
}

static void all_leave(struct fixture *fixture, struct topics *topics)
{
    for (int i = 0; i < SESSIONS; i++)
        topics_leave(topics, &fixture->sessions[i]->subscriber);
    topics_close(topics);
}

// Each session has two filters that match; it gets the message once, at the higher QoS.
static void a_message_that_is_searched_for_in_portions_reaches_each_session_once(void **state)
{
    struct fixture *fixture = *state;
    struct topics *topics;
    assert_int_equal(topics_open(&topics, &fixture->account), 0);
    for (int i = 0; i < SESSIONS; i++) {
        struct topics_subscriber *subscriber = &fixture->sessions[i]->subscriber;
        assert_int_equal(topics_subscribe(topics, subscriber, mqtt_text_of("a/+"), (uint8_t)(i % 3)), 1);
        assert_int_equal(topics_subscribe(topics, subscriber, mqtt_text_of("#"), (uint8_t)(i % 2)), 1);
    }
    struct message *message =
        message_new(store_of(fixture->pool), mqtt_text_of("a/b"), (struct mqtt_bytes){"x", 1}, 0, false);
    assert_non_null(message);
    assert_true(fan_outs_push_search(&fixture->fans, topics, message));
    push(fixture, "c", 5, 1);
    int portions = 0, early = 0, count = 0;
    bool got[SESSIONS] = {false};
    int64_t lost = 0;
    uint32_t work = 0;
    while (fan_outs_search(&fixture->fans, 100, deliver, &early, &lost, &work))
        portions++;
    assert_true(portions >= 19 && early == 0 && lost == 0);
    assert_in_range(work, 2 * SESSIONS, 2 * SESSIONS + 100);
    struct fan_target target;
    for (; fan_outs_next(&fixture->fans, &target); count++) {
        if (count == SESSIONS) { // and then the next message
            assert_ptr_equal(target.session, fixture->sessions[5]);
        } else {
            int number = 0;
            while (fixture->sessions[number] != target.session)
                number++;
            assert_false(got[number]);
            assert_int_equal(target.qos, number % 3 > number % 2 ? number % 3 : number % 2);
            got[number] = true;
        }
        message_unref(target.message);
        session_unref(target.session, store_of(fixture->pool));
    }
    assert_int_equal(count, SESSIONS + 1);
    message_unref(message);
    all_leave(fixture, topics);
}

// What was found already is given back, as at the end of the broker.
static void a_search_that_is_not_finished_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct topics *topics = all_subscribe(fixture, &fixture->account);
    struct message *message =
        message_new(store_of(fixture->pool), mqtt_text_of("a"), (struct mqtt_bytes){"x", 1}, 0, false);
    assert_true(fan_outs_push_search(&fixture->fans, topics, message));
    int early = 0, count = 0;
    int64_t lost = 0;
    uint32_t work = 0;
    assert_true(fan_outs_search(&fixture->fans, 100, deliver, &early, &lost, &work));
    struct fan_target target;
    for (; fan_outs_next(&fixture->fans, &target); count++) {
        message_unref(target.message);
        session_unref(target.session, store_of(fixture->pool));
    }
    assert_in_range(count, 50, 100);
    message_unref(message);
    all_leave(fixture, topics);
}

// Those that cannot be noted get the message at once.
static void without_memory_for_the_sessions_found_nobody_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    struct topics *topics = all_subscribe(fixture, NULL);
    struct message *message =
        message_new(store_of(fixture->pool), mqtt_text_of("a"), (struct mqtt_bytes){"x", 1}, 0, false);
    assert_true(fan_outs_push_search(&fixture->fans, topics, message));
    fixture->account.limit = account_sum(&fixture->account) + 4096;
    int early = 0, count = 0;
    int64_t lost = 0;
    uint32_t work = 0;
    while (fan_outs_search(&fixture->fans, 100, deliver, &early, &lost, &work))
        continue;
    struct fan_target target;
    for (; fan_outs_next(&fixture->fans, &target); count++) {
        message_unref(target.message);
        session_unref(target.session, store_of(fixture->pool));
    }
    assert_true(early > 0 && count > 0 && lost == 0);
    assert_int_equal(early + count, SESSIONS);
    message_unref(message);
    all_leave(fixture, topics);
}

static void without_memory_nothing_is_added(void **state)
{
    struct fixture *fixture = *state;
    struct account small;
    struct fan_out *fan = NULL;
    account_open(&small, 100);
    assert_false(fan_out_add(&fan, &small, fixture->sessions[0], 0));
    assert_null(fan);
    assert_int_equal(account_sum(&small), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_reach_their_sessions_in_the_order_of_the_list),
        TEST(a_topic_is_in_the_list_until_its_last_message_has_reached_all),
        TEST(a_message_that_is_searched_for_in_portions_reaches_each_session_once),
        TEST(a_search_that_is_not_finished_is_dropped),
        TEST(without_memory_for_the_sessions_found_nobody_is_left_out),
        TEST(without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
