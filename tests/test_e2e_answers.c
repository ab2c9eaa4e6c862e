// SPDX-License-Identifier: Apache-2.0
// Against a real broker: answers to SUBSCRIBE and UNSUBSCRIBE of any length; connections that end, because an
// acknowledgement does not fit its message, or because a client sends bytes but no packets; messages to $SYS,
// which clients may not publish.
#include "tests/broker_process.h"
#include "tests/raw_client.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

// `count` filters f/N in one packet, each third with an N of three levels more than there may be.
static void send_list(struct raw_client *client, enum mqtt_packet_type type, size_t count)
{
    char(*texts)[700] = calloc(count, sizeof *texts);
    struct mqtt_subscription *list = calloc(count, sizeof *list);
    size_t size = count * 702 + 64;
    uint8_t *packet = malloc(size);
    assert_true(texts && list && packet);
    for (size_t i = 0; i < count; i++) {
        int bytes = snprintf(texts[i], sizeof texts[i], "f/%zu", i);
        if (i % 3 == 2) {
            memset(texts[i] + bytes, '/', 201);
            texts[i][bytes + 201] = '\0';
        }
        list[i] = (struct mqtt_subscription){mqtt_text_of(texts[i]), (uint8_t)(i % 2)};
    }
    int bytes = mqtt_subscribe_encode(packet, size, type, 77, list, count);
    assert_true(bytes > 0);
    raw_send(client, packet, (size_t)bytes);
    free(packet);
    free(list);
    free(texts);
}

static void expect_suback(struct raw_client *client, size_t count)
{
    struct mqtt_suback suback;
    struct mqtt_frame frame = raw_receive_type(client, MQTT_SUBACK);
    assert_int_equal(mqtt_suback_decode(&frame, &suback), MQTT_OK);
    assert_int_equal(suback.packet_id, 77);
    assert_int_equal(suback.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(suback.codes[i], i % 3 == 2 ? MQTT_SUBACK_FAILURE : i % 2);
}

static void test_lists_of_any_length_are_answered(void **state)
{
    static const size_t counts[] = {1, 64, 65, 1024, 1025, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct raw_client client;
        raw_connect_clean(&client, process_port(*state), "c");
        send_list(&client, MQTT_SUBSCRIBE, counts[i]);
        expect_suback(&client, counts[i]);
        raw_publish(&client, "f/0", "x", 0, false);
        raw_expect_publish(&client, "f/0", "x", 0);
        send_list(&client, MQTT_UNSUBSCRIBE, counts[i]);
        raw_expect_ack(&client, MQTT_UNSUBACK, 77);
        raw_publish(&client, "f/0", "x", 0, false);
        raw_ping(&client);
        raw_disconnect(&client);
    }
}

// The answers to two packets are larger than what the sockets of a client that does not read take.
static void test_an_answer_that_the_socket_takes_in_parts_comes_whole(void **state)
{
    enum { FILTERS = 12000, PACKETS = 100 };
    struct raw_client client;
    raw_connect_clean(&client, process_port(*state), "c");
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 16}, sizeof(int)), 0);
    uint8_t *packet = malloc(FILTERS * 4 + 16);
    size_t used = (size_t)mqtt_header_encode(packet, 16, MQTT_SUBSCRIBE, 2, 2 + FILTERS * 4);
    packet[used++] = 0;
    packet[used++] = 77;
    for (int i = 0; i < FILTERS; i++) {
        memcpy(packet + used, "\0\1a\0", 4);
        used += 4;
    }
    int sent = 0, answered = 0;
    while (answered < PACKETS) { // sends as long as the broker reads, then reads itself
        struct pollfd wait = {.fd = client.fd, .events = POLLOUT};
        if (sent < PACKETS && poll(&wait, 1, 20) == 1) {
            raw_send(&client, packet, used);
            sent++;
            continue;
        }
        struct mqtt_frame frame = raw_receive_type(&client, MQTT_SUBACK);
        assert_int_equal(frame.body_bytes, 2 + FILTERS);
        answered++;
    }
    free(packet);
    raw_ping(&client);
    raw_disconnect(&client);
}

// A subscriber with one message of `qos` in flight; gives its packet id.
static uint16_t subscriber_with_one(struct raw_client *client, uint16_t port, uint8_t qos)
{
    raw_connect_clean(client, port, "subscriber");
    assert_int_equal(raw_subscribe(client, "t", qos), qos);
    struct raw_client publisher;
    raw_connect_clean(&publisher, port, "publisher");
    raw_publish_done(&publisher, "t", "x", qos, false);
    raw_disconnect(&publisher);
    return raw_expect_publish(client, "t", "x", qos);
}

static void test_an_acknowledgement_of_another_qos_or_step_closes(void **state)
{
    static const struct {
        uint8_t qos;
        enum mqtt_packet_type type;
    } rows[] = {{1, MQTT_PUBREC}, {1, MQTT_PUBCOMP}, {2, MQTT_PUBACK}, {2, MQTT_PUBCOMP}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw_client client;
        uint16_t id = subscriber_with_one(&client, process_port(*state), rows[i].qos);
        raw_ack(&client, rows[i].type, id);
        raw_expect_closed(&client);
        raw_close(&client);
    }
}

static void test_acknowledgements_of_nothing_and_twice_are_no_error(void **state)
{
    struct raw_client client;
    uint16_t id = subscriber_with_one(&client, process_port(*state), 1);
    raw_ack(&client, MQTT_PUBACK, id);
    raw_ack(&client, MQTT_PUBACK, id);
    raw_ack(&client, MQTT_PUBCOMP, 4711);
    raw_ping(&client);
    raw_disconnect(&client);
}

// Keep alive of a second; a packet of a thousand bytes comes byte by byte and never ends.
static void test_mqtt_3_1_2_24_bytes_that_are_no_packet_do_not_keep_a_connection_alive(void **state)
{
    struct raw_client client;
    struct mqtt_connect connect = {.client_id = mqtt_text_of("c"), .clean_session = true, .keep_alive_s = 1};
    assert_false(raw_connect(&client, process_port(*state), &connect));
    RAW_SEND(&client, "\x30\x80\x80\x01\x00\x01t");
    struct pollfd wait = {.fd = client.fd, .events = POLLIN};
    for (int sent = 0; poll(&wait, 1, 20) == 0; sent++) {
        assert_true(sent < 16000);
        if (send(client.fd, "x", 1, MSG_NOSIGNAL) < 0)
            break;
    }
    raw_expect_closed(&client);
    raw_close(&client);
}

static void test_clients_do_not_publish_to_sys(void **state)
{
    struct raw_client client;
    struct mqtt_connect connect = {.client_id = mqtt_text_of("dies"),
                                   .clean_session = true,
                                   .has_will = true,
                                   .will_topic = mqtt_text_of("$SYS/will"),
                                   .will_message = {"x", 1}};
    struct raw_client dies;
    raw_connect_clean(&client, process_port(*state), "c");
    assert_int_equal(raw_subscribe(&client, "$SYS/#", 1), 1);
    assert_int_equal(raw_subscribe(&client, "$SYSTEM", 1), 1);
    raw_publish_done(&client, "$SYS/broker/uptime", "x", 1, true);
    raw_publish_done(&client, "$SYS", "x", 2, false);
    assert_false(raw_connect(&dies, process_port(*state), &connect));
    raw_close(&dies);
    raw_publish(&client, "$SYSTEM", "other", 0, false);
    raw_expect_publish(&client, "$SYSTEM", "other", 0);
    raw_unsubscribe(&client, "$SYS/#");
    assert_int_equal(raw_subscribe(&client, "$SYS/#", 1), 1); // nothing was retained
    raw_ping(&client);
    raw_disconnect(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_of_any_length_are_answered),
        cmocka_unit_test(test_an_answer_that_the_socket_takes_in_parts_comes_whole),
        cmocka_unit_test(test_an_acknowledgement_of_another_qos_or_step_closes),
        cmocka_unit_test(test_acknowledgements_of_nothing_and_twice_are_no_error),
        cmocka_unit_test(test_mqtt_3_1_2_24_bytes_that_are_no_packet_do_not_keep_a_connection_alive),
        cmocka_unit_test(test_clients_do_not_publish_to_sys),
    };
    int failed = cmocka_run_group_tests_name("answers, lean", tests, process_group_lean, process_group_stop);
    return failed +
           cmocka_run_group_tests_name("answers, small", tests, process_group_small, process_group_stop);
}
