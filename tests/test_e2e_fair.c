// SPDX-License-Identifier: Apache-2.0
// Against a real broker: a client that sends or requests much does not delay the others.
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

// `count` retained messages r/N of `bytes` bytes each that are all `fill`; what is published goes in few
// writes.
static void retain_many(struct raw_client *client, int count, size_t bytes, char fill, uint8_t qos)
{
    size_t size = bytes + 64, used = 0, room = 1 << 20;
    uint8_t *packets = malloc(room + size), *payload = malloc(bytes);
    assert_true(packets && payload);
    memset(payload, fill, bytes);
    for (int i = 0; i < count; i++) {
        char topic[16];
        snprintf(topic, sizeof topic, "r/%d", i);
        struct mqtt_publish publish = {.retain = true,
                                       .qos = qos,
                                       .packet_id = qos ? (uint16_t)(i + 1) : 0,
                                       .topic = mqtt_text_of(topic),
                                       .payload = {payload, bytes}};
        int written = mqtt_publish_encode(packets + used, size, &publish);
        assert_true(written > 0);
        used += (size_t)written;
        if (used > room - size || i == count - 1) {
            raw_send(client, packets, used);
            used = 0;
        }
    }
    for (int i = 0; qos > 0 && i < count; i++)
        raw_expect_ack(client, MQTT_PUBACK, (uint16_t)(i + 1));
    raw_ping(client);
    free(packets);
    free(payload);
}

// More of them than a queue holds, by count and by bytes.
static void every_retained_message_comes_however_many_there_are(void **state)
{
    (void)state;
    static const struct {
        int count;
        size_t bytes;
        uint8_t qos;
        const char *queued_messages, *queued_bytes;
    } rows[] = {{70000, 1, 0, "1000", "16MiB"}, {300, 100000, 1, "65536", "1MiB"}};
    for (size_t row = 0; row < 2; row++)
        for (uint8_t qos = 0; qos <= 1; qos++) {
            struct process *broker = process_start_broker("--max-queued-messages", rows[row].queued_messages,
                                                          "--max-queued-bytes", rows[row].queued_bytes, NULL);
            struct raw_client publisher, subscriber;
            raw_connect_clean(&publisher, process_port(broker), "publisher");
            retain_many(&publisher, rows[row].count, rows[row].bytes, 'x', rows[row].qos);
            raw_connect_clean(&subscriber, process_port(broker), "subscriber");
            assert_int_equal(raw_subscribe(&subscriber, "r/+", qos), qos);
            char *seen = calloc(1, (size_t)rows[row].count);
            for (int i = 0; i < rows[row].count; i++) {
                struct mqtt_publish publish = raw_receive_publish(&subscriber);
                int at = atoi(publish.topic.data + 2);
                assert_true(publish.retain && at >= 0 && at < rows[row].count && !seen[at]);
                seen[at] = 1;
                if (publish.qos > 0)
                    raw_ack(&subscriber, MQTT_PUBACK, publish.packet_id);
            }
            free(seen);
            raw_ping(&subscriber);
            raw_disconnect(&subscriber);
            raw_disconnect(&publisher);
            assert_int_equal(process_stop(broker), 0);
        }
}

// A SUBSCRIBE that asks for everything a hundred times, and a PINGREQ: its answer does not wait for two
// million messages.
static void retained_messages_are_sent_in_portions(void **state)
{
    (void)state;
    enum { RETAINED = 20000, FILTERS = 100 };
    struct process *broker = process_start_broker(NULL, NULL);
    struct raw_client publisher, subscriber;
    uint8_t packet[FILTERS * 4 + 16];
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    retain_many(&publisher, RETAINED, 1, 'x', 0);
    raw_connect_clean(&subscriber, process_port(broker), "subscriber");
    size_t used = (size_t)mqtt_header_encode(packet, 16, MQTT_SUBSCRIBE, 2, 2 + FILTERS * 4);
    packet[used++] = 0;
    packet[used++] = 77;
    for (int i = 0; i < FILTERS; i++, used += 4)
        memcpy(packet + used, "\0\1#\0", 4);
    packet[used++] = 0xC0;
    packet[used++] = 0;
    stop(broker);
    raw_send(&subscriber, packet, used);
    process_signal(broker, SIGCONT);
    (void)raw_receive_type(&subscriber, MQTT_SUBACK);
    assert_in_range(publishes_before_the_pingresp(&subscriber), 0, 2 * RETAINED);
    raw_ping(&publisher);
    raw_close(&subscriber);
    raw_disconnect(&publisher);
    assert_int_equal(process_stop(broker), 0);
}

// While most of the old ones are still to be sent, all are replaced: the last that comes of each is the new
// one.
static void a_retained_message_that_was_replaced_does_not_come_after_the_new_one(void **state)
{
    (void)state;
    enum { RETAINED = 3000, BYTES = 4000 };
    struct process *broker = process_start_broker(NULL, NULL);
    struct raw_client publisher, subscriber;
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    retain_many(&publisher, RETAINED, BYTES, 'o', 0);
    raw_connect_clean(&subscriber, process_port(broker), "subscriber");
    assert_int_equal(raw_subscribe(&subscriber, "r/#", 0), 0);
    retain_many(&publisher, RETAINED, 1, 'n', 0);
    char *last = calloc(1, RETAINED);
    int fresh = 0;
    while (fresh < RETAINED) {
        struct mqtt_publish publish = raw_receive_publish(&subscriber);
        int at = atoi(publish.topic.data + 2);
        char now = *(const char *)publish.payload.data;
        assert_true(at >= 0 && at < RETAINED && (now == 'n' || last[at] != 'n'));
        fresh += now == 'n' && last[at] != 'n';
        last[at] = now;
    }
    RAW_SEND(&subscriber, "\xC0\x00");
    for (;;) {
        struct mqtt_frame frame = raw_receive(&subscriber);
        if (frame.type == MQTT_PINGRESP)
            break;
        struct mqtt_publish publish;
        assert_int_equal(mqtt_publish_decode(&frame, &publish), MQTT_OK);
        assert_int_equal(*(const char *)publish.payload.data, 'n');
    }
    free(last);
    raw_disconnect(&subscriber);
    raw_disconnect(&publisher);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_full_of_publishes_is_handled_in_portions),
        cmocka_unit_test(what_waits_for_its_turn_is_not_lost),
        cmocka_unit_test(every_retained_message_comes_however_many_there_are),
        cmocka_unit_test(retained_messages_are_sent_in_portions),
        cmocka_unit_test(a_retained_message_that_was_replaced_does_not_come_after_the_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
