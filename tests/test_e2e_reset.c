// SPDX-License-Identifier: Apache-2.0
// Against a real broker: packets that a client has sent count, however its connection ends afterwards. Its
// PUBLISH is delivered, and its DISCONNECT discards the will. This holds when a reset came with them, when a
// write to the client failed first, and when the broker had paused reading.
#include "tests/broker_process.h"
#include "base/clock.h"
#include "tests/raw_client.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LETTERS_WAIT_NS (PROCESS_GUARD_S * NS_PER_S)

enum { VICTIMS = 300, BLOCKED = 8, LETTERS = 200, LARGE_BYTES = 256 << 10, LARGE_COUNT = 40 };

// Connected, with a will on w, and with a message that it will not read: so its close is a reset.
static void open_victim(struct raw_client *client, uint16_t port, int number)
{
    char id[16], topic[16];
    snprintf(id, sizeof id, "v%d", number);
    snprintf(topic, sizeof topic, "o/%d", number);
    struct mqtt_connect connect = {.client_id = mqtt_text_of(id),
                                   .clean_session = true,
                                   .has_will = true,
                                   .will_topic = mqtt_text_of("w"),
                                   .will_message = {"gone", 4}};
    assert_false(raw_connect(client, port, &connect));
    assert_int_equal(raw_subscribe(client, topic, 0), 0);
    assert_int_equal(raw_subscribe(client, "o/all", 0), 0);
    raw_publish(client, topic, "unread", 0, false);
    struct pollfd unread = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&unread, 1, PROCESS_GUARD_S * 1000), 1);
}

static void stop(struct process *broker)
{
    siginfo_t info;
    process_signal(broker, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)process_pid(broker), &info, WSTOPPED), 0);
}

static void wait_until_alone(struct process *broker, int connections)
{
    char wanted[32];
    bool is_there;
    snprintf(wanted, sizeof wanted, "connections %d,", connections);
    do {
        process_signal(broker, SIGUSR1);
        const char *line = process_wait_line(broker, "connections ");
        is_there = line && strncmp(line, wanted, strlen(wanted)) == 0;
        assert_non_null(process_wait_line(broker, "end of statistics"));
    } while (!is_there);
}

static void watch(struct raw_client *watcher, uint16_t port)
{
    raw_connect_clean(watcher, port, "watcher");
    assert_int_equal(raw_subscribe(watcher, "l", 0), 0);
    assert_int_equal(raw_subscribe(watcher, "w", 0), 0);
}

// What the watcher got up to now: messages on l; none on w.
static int count_letters(struct raw_client *watcher, int expected)
{
    int letters = 0, wills = 0;
    // Mail of another loop may come after the answer to a ping, so it is asked again while some are missing.
    int64_t until_ns = clock_now_ns() + LETTERS_WAIT_NS;
    RAW_SEND(watcher, "\xC0\x00");
    for (;;) {
        struct mqtt_frame frame = raw_receive(watcher);
        struct mqtt_publish publish;
        if (frame.type == MQTT_PINGRESP) {
            if (letters >= expected || clock_now_ns() > until_ns)
                break;
            clock_sleep_until_ns(clock_now_ns() + 10 * NS_PER_MS);
            RAW_SEND(watcher, "\xC0\x00");
            continue;
        }
        assert_int_equal(mqtt_publish_decode(&frame, &publish), MQTT_OK);
        letters += publish.topic.data[0] == 'l';
        wills += publish.topic.data[0] == 'w';
    }
    assert_int_equal(wills, 0);
    return letters;
}

// While the broker is stopped, each victim sends PUBLISH and DISCONNECT and resets its connection.
static void reset_all(struct process *broker, bool write_fails_first)
{
    struct raw_client watcher, publisher, *victims = calloc(VICTIMS, sizeof *victims);
    uint16_t port = process_port(broker);
    watch(&watcher, port);
    raw_connect_clean(&publisher, port, "publisher");
    for (int i = 0; i < VICTIMS; i++)
        open_victim(&victims[i], port, i);
    stop(broker);
    if (write_fails_first)
        raw_publish(&publisher, "o/all", "to the dead", 0, false);
    for (int i = 0; i < VICTIMS; i++) {
        raw_publish(&victims[i], "l", "L", 0, false);
        RAW_SEND(&victims[i], "\xE0\x00");
        raw_close(&victims[i]);
    }
    process_signal(broker, SIGCONT);
    wait_until_alone(broker, 2);
    assert_int_equal(count_letters(&watcher, VICTIMS), VICTIMS);
    raw_disconnect(&publisher);
    raw_disconnect(&watcher);
    free(victims);
}

static void test_what_came_before_a_reset_counts(void **state)
{
    reset_all(*state, false);
}

static void test_what_came_counts_although_a_write_fails_first(void **state)
{
    reset_all(*state, true);
}

// More than the buffers of two sockets hold, so that the broker can send the subscriber nothing any more.
static void flood(struct raw_client *publisher)
{
    uint8_t *payload = calloc(1, LARGE_BYTES), *packet = malloc(LARGE_BYTES + 64);
    assert_true(payload && packet);
    struct mqtt_publish publish = {.topic = mqtt_text_of("flood"), .payload = {payload, LARGE_BYTES}};
    int bytes = mqtt_publish_encode(packet, LARGE_BYTES + 64, &publish);
    for (int i = 0; i < LARGE_COUNT; i++)
        raw_send(publisher, packet, (size_t)bytes);
    raw_ping(publisher);
    free(payload);
    free(packet);
}

// At QoS 1, and a DISCONNECT: in one piece, so that all of it is in the broker's kernel.
static void send_letters(struct raw_client *client)
{
    uint8_t data[LETTERS * 16 + 2];
    size_t used = 0;
    for (uint16_t i = 0; i < LETTERS; i++) {
        struct mqtt_publish publish = {
            .qos = 1, .packet_id = (uint16_t)(i + 1), .topic = mqtt_text_of("l"), .payload = {"L", 1}};
        int bytes = mqtt_publish_encode(data + used, sizeof data - used, &publish);
        assert_true(bytes > 0);
        used += (size_t)bytes;
    }
    data[used++] = 0xE0;
    data[used++] = 0;
    raw_send(client, data, used);
}

// Subscribers that do not read, and go on publishing at QoS 1: the broker has no room for the answers, and
// stops reading them. `leave` ends their connections.
static void block_all(struct process *broker,
                      void (*leave)(struct raw_client *client, uint16_t port, int number))
{
    struct raw_client watcher, publisher, blocked[BLOCKED];
    uint16_t port = process_port(broker);
    watch(&watcher, port);
    raw_connect_clean(&publisher, port, "publisher");
    for (int i = 0; i < BLOCKED; i++) {
        open_victim(&blocked[i], port, i);
        assert_int_equal(setsockopt(blocked[i].fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
        RAW_SEND(&blocked[i], "\x82\x0A\x00\x63\x00\x05"
                              "flood\x00");
    }
    flood(&publisher);
    for (int i = 0; i < BLOCKED; i++)
        send_letters(&blocked[i]);
    for (int i = 0; i < BLOCKED; i++)
        leave(&blocked[i], port, i);
    wait_until_alone(broker, 2);
    assert_int_equal(count_letters(&watcher, BLOCKED * LETTERS), BLOCKED * LETTERS);
    raw_disconnect(&publisher);
    raw_disconnect(&watcher);
}

static void leave_by_reset(struct raw_client *client, uint16_t port, int number)
{
    (void)port, (void)number;
    raw_close(client);
}

// The connection before is closed by the broker, for it has the same id.
static void leave_by_takeover(struct raw_client *client, uint16_t port, int number)
{
    char id[16];
    struct raw_client next;
    snprintf(id, sizeof id, "v%d", number);
    raw_connect_clean(&next, port, id);
    raw_disconnect(&next);
    raw_close(client);
}

static void test_what_came_counts_although_it_was_not_read_yet(void **state)
{
    block_all(*state, leave_by_reset);
}

static void test_what_came_counts_although_another_connection_takes_over(void **state)
{
    block_all(*state, leave_by_takeover);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_came_before_a_reset_counts),
        cmocka_unit_test(test_what_came_counts_although_a_write_fails_first),
        cmocka_unit_test(test_what_came_counts_although_it_was_not_read_yet),
        cmocka_unit_test(test_what_came_counts_although_another_connection_takes_over),
    };
    int failed = cmocka_run_group_tests_name("reset, lean", tests, process_group_lean, process_group_stop);
    return failed +
           cmocka_run_group_tests_name("reset, small", tests, process_group_small, process_group_stop);
}
