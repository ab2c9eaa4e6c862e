// SPDX-License-Identifier: Apache-2.0
// Against a real broker: kept and clean sessions, takeover of a client id, keep alive, wills.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

// Ends what a test kept, so that the next one finds none of it.
static void forget_session(void **state, const char *id)
{
    struct raw_client client;
    raw_connect_clean(&client, process_port(*state), id);
    raw_disconnect(&client);
}

static void test_mqtt_3_2_2_2_session_present_says_whether_there_was_one(void **state)
{
    struct raw_client client;
    assert_false(raw_connect_kept(&client, process_port(*state), "s"));
    raw_disconnect(&client);
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    raw_disconnect(&client);
    raw_connect_clean(&client, process_port(*state), "s"); // asserts that it is 0
    raw_disconnect(&client);
    assert_false(raw_connect_kept(&client, process_port(*state), "s"));
    raw_disconnect(&client);
    forget_session(state, "s");
}

static void test_mqtt_3_1_2_6_a_clean_session_ends_with_its_connection(void **state)
{
    struct raw_client client;
    raw_connect_clean(&client, process_port(*state), "s");
    assert_int_equal(raw_subscribe(&client, "a", 1), 1);
    raw_disconnect(&client);
    assert_false(raw_connect_kept(&client, process_port(*state), "s"));
    raw_publish_done(&client, "a", "nobody is there", 1, false);
    raw_ping(&client);
    raw_disconnect(&client);
    forget_session(state, "s");
}

static void test_mqtt_3_1_2_5_a_kept_session_gets_what_came_while_it_was_away_in_order(void **state)
{
    struct raw_client client, publisher;
    raw_connect_kept(&client, process_port(*state), "s");
    assert_int_equal(raw_subscribe(&client, "q/#", 2), 2);
    raw_disconnect(&client);
    raw_connect_clean(&publisher, process_port(*state), "p");
    raw_publish_done(&publisher, "q/1", "one", 1, false);
    raw_publish_done(&publisher, "q/2", "two", 2, false);
    raw_publish_done(&publisher, "q/1", "three", 1, false);
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    uint16_t one = raw_expect_publish(&client, "q/1", "one", 1);
    uint16_t two = raw_expect_publish(&client, "q/2", "two", 2);
    uint16_t three = raw_expect_publish(&client, "q/1", "three", 1);
    assert_true(one != two && two != three && one != three);
    raw_ack(&client, MQTT_PUBACK, one);
    raw_ack(&client, MQTT_PUBREC, two);
    raw_ack(&client, MQTT_PUBACK, three);
    raw_expect_ack(&client, MQTT_PUBREL, two);
    raw_ack(&client, MQTT_PUBCOMP, two);
    raw_ping(&client);
    raw_disconnect(&client);
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    raw_ping(&client); // nothing is left to be sent again
    raw_disconnect(&client);
    raw_disconnect(&publisher);
    forget_session(state, "s");
}

static void test_mqtt_4_4_0_1_what_was_not_acknowledged_is_sent_again_with_dup_and_its_id(void **state)
{
    struct raw_client client, publisher;
    raw_connect_kept(&client, process_port(*state), "s");
    assert_int_equal(raw_subscribe(&client, "d", 2), 2);
    raw_connect_clean(&publisher, process_port(*state), "p");
    raw_publish_done(&publisher, "d", "one", 1, false);
    raw_publish_done(&publisher, "d", "two", 2, false);
    uint16_t one = raw_expect_publish(&client, "d", "one", 1);
    uint16_t two = raw_expect_publish(&client, "d", "two", 2);
    raw_close(&client); // without a word
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    struct mqtt_publish again = raw_receive_publish(&client);
    assert_true(again.dup && again.qos == 1 && again.packet_id == one);
    again = raw_receive_publish(&client);
    assert_true(again.dup && again.qos == 2 && again.packet_id == two);
    raw_ack(&client, MQTT_PUBACK, one);
    raw_ack(&client, MQTT_PUBREC, two);
    raw_expect_ack(&client, MQTT_PUBREL, two);
    raw_close(&client);
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    raw_expect_ack(&client, MQTT_PUBREL, two); // and not the PUBLISH
    raw_ack(&client, MQTT_PUBCOMP, two);
    raw_ping(&client);
    raw_disconnect(&client);
    raw_disconnect(&publisher);
    forget_session(state, "s");
}

static void test_mqtt_4_3_3_2_a_qos_2_message_sent_again_after_a_reconnect_is_delivered_once(void **state)
{
    struct raw_client watcher, client;
    raw_connect_clean(&watcher, process_port(*state), "w");
    assert_int_equal(raw_subscribe(&watcher, "once", 0), 0);
    raw_connect_kept(&client, process_port(*state), "s");
    RAW_SEND(&client, "\x34\x0B\x00\x04once\x00\x07"
                      "one");
    RAW_EXPECT(&client, "\x50\x02\x00\x07");
    raw_close(&client);
    assert_true(raw_connect_kept(&client, process_port(*state), "s"));
    RAW_SEND(&client, "\x3C\x0B\x00\x04once\x00\x07"
                      "one");
    RAW_EXPECT(&client, "\x50\x02\x00\x07");
    RAW_SEND(&client, "\x62\x02\x00\x07");
    RAW_EXPECT(&client, "\x70\x02\x00\x07");
    raw_publish(&client, "once", "sentinel", 0, false);
    raw_expect_publish(&watcher, "once", "one", 0);
    raw_expect_publish(&watcher, "once", "sentinel", 0);
    raw_disconnect(&client);
    raw_disconnect(&watcher);
    forget_session(state, "s");
}

static void test_mqtt_3_1_4_2_the_same_id_again_closes_the_first_connection(void **state)
{
    enum { TIMES = 20 }; // so that both of the broker's threads meet each other's
    struct raw_client clients[TIMES];
    for (int i = 0; i < TIMES; i++) {
        raw_connect_clean(&clients[i], process_port(*state), "same");
        if (i > 0) {
            raw_expect_closed(&clients[i - 1]);
            raw_close(&clients[i - 1]);
        }
    }
    raw_ping(&clients[TIMES - 1]);
    raw_disconnect(&clients[TIMES - 1]);
}

static void test_a_takeover_of_a_kept_session_goes_on_with_it(void **state)
{
    struct raw_client first, second, publisher;
    raw_connect_clean(&publisher, process_port(*state), "p");
    for (int round = 0; round < 10; round++) {
        raw_connect_kept(&first, process_port(*state), "s");
        assert_int_equal(raw_subscribe(&first, "t", 1), 1);
        assert_true(raw_connect_kept(&second, process_port(*state), "s"));
        raw_expect_closed(&first);
        raw_close(&first);
        raw_publish_done(&publisher, "t", "to the second", 1, false);
        raw_ack(&second, MQTT_PUBACK, raw_expect_publish(&second, "t", "to the second", 1));
        raw_ping(&second);
        raw_disconnect(&second);
    }
    raw_disconnect(&publisher);
    forget_session(state, "s");
}

// A watcher of wills, and a client with one.
struct will_fixture {
    struct raw_client watcher, client;
};

static struct will_fixture will_set_up(void **state, uint8_t qos, bool retain, uint16_t keep_alive_s)
{
    struct will_fixture fixture;
    raw_connect_clean(&fixture.watcher, process_port(*state), "w");
    assert_int_equal(raw_subscribe(&fixture.watcher, "will/#", 2), 2);
    struct mqtt_connect connect = {.client_id = mqtt_text_of("dying"),
                                   .clean_session = true,
                                   .keep_alive_s = keep_alive_s,
                                   .has_will = true,
                                   .will_qos = qos,
                                   .will_retain = retain,
                                   .will_topic = mqtt_text_of("will/x"),
                                   .will_message = {"gone", 4}};
    assert_false(raw_connect(&fixture.client, process_port(*state), &connect));
    return fixture;
}

static void will_tear_down(struct will_fixture *fixture)
{
    raw_publish(&fixture->watcher, "will/y", "sentinel", 0, false); // no second will
    raw_expect_publish(&fixture->watcher, "will/y", "sentinel", 0);
    raw_disconnect(&fixture->watcher);
    raw_close(&fixture->client);
}

static void test_mqtt_3_1_2_8_a_connection_that_ends_without_disconnect_leaves_its_will(void **state)
{
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct will_fixture fixture = will_set_up(state, qos, false, 0);
        raw_close(&fixture.client);
        uint16_t packet_id = raw_expect_publish(&fixture.watcher, "will/x", "gone", qos);
        if (qos == 1)
            raw_ack(&fixture.watcher, MQTT_PUBACK, packet_id);
        if (qos == 2) {
            raw_ack(&fixture.watcher, MQTT_PUBREC, packet_id);
            raw_expect_ack(&fixture.watcher, MQTT_PUBREL, packet_id);
            raw_ack(&fixture.watcher, MQTT_PUBCOMP, packet_id);
        }
        will_tear_down(&fixture);
    }
}

static void test_mqtt_3_1_2_10_a_disconnect_takes_the_will_back(void **state)
{
    struct will_fixture fixture = will_set_up(state, 1, false, 0);
    raw_disconnect(&fixture.client);
    will_tear_down(&fixture);
}

static void test_a_protocol_error_leaves_the_will(void **state)
{
    struct will_fixture fixture = will_set_up(state, 0, false, 0);
    RAW_SEND(&fixture.client, "\x36\x05\x00\x01"
                              "a\x00\x01");
    raw_expect_closed(&fixture.client);
    raw_expect_publish(&fixture.watcher, "will/x", "gone", 0);
    will_tear_down(&fixture);
}

static void test_a_takeover_leaves_the_will(void **state)
{
    struct will_fixture fixture = will_set_up(state, 0, false, 0);
    struct raw_client second;
    raw_connect_clean(&second, process_port(*state), "dying");
    raw_expect_closed(&fixture.client);
    raw_expect_publish(&fixture.watcher, "will/x", "gone", 0);
    raw_disconnect(&second);
    will_tear_down(&fixture);
}

static void test_mqtt_3_1_2_17_a_retained_will_is_kept_for_who_comes_later(void **state)
{
    struct will_fixture fixture = will_set_up(state, 0, true, 0);
    raw_close(&fixture.client);
    raw_expect_publish(&fixture.watcher, "will/x", "gone", 0); // retain is 0 for who was there
    struct raw_client late;
    raw_connect_clean(&late, process_port(*state), "late");
    assert_int_equal(raw_subscribe(&late, "will/x", 0), 0);
    struct mqtt_publish kept = raw_receive_publish(&late);
    assert_true(kept.retain);
    raw_publish(&late, "will/x", "", 0, true);
    raw_expect_publish(&late, "will/x", "", 0);
    raw_disconnect(&late);
    raw_expect_publish(&fixture.watcher, "will/x", "", 0);
    will_tear_down(&fixture);
}

static void
test_mqtt_3_1_2_24_a_silent_client_is_closed_after_its_keep_alive_and_leaves_its_will(void **state)
{
    struct will_fixture fixture = will_set_up(state, 0, false, 1);
    raw_ping(&fixture.client);
    raw_expect_closed(&fixture.client);
    raw_expect_publish(&fixture.watcher, "will/x", "gone", 0);
    will_tear_down(&fixture);
}

static void test_mqtt_3_1_2_24_a_client_that_only_receives_is_silent(void **state)
{
    struct raw_client client, publisher;
    struct mqtt_connect connect = {.client_id = mqtt_text_of("k"), .clean_session = true, .keep_alive_s = 1};
    assert_false(raw_connect(&client, process_port(*state), &connect));
    assert_int_equal(raw_subscribe(&client, "k", 0), 0);
    raw_connect_clean(&publisher, process_port(*state), "p");
    bool closed = false;
    while (!closed) { // as often as the client takes it: what it is sent does not keep it alive
        raw_publish(&publisher, "k", "x", 0, false);
        raw_ping(&publisher);
        closed = !raw_try_receive(&client, MQTT_PUBLISH);
    }
    raw_close(&client);
    raw_disconnect(&publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_3_2_2_2_session_present_says_whether_there_was_one),
        cmocka_unit_test(test_mqtt_3_1_2_6_a_clean_session_ends_with_its_connection),
        cmocka_unit_test(test_mqtt_3_1_2_5_a_kept_session_gets_what_came_while_it_was_away_in_order),
        cmocka_unit_test(test_mqtt_4_4_0_1_what_was_not_acknowledged_is_sent_again_with_dup_and_its_id),
        cmocka_unit_test(test_mqtt_4_3_3_2_a_qos_2_message_sent_again_after_a_reconnect_is_delivered_once),
        cmocka_unit_test(test_mqtt_3_1_4_2_the_same_id_again_closes_the_first_connection),
        cmocka_unit_test(test_a_takeover_of_a_kept_session_goes_on_with_it),
        cmocka_unit_test(test_mqtt_3_1_2_8_a_connection_that_ends_without_disconnect_leaves_its_will),
        cmocka_unit_test(test_mqtt_3_1_2_10_a_disconnect_takes_the_will_back),
        cmocka_unit_test(test_a_protocol_error_leaves_the_will),
        cmocka_unit_test(test_a_takeover_leaves_the_will),
        cmocka_unit_test(test_mqtt_3_1_2_17_a_retained_will_is_kept_for_who_comes_later),
        cmocka_unit_test(
            test_mqtt_3_1_2_24_a_silent_client_is_closed_after_its_keep_alive_and_leaves_its_will),
        cmocka_unit_test(test_mqtt_3_1_2_24_a_client_that_only_receives_is_silent),
    };
    int failed = cmocka_run_group_tests_name("shape lean", tests, process_group_lean, process_group_stop);
    return failed +
           cmocka_run_group_tests_name("small buffers", tests, process_group_small, process_group_stop);
}
