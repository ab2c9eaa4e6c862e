// SPDX-License-Identifier: Apache-2.0
// Against a real broker: what one client makes much of is done in portions, and others are served between them. Shown by the
// order in which answers come, and by the most work of a turn, which the broker counts.
#include "broker/net/turn.h"
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/raw_client.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

// All parts of a turn together are eight times TURN_WORK; what each goes past its budget by, the last packet or transport of
// the part, is less.
enum { WORK_OF_A_TURN = 14 * TURN_WORK };

static struct process *start(void)
{
    return process_start_broker("--threads", "1", "--shape", "lean", NULL);
}

static void stop(struct process *broker)
{
    siginfo_t info;
    process_signal(broker, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)process_pid(broker), &info, WSTOPPED), 0);
}

static void end(struct process *broker)
{
    assert_in_range(process_statistic(broker, "turn_work"), 1, WORK_OF_A_TURN);
    assert_int_equal(process_stop(broker), 0);
}

// A SUBSCRIBE or UNSUBSCRIBE of filters 10000 and so on, at `to`. Returns its bytes.
static size_t list_of(uint8_t *to, size_t size, enum mqtt_packet_type type, int count)
{
    struct mqtt_subscription *filters = calloc((size_t)count, sizeof *filters);
    char(*texts)[16] = calloc((size_t)count, sizeof *texts);
    assert_true(filters && texts);
    for (int i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", 10000 + i);
        filters[i] = (struct mqtt_subscription){mqtt_text_of(texts[i]), (uint8_t)(i % 2)};
    }
    int bytes = mqtt_subscribe_encode(to, size, type, 5, filters, (size_t)count);
    assert_true(bytes > 0);
    free(filters);
    free(texts);
    return (size_t)bytes;
}

// One read of the broker has a list of 7 000 filters, and behind it a message. Another client has a question, which came later. It
// gets the answer before the message.
static void a_list_of_many_filters_lets_others_go_first(void **state)
{
    (void)state;
    enum { FILTERS = 7000, BYTES = 60000 };
    struct process *broker = start();
    struct raw_client attacker, other;
    uint8_t *data = malloc(BYTES + 64);
    assert_non_null(data);
    raw_connect_clean(&attacker, process_port(broker), "attacker");
    raw_connect_clean(&other, process_port(broker), "other");
    assert_int_equal(raw_subscribe(&other, "t", 0), 0);
    for (int is_subscribe = 1; is_subscribe >= 0; is_subscribe--) {
        size_t bytes = list_of(data, BYTES, is_subscribe ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE, FILTERS);
        memcpy(data + bytes, "\x30\x04\x00\x01tx", 6);
        stop(broker);
        raw_send(&attacker, data, bytes + 6);
        RAW_SEND(&other, "\xC0\x00");
        process_signal(broker, SIGCONT);
        raw_receive_type(&other, MQTT_PINGRESP);
        raw_expect_publish(&other, "t", "x", 0);
        struct mqtt_frame answer = raw_receive_type(&attacker, is_subscribe ? MQTT_SUBACK : MQTT_UNSUBACK);
        assert_int_equal(answer.body_bytes, is_subscribe ? 2 + FILTERS : 2);
        assert_int_equal(answer.body[1], 5);
        for (int i = 0; is_subscribe && i < FILTERS; i++)
            assert_int_equal(answer.body[2 + i], i % 2);
        raw_publish(&other, "10000", "first", 0, false);
        raw_publish(&other, "16999", "last", 0, false);
        raw_ping(&other);
        if (is_subscribe) {
            raw_expect_publish(&attacker, "10000", "first", 0);
            raw_expect_publish(&attacker, "16999", "last", 0);
        }
        raw_ping(&attacker); // and nothing else came
    }
    free(data);
    raw_disconnect(&other);
    raw_disconnect(&attacker);
    end(broker);
}

// A list whose last filter is wrong: none of them is subscribed to.
static void nothing_is_done_for_a_long_list_with_a_fault_at_its_end(void **state)
{
    (void)state;
    enum { FILTERS = 7000, BYTES = 60000 };
    struct process *broker = start();
    struct raw_client client;
    uint8_t *data = malloc(BYTES);
    assert_non_null(data);
    size_t bytes = list_of(data, BYTES, MQTT_SUBSCRIBE, FILTERS);
    data[bytes - 1] = 3;
    assert_false(raw_connect_kept(&client, process_port(broker), "c"));
    raw_send(&client, data, bytes);
    raw_expect_closed(&client);
    raw_close(&client);
    assert_true(raw_connect_kept(&client, process_port(broker), "c"));
    raw_publish(&client, "10000", "x", 0, false);
    raw_ping(&client); // it does not come back
    free(data);
    raw_disconnect(&client);
    end(broker);
}

// The same id again, while packets of the first connection wait that cost much: they count, in portions, and others go first.
static void a_takeover_lets_others_go_first_and_loses_nothing(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 200, MESSAGES = 4000, BYTES = 6 };
    struct process *broker = start();
    struct raw_client first, second, other, *subscribers = calloc(SUBSCRIBERS, sizeof *subscribers);
    char data[MESSAGES * BYTES];
    assert_non_null(subscribers);
    raw_connect_clean(&first, process_port(broker), "same");
    raw_connect_clean(&other, process_port(broker), "other");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        raw_connect_clean(&subscribers[i], process_port(broker), id);
        assert_int_equal(raw_subscribe(&subscribers[i], "t", 0), 0);
    }
    assert_int_equal(raw_subscribe(&other, "t", 0), 0);
    for (int i = 0; i < MESSAGES; i++)
        memcpy(data + i * BYTES, "\x30\x04\x00\x01tx", BYTES);
    raw_open(&second, process_port(broker));
    stop(broker);
    raw_send(&first, data, sizeof data);
    RAW_SEND(&second, "\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04same");
    RAW_SEND(&other, "\xC0\x00");
    process_signal(broker, SIGCONT);
    int before = 0;
    while (raw_receive(&other).type == MQTT_PUBLISH)
        before++; // then the PINGRESP
    assert_in_range(before, 0, MESSAGES / 4);
    RAW_EXPECT(&second, "\x20\x02\x00\x00");
    raw_expect_closed(&first);
    for (int k = before; k < MESSAGES; k++)
        raw_expect_publish(&other, "t", "x", 0);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        for (int k = 0; k < MESSAGES; k++)
            raw_expect_publish(&subscribers[i], "t", "x", 0);
        raw_disconnect(&subscribers[i]);
    }
    assert_int_equal(process_statistic(broker, "sessions_taken_over"), 1);
    free(subscribers);
    raw_close(&first);
    raw_disconnect(&second);
    raw_disconnect(&other);
    end(broker);
}

// Many connections of one id at once: all but the last are ended, and the last works.
static void a_storm_of_one_id_leaves_one_connection(void **state)
{
    (void)state;
    enum { CLIENTS = 300 };
    struct process *broker = start();
    struct raw_client *clients = calloc(CLIENTS, sizeof *clients), other;
    assert_non_null(clients);
    raw_connect_clean(&other, process_port(broker), "other");
    stop(broker);
    for (int i = 0; i < CLIENTS; i++) {
        raw_open(&clients[i], process_port(broker));
        RAW_SEND(&clients[i], "\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04same");
    }
    process_signal(broker, SIGCONT);
    raw_ping(&other);
    while (process_statistic(broker, "closed") < CLIENTS - 1)
        raw_ping(&other);
    assert_int_equal(process_statistic(broker, "sessions_taken_over"), CLIENTS - 1);
    int open = 0;
    for (int i = 0; i < CLIENTS; i++) {
        char byte;
        RAW_EXPECT(&clients[i], "\x20\x02\x00\x00");
        if (recv(clients[i].fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {
            raw_ping(&clients[i]);
            open++;
        }
        raw_close(&clients[i]);
    }
    assert_int_equal(open, 1);
    free(clients);
    raw_disconnect(&other);
    end(broker);
}

static void expect_bytes(int fd, const char *bytes, size_t count)
{
    char got[64];
    assert_true(count <= sizeof got);
    assert_int_equal(recv(fd, got, count, MSG_WAITALL), (ssize_t)count);
    assert_memory_equal(got, bytes, count);
}

// More subscribers than get a message at once. Their order is that of the messages, also those of another client and of a will.
static void messages_to_thousands_come_in_their_order(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 5000, SPARE = 100, MESSAGES = 5 };
    static const char subscribe[] = "\x82\x06\x00\x01\x00\x01t\x00", suback[] = "\x90\x03\x00\x01";
    if (many_clients_limit() < SUBSCRIBERS + SPARE)
        skip();
    struct process *broker = start();
    struct many_clients clients;
    struct raw_client one, two;
    many_clients_connect(&clients, process_port(broker), SUBSCRIBERS, 100, "s");
    assert_int_equal(clients.accepted, SUBSCRIBERS);
    for (int i = 0; i < SUBSCRIBERS; i++)
        assert_int_equal(send(clients.fds[i], subscribe, sizeof subscribe - 1, 0), sizeof subscribe - 1);
    for (int i = 0; i < SUBSCRIBERS; i++)
        expect_bytes(clients.fds[i], suback, sizeof suback);
    struct mqtt_connect with_will = {.clean_session = true,
                                     .client_id = mqtt_text_of("two"),
                                     .has_will = true,
                                     .will_topic = mqtt_text_of("t"),
                                     .will_message = {"w", 1}};
    raw_connect_clean(&one, process_port(broker), "one");
    raw_connect(&two, process_port(broker), &with_will);
    for (int i = 0; i < MESSAGES; i++)
        raw_publish(&one, "t", (const char[]){(char)('1' + i), 0}, 0, false);
    raw_ping(&one); // the last one is on its way
    raw_publish(&two, "t", "6", 0, false);
    raw_ping(&two);
    raw_close(&two);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        for (int k = 0; k <= MESSAGES; k++) {
            char expected[] = "\x30\x04\x00\x01t1";
            expected[5] = (char)('1' + k);
            expect_bytes(clients.fds[i], expected, 6);
        }
        expect_bytes(clients.fds[i], "\x30\x04\x00\x01tw", 6);
    }
    many_clients_ping(&clients); // and nothing more
    many_clients_close(&clients);
    raw_disconnect(&one);
    assert_int_equal(process_statistic(broker, "messages_sent"), (MESSAGES + 2) * SUBSCRIBERS);
    end(broker);
}

// A client comes back to 30 000 messages, takes none, and its session ends with them and with 20 000 filters. Others get their
// answers.
static void a_session_that_has_much_comes_and_goes_in_portions(void **state)
{
    (void)state;
    enum { MESSAGES = 30000, BYTES = 8, FILTERS = 20000 };
    struct process *broker = start();
    struct raw_client client, other;
    size_t size = FILTERS * 16;
    uint8_t *data = malloc(size);
    assert_true(data && size >= MESSAGES * BYTES);
    raw_connect_clean(&other, process_port(broker), "other");
    assert_false(raw_connect_kept(&client, process_port(broker), "c"));
    raw_send(&client, data, list_of(data, size, MQTT_SUBSCRIBE, FILTERS));
    raw_receive_type(&client, MQTT_SUBACK);
    assert_int_equal(raw_subscribe(&client, "t", 1), 1);
    raw_close(&client);
    for (int i = 0; i < MESSAGES; i++) {
        memcpy(data + i * BYTES, "\x32\x06\x00\x01t..x", BYTES);
        data[i * BYTES + 5] = (uint8_t)(1 + i / 255 % 255);
        data[i * BYTES + 6] = (uint8_t)(1 + i % 255);
    }
    raw_send(&other, data, MESSAGES * BYTES);
    for (int i = 0; i < MESSAGES; i++)
        raw_receive_type(&other, MQTT_PUBACK);
    assert_true(raw_connect_kept(&client, process_port(broker), "c"));
    raw_receive_publish(&client);
    raw_ping(&other);
    raw_close(&client);
    raw_connect_clean(&client, process_port(broker), "c"); // ends the session
    raw_ping(&other);
    raw_publish(&other, "t", "x", 0, false);
    raw_publish(&other, "10000", "x", 0, false);
    raw_ping(&other);
    raw_ping(&client); // it has no subscription any more
    free(data);
    raw_disconnect(&client);
    raw_disconnect(&other);
    end(broker);
}

// A search through a thousand filters for each of 2 000 messages: few of them fit into a turn, though each is delivered once only.
static void overlapping_filters_count_as_the_work_that_they_make(void **state)
{
    (void)state;
    enum { LEVELS = 9, MESSAGES = 2000, BYTES = 2 + 2 + 17 + 1 };
    struct process *broker = start();
    struct raw_client attacker, other;
    char *data = malloc(MESSAGES * BYTES);
    assert_non_null(data);
    raw_connect_clean(&attacker, process_port(broker), "attacker");
    raw_connect_clean(&other, process_port(broker), "other");
    for (unsigned bits = 0; bits < 1u << LEVELS; bits++) {
        char filter[2 * LEVELS];
        for (int i = 0; i < LEVELS; i++) {
            filter[2 * i] = bits >> i & 1 ? '+' : 'a';
            filter[2 * i + 1] = i < LEVELS - 1 ? '/' : 0;
        }
        assert_int_equal(raw_subscribe(&attacker, filter, 0), 0);
    }
    for (int i = 0; i < MESSAGES; i++)
        memcpy(data + i * BYTES,
               "\x30\x14\x00\x11"
               "a/a/a/a/a/a/a/a/ax",
               BYTES);
    raw_send(&other, data, MESSAGES * BYTES);
    for (int i = 0; i < MESSAGES; i++)
        raw_expect_publish(&attacker, "a/a/a/a/a/a/a/a/a", "x", 0);
    raw_ping(&attacker);
    free(data);
    raw_disconnect(&attacker);
    raw_disconnect(&other);
    end(broker);
}

// 65 536 filters of one client match one topic. Its search would be a hundred times what a turn may do. Meanwhile others are
// served, and the messages come once each, in order.
static void a_message_that_very_many_filters_match_is_searched_for_in_portions(void **state)
{
    (void)state;
    enum { LEVELS = 16, FILTERS = 1 << LEVELS, FILTER_BYTES = 2 * LEVELS };
    static const char topic[] = "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a";
    struct process *broker = start();
    struct raw_client attacker, other;
    struct mqtt_subscription *filters = calloc(FILTERS, sizeof *filters);
    char *texts = malloc(FILTERS * FILTER_BYTES);
    size_t size = FILTERS * (FILTER_BYTES + 3) + 16;
    uint8_t *packet = malloc(size);
    assert_true(filters && texts && packet);
    for (unsigned bits = 0; bits < FILTERS; bits++) {
        char *text = texts + bits * FILTER_BYTES;
        for (int i = 0; i < LEVELS; i++) {
            text[2 * i] = bits >> i & 1 ? '+' : 'a';
            text[2 * i + 1] = i < LEVELS - 1 ? '/' : 0;
        }
        filters[bits] = (struct mqtt_subscription){mqtt_text_of(text), 0};
    }
    int bytes = mqtt_subscribe_encode(packet, size, MQTT_SUBSCRIBE, 5, filters, FILTERS);
    assert_true(bytes > 0);
    raw_connect_clean(&attacker, process_port(broker), "attacker");
    raw_connect_clean(&other, process_port(broker), "other");
    raw_send(&attacker, packet, (size_t)bytes);
    raw_receive_type(&attacker, MQTT_SUBACK);
    assert_int_equal(raw_subscribe(&other, "t", 0), 0);
    assert_int_equal(raw_subscribe(&other, "a/#", 0), 0);
    stop(broker);
    raw_publish(&attacker, topic, "1", 0, false);
    raw_publish(&attacker, topic, "2", 0, false);
    raw_publish(&other, "t", "x", 0, false);
    process_signal(broker, SIGCONT);
    raw_expect_publish(&other, "t", "x", 0);
    raw_expect_publish(&other, topic, "1", 0);
    raw_expect_publish(&other, topic, "2", 0);
    raw_expect_publish(&attacker, topic, "1", 0);
    raw_expect_publish(&attacker, topic, "2", 0);
    raw_ping(&attacker);
    raw_disconnect(&attacker);
    raw_disconnect(&other);
    free(packet);
    free(texts);
    free(filters);
    end(broker);
}

// Several loops: what a client sends much of goes to the bulk of the other loops' mail, and what it sends next to the few. It
// comes behind nevertheless, also on a new connection, of which another loop may have got hold.
static void mail_of_other_loops_comes_in_its_order_though_little_goes_before_much(void **state)
{
    (void)state;
    enum { SUBSCRIBERS = 60, MESSAGES = 1000, BYTES = 6, ROUNDS = 2 };
    struct process *broker = process_start_broker("--threads", "4", "--shape", "lean", NULL);
    struct raw_client publisher, *subscribers = calloc(SUBSCRIBERS, sizeof *subscribers);
    char data[MESSAGES * BYTES];
    assert_non_null(subscribers);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        raw_connect_clean(&subscribers[i], process_port(broker), id);
        assert_int_equal(raw_subscribe(&subscribers[i], "t", 0), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MESSAGES; i++)
            memcpy(data + i * BYTES, (char[]){0x30, 4, 0, 1, 't', (char)('a' + i % 26)}, BYTES);
        raw_connect_clean(&publisher, process_port(broker), "publisher");
        raw_send(&publisher, data, sizeof data);
        raw_publish(&publisher, "t", "0", 0, false);
        raw_disconnect(&publisher);
        raw_connect_clean(&publisher, process_port(broker), "publisher");
        raw_publish(&publisher, "t", "1", 0, false);
        raw_ping(&publisher);
        raw_publish(&publisher, "t", "2", 0, false);
        raw_disconnect(&publisher);
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        for (int k = 0; k < ROUNDS * (MESSAGES + 3); k++) {
            int at = k % (MESSAGES + 3);
            char payload[] = {(char)(at < MESSAGES ? 'a' + at % 26 : '0' + at - MESSAGES), 0};
            raw_expect_publish(&subscribers[i], "t", payload, 0);
        }
        raw_disconnect(&subscribers[i]);
    }
    free(subscribers);
    end(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_many_filters_lets_others_go_first),
        cmocka_unit_test(nothing_is_done_for_a_long_list_with_a_fault_at_its_end),
        cmocka_unit_test(a_takeover_lets_others_go_first_and_loses_nothing),
        cmocka_unit_test(a_storm_of_one_id_leaves_one_connection),
        cmocka_unit_test(messages_to_thousands_come_in_their_order),
        cmocka_unit_test(a_session_that_has_much_comes_and_goes_in_portions),
        cmocka_unit_test(overlapping_filters_count_as_the_work_that_they_make),
        cmocka_unit_test(a_message_that_very_many_filters_match_is_searched_for_in_portions),
        cmocka_unit_test(mail_of_other_loops_comes_in_its_order_though_little_goes_before_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
