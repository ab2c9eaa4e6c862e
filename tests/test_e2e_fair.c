// SPDX-License-Identifier: Apache-2.0
// Against a real broker: what one client sends does not keep the others waiting.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cmocka.h>

static void stop(struct process *broker)
{
    siginfo_t info;
    process_signal(broker, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)process_pid(broker), &info, WSTOPPED), 0);
}

// How many PUBLISHes come before the answer to a PINGREQ that was sent already.
static int publishes_before_the_pingresp(struct raw_client *client)
{
    for (int count = 0;; count++) {
        struct mqtt_frame frame = raw_receive(client);
        if (frame.type == MQTT_PINGRESP)
            return count;
        assert_int_equal(frame.type, MQTT_PUBLISH);
    }
}

// Two thousand small PUBLISHes for three hundred subscribers lie in one read; one of these has a question.
// All of it is there before the broker goes on.
static void a_read_full_of_publishes_is_handled_in_portions(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 300, MESSAGES = 2000, BYTES = 6 };
    struct process *broker = process_start_broker(NULL, NULL);
    struct raw_client publisher, *subscribers = calloc(SUBSCRIBERS, sizeof *subscribers);
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        raw_connect_clean(&subscribers[i], process_port(broker), id);
        assert_int_equal(raw_subscribe(&subscribers[i], "t", 0), 0);
    }
    char data[MESSAGES * BYTES];
    for (int i = 0; i < MESSAGES; i++)
        memcpy(data + i * BYTES, "\x30\x04\x00\x01tx", BYTES);
    stop(broker);
    raw_send(&publisher, data, sizeof data);
    RAW_SEND(&subscribers[0], "\xC0\x00");
    process_signal(broker, SIGCONT);
    int before = publishes_before_the_pingresp(&subscribers[0]);
    assert_in_range(before, 0, MESSAGES / 4);
    for (int i = 0; i < SUBSCRIBERS; i++)
        for (int k = i == 0 ? before : 0; k < MESSAGES; k++)
            raw_expect_publish(&subscribers[i], "t", "x", 0);
    raw_ping(&publisher);
    for (int i = 0; i < SUBSCRIBERS; i++)
        raw_disconnect(&subscribers[i]);
    free(subscribers);
    raw_disconnect(&publisher);
    assert_int_equal(process_stop(broker), 0);
}

// The same from a client that resets its connection at once, and from one whose place another takes.
static void what_waits_for_its_turn_is_not_lost(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 100, MESSAGES = 2000, BYTES = 6 };
    for (int taken_over = 0; taken_over <= 1; taken_over++) {
        struct process *broker = process_start_broker(NULL, NULL);
        struct raw_client publisher, next, *subscribers = calloc(SUBSCRIBERS, sizeof *subscribers);
        raw_connect_clean(&publisher, process_port(broker), "publisher");
        assert_int_equal(raw_subscribe(&publisher, "t", 0), 0);
        for (int i = 0; i < SUBSCRIBERS; i++) {
            char id[16];
            snprintf(id, sizeof id, "s%d", i);
            raw_connect_clean(&subscribers[i], process_port(broker), id);
            assert_int_equal(raw_subscribe(&subscribers[i], "t", 0), 0);
        }
        char data[MESSAGES * BYTES];
        for (int i = 0; i < MESSAGES; i++)
            memcpy(data + i * BYTES, "\x30\x04\x00\x01tx", BYTES);
        raw_send(&publisher, data, sizeof data);
        if (taken_over)
            raw_connect_clean(&next, process_port(broker), "publisher");
        raw_close(&publisher);
        for (int i = 0; i < SUBSCRIBERS; i++)
            for (int k = 0; k < MESSAGES; k++)
                raw_expect_publish(&subscribers[i], "t", "x", 0);
        if (taken_over)
            raw_disconnect(&next);
        for (int i = 0; i < SUBSCRIBERS; i++)
            raw_disconnect(&subscribers[i]);
        free(subscribers);
        assert_int_equal(process_stop(broker), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_full_of_publishes_is_handled_in_portions),
        cmocka_unit_test(what_waits_for_its_turn_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
