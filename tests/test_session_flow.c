// SPDX-License-Identifier: Apache-2.0
// What is under way between a session and its client: window, queue, and QoS 2 packet ids.
#include "broker/mqtt/session_flow.h"
#include "tests/store_of.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const struct flow_rules rules = FLOW_RULES_DEFAULTS;

struct fixture {
    struct pool *messages;
    struct session_flow flow;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "messages";
    config.object_bytes = 128;
    assert_int_equal(pool_open(&fixture.messages, pool_strategy_find("malloc"), &config, NULL), 0);
    flow_init(&fixture.flow, &rules, false);
    *state = &fixture;
    return 0;
}

// Every test ends with no message left anywhere.
static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    assert_true(flow_is_valid(&fixture->flow));
    flow_clear(&fixture->flow);
    assert_true(flow_is_empty(&fixture->flow));
    struct pool_stats stats;
    pool_stats(fixture->messages, &stats);
    assert_int_equal(stats.in_use, 0);
    pool_close(fixture->messages);
    return 0;
}

static struct message *numbered(struct fixture *fixture, int number)
{
    char payload[16];
    int bytes = snprintf(payload, sizeof payload, "%d", number);
    struct message *message = message_new(store_of(fixture->messages), mqtt_text_of("t"),
                                          (struct mqtt_bytes){payload, (size_t)bytes}, 2, false);
    assert_non_null(message);
    return message;
}

static void push(struct fixture *fixture, int number)
{
    struct message *message = numbered(fixture, number);
    assert_int_equal(flow_queue_push(&fixture->flow, message, 1, false), 0);
    message_unref(message);
}

static void assert_front(struct fixture *fixture, int number)
{
    char payload[16];
    int bytes = snprintf(payload, sizeof payload, "%d", number);
    struct delivery *front = flow_queue_front(&fixture->flow);
    assert_non_null(front);
    assert_int_equal(message_payload(front->message).bytes, bytes);
    assert_memory_equal(message_payload(front->message).data, payload, (size_t)bytes);
    flow_queue_drop_front(&fixture->flow);
}

static int add(struct fixture *fixture, uint16_t packet_id)
{
    struct message *message = numbered(fixture, packet_id);
    int code = flow_inflight_add(&fixture->flow, message, 2, false, packet_id);
    message_unref(message);
    return code;
}

static void the_queue_keeps_its_order_while_it_grows_and_wraps(void **state)
{
    struct fixture *fixture = *state;
    int pushed = 0, dropped = 0;
    for (int round = 1; round <= 60; round++) {
        for (int i = 0; i < round; i++)
            push(fixture, pushed++);
        for (int i = 0; i < round / 2; i++)
            assert_front(fixture, dropped++);
        assert_true(flow_is_valid(&fixture->flow));
    }
    while (dropped < pushed)
        assert_front(fixture, dropped++);
    assert_null(flow_queue_front(&fixture->flow));
    assert_ptr_equal(fixture->flow.queue, fixture->flow.inline_queue);
}

static void the_window_closes_when_it_is_full(void **state)
{
    struct fixture *fixture = *state;
    for (uint16_t id = 1; id <= rules.max_inflight; id++)
        assert_int_equal(add(fixture, id), 0);
    assert_int_equal(add(fixture, 1000), -EAGAIN);
    flow_inflight_remove(&fixture->flow, flow_inflight_find(&fixture->flow, 10));
    assert_int_equal(add(fixture, 1000), 0);
    assert_null(flow_inflight_find(&fixture->flow, 10));
    assert_int_equal(flow_inflight_find(&fixture->flow, 11)->packet_id, 11);
}

static void after_a_reconnect_all_goes_again_with_dup(void **state)
{
    struct fixture *fixture = *state;
    for (uint16_t id = 1; id <= 3; id++)
        assert_int_equal(add(fixture, id), 0);
    struct delivery *second = flow_inflight_find(&fixture->flow, 2);
    flow_inflight_release(&fixture->flow, second);
    second->stage = DELIVERY_RELEASED;
    assert_false(fixture->flow.needs_restart);
    flow_inflight_restart(&fixture->flow);
    assert_true(fixture->flow.needs_restart);
    assert_int_equal(fixture->flow.inflight[0].stage, DELIVERY_UNSENT);
    assert_true(fixture->flow.inflight[0].dup);
    assert_int_equal(fixture->flow.inflight[1].stage, DELIVERY_RELEASE);
    assert_null(fixture->flow.inflight[1].message);
    assert_int_equal(fixture->flow.inflight[2].packet_id, 3);
}

static void a_message_released_is_let_go_at_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(add(fixture, 5), 0);
    flow_inflight_release(&fixture->flow, flow_inflight_find(&fixture->flow, 5));
    struct pool_stats stats;
    pool_stats(fixture->messages, &stats);
    assert_int_equal(stats.in_use, 0);
    flow_inflight_remove(&fixture->flow, flow_inflight_find(&fixture->flow, 5));
    assert_true(flow_is_empty(&fixture->flow));
}

// Messages come and go in any order, and two of them stay, while the ids come round three times. Each time the window empties,
// it begins anew.
static void a_packet_id_is_given_to_one_message_in_flight_however_often_they_come_round(void **state)
{
    enum { STEPS = 200000, WINDOW = 20 };
    struct fixture *fixture = *state;
    struct session_flow *flow = &fixture->flow;
    static bool is_used[UINT16_MAX + 1];
    struct message *message = numbered(fixture, 1);
    uint32_t random = 1;
    assert_int_equal(
        flow_inflight_restore(
            flow, &(struct delivery){.message = message, .packet_id = 30, .qos = 2, .stage = DELIVERY_SENT}),
        0);
    is_used[30] = true;
    for (int step = 0; step < STEPS; step++) {
        uint16_t packet_id = flow_next_packet_id(flow);
        assert_true(packet_id != 0 && !is_used[packet_id]);
        assert_int_equal(flow_inflight_add(flow, message, 2, false, packet_id), 0);
        is_used[packet_id] = true;
        uint32_t most = step % 90000 == 80000 ? 0 : WINDOW; // sometimes all go
        for (random = random * 1664525 + 1013904223; flow->inflight_count > most;) {
            uint32_t at = most == 0 ? 0 : 2 + (random >> 8) % (flow->inflight_count - 2);
            is_used[flow->inflight[at].packet_id] = false;
            flow_inflight_remove(flow, &flow->inflight[at]);
        }
    }
    message_unref(message);
}

static void each_received_packet_id_is_new_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(flow_received_add(&fixture->flow, (uint16_t)(1 + i * 7919 % 65535)), 1);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(flow_received_add(&fixture->flow, (uint16_t)(1 + i * 7919 % 65535)), 0);
    assert_true(flow_is_valid(&fixture->flow));
    for (int i = 0; i < 3000; i++)
        assert_true(flow_received_remove(&fixture->flow, (uint16_t)(1 + i * 7919 % 65535)));
    assert_false(flow_received_remove(&fixture->flow, 1));
    assert_true(flow_is_empty(&fixture->flow));
}

static void clearing_lets_go_of_everything(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        push(fixture, i);
    for (uint16_t id = 1; id <= 20; id++)
        assert_int_equal(add(fixture, id), 0);
    assert_int_equal(flow_received_add(&fixture->flow, 1), 1);
    flow_clear(&fixture->flow);
    assert_true(flow_is_empty(&fixture->flow));
    push(fixture, 1);
    assert_front(fixture, 1);
}

static void it_is_cleared_in_portions(void **state)
{
    struct fixture *fixture = *state;
    struct session_flow *flow = &fixture->flow;
    struct pool_stats stats;
    for (int i = 0; i < 100; i++)
        push(fixture, i);
    for (uint16_t id = 1; id <= 20; id++)
        assert_int_equal(add(fixture, id), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(replays_add(&flow->replays, NULL, mqtt_text_of("#"), 0), 0);
    assert_int_equal(flow_received_add(flow, 1), 1);
    assert_false(flow_clear_some(flow, 3)); // the replays are the first
    for (int left = 100 + 20; left > 0; left -= 30) {
        assert_int_equal(flow_clear_some(flow, 30), left == 30);
        assert_true(flow_is_valid(flow));
        pool_stats(fixture->messages, &stats);
        assert_int_equal(stats.in_use, left - 30);
    }
    assert_true(flow_clear_some(flow, 1));
    assert_false(flow_is_empty(flow)); // the received packet id
    flow_clear(flow);
    assert_true(flow_is_empty(flow));
}

static void a_packet_that_is_handled_in_part_keeps_the_flow(void **state)
{
    struct fixture *fixture = *state;
    struct flow_part *part = flow_part_need(&fixture->flow);
    assert_non_null(part);
    assert_ptr_equal(flow_part_need(&fixture->flow), part);
    assert_false(flow_is_empty(&fixture->flow));
    part->answer = numbered(fixture, 1);
    flow_part_done(&fixture->flow);
    flow_part_done(&fixture->flow);
    assert_true(flow_is_empty(&fixture->flow));
    part = flow_part_need(&fixture->flow);
    assert_true(part && part->left == 0 && !part->is_checked && !part->answer);
    part->answer = numbered(fixture, 2); // the end of the test clears the flow
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_queue_keeps_its_order_while_it_grows_and_wraps),
        TEST(the_window_closes_when_it_is_full),
        TEST(after_a_reconnect_all_goes_again_with_dup),
        TEST(a_message_released_is_let_go_at_once),
        TEST(a_packet_id_is_given_to_one_message_in_flight_however_often_they_come_round),
        TEST(each_received_packet_id_is_new_once),
        TEST(clearing_lets_go_of_everything),
        TEST(it_is_cleared_in_portions),
        TEST(a_packet_that_is_handled_in_part_keeps_the_flow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
