// SPDX-License-Identifier: Apache-2.0
// A whole broker under rogue clients. In random order they send valid and invalid packets, connect with the
// ids of others, leave in the middle of packets, and acknowledge messages that were never sent. The broker
// must go on serving, and at the end all pool objects must be back. Meant for the sanitizers; test_e2e_*.c
// tests the right answer to each packet.
#include "pools/pool_strategy.h"
#include "tests/broker_inside.h"
#include "tests/raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

enum { CLIENTS = 8, LIVES = 40, PACKETS_MOST = 50, IDS = 12, BUFFER_BYTES = 1 << 16 };

struct rogue {
    uint16_t port;
    uint64_t seed;
    int fd;
    size_t used;
    uint8_t buffer[BUFFER_BYTES];
};

// splitmix64
static unsigned pick(struct rogue *rogue, unsigned below)
{
    uint64_t z = rogue->seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ z >> 31) % below);
}

static void add(struct rogue *rogue, int bytes)
{
    if (bytes > 0)
        rogue->used += (size_t)bytes;
}

static void flush(struct rogue *rogue)
{
    // The broker may have closed it, or not read for a while: both are fine.
    ssize_t sent = send(rogue->fd, rogue->buffer, rogue->used, MSG_NOSIGNAL);
    (void)sent;
    rogue->used = 0;
}

static void add_connect(struct rogue *rogue)
{
    char id[16], topic[16];
    struct mqtt_connect connect_packet = {.clean_session = pick(rogue, 2),
                                          .keep_alive_s = (uint16_t)(pick(rogue, 3) * 30),
                                          .has_will = pick(rogue, 2)};
    snprintf(id, sizeof id, "id%u", pick(rogue, IDS));
    snprintf(topic, sizeof topic, "s/w%u", pick(rogue, 3));
    connect_packet.client_id = mqtt_text_of(id);
    if (connect_packet.has_will) {
        connect_packet.will_qos = (uint8_t)pick(rogue, 3);
        connect_packet.will_retain = pick(rogue, 4) == 0;
        connect_packet.will_topic = mqtt_text_of(topic);
        connect_packet.will_message = (struct mqtt_bytes){"gone", 4};
    }
    add(rogue, mqtt_connect_encode(rogue->buffer + rogue->used, BUFFER_BYTES - rogue->used, &connect_packet));
}

static void add_publish(struct rogue *rogue)
{
    static const uint8_t zeros[9000];
    static const size_t sizes[] = {0, 5, 100, 3000, sizeof zeros};
    char topic[16];
    snprintf(topic, sizeof topic, "s/%u", pick(rogue, 4));
    struct mqtt_publish publish = {.qos = (uint8_t)pick(rogue, 3),
                                   .retain = pick(rogue, 5) == 0,
                                   .topic = mqtt_text_of(topic),
                                   .payload = {zeros, sizes[pick(rogue, 5)]}};
    publish.packet_id = publish.qos ? (uint16_t)(1 + pick(rogue, 50)) : 0;
    add(rogue, mqtt_publish_encode(rogue->buffer + rogue->used, BUFFER_BYTES - rogue->used, &publish));
}

static void add_subscribe(struct rogue *rogue, enum mqtt_packet_type type)
{
    static const char *const filters[] = {"#", "s/+", "s/1", "s/#"};
    struct mqtt_subscription one = {mqtt_text_of(filters[pick(rogue, 4)]), (uint8_t)pick(rogue, 3)};
    add(rogue, mqtt_subscribe_encode(rogue->buffer + rogue->used, BUFFER_BYTES - rogue->used, type,
                                     (uint16_t)(1 + pick(rogue, 9)), &one, 1));
}

static void add_packet(struct rogue *rogue)
{
    static const enum mqtt_packet_type acks[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP};
    uint8_t *to = rogue->buffer + rogue->used;
    size_t room = BUFFER_BYTES - rogue->used;
    unsigned kind = pick(rogue, 100);
    if (kind < 20)
        add_subscribe(rogue, MQTT_SUBSCRIBE);
    else if (kind < 25)
        add_subscribe(rogue, MQTT_UNSUBSCRIBE);
    else if (kind < 70)
        add_publish(rogue);
    else if (kind < 85)
        add(rogue, mqtt_ack_encode(to, room, acks[pick(rogue, 4)], (uint16_t)(1 + pick(rogue, 60))));
    else if (kind < 98)
        add(rogue, mqtt_empty_encode(to, room, MQTT_PINGREQ));
    else
        add(rogue, mqtt_empty_encode(to, room, kind == 98 ? MQTT_DISCONNECT : MQTT_PINGRESP));
}

static void live_once(struct rogue *rogue)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(rogue->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval short_while = {.tv_usec = 5000};
    uint8_t got[4096];
    rogue->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (rogue->fd < 0 || connect(rogue->fd, (struct sockaddr *)&to, sizeof to) < 0)
        return;
    setsockopt(rogue->fd, SOL_SOCKET, SO_RCVTIMEO, &short_while, sizeof short_while);
    setsockopt(rogue->fd, SOL_SOCKET, SO_SNDTIMEO, &short_while, sizeof short_while);
    rogue->used = 0;
    add_connect(rogue);
    for (unsigned i = pick(rogue, PACKETS_MOST); i > 0; i--) {
        add_packet(rogue);
        if (pick(rogue, 4) == 0 || rogue->used > BUFFER_BYTES / 2)
            flush(rogue);
        if (pick(rogue, 4) == 0 && recv(rogue->fd, got, sizeof got, 0) == 0)
            break;
    }
    if (pick(rogue, 3) == 0)
        rogue->used = rogue->used / 2; // half a packet, perhaps
    flush(rogue);
    close(rogue->fd);
}

static void *live(void *context)
{
    struct rogue *rogue = context;
    for (int i = 0; i < LIVES; i++)
        live_once(rogue);
    return NULL;
}

// A client of its own still gets what it asks for.
static void assert_serves(uint16_t port)
{
    struct raw_client client;
    raw_connect_clean(&client, port, "witness");
    raw_subscribe(&client, "witness/#", 1);
    raw_publish(&client, "witness/1", "hello", 0, false);
    raw_expect_publish(&client, "witness/1", "hello", 0);
    raw_disconnect(&client);
}

static void let_them_loose(uint16_t port, bool must_serve)
{
    static struct rogue rogues[CLIENTS];
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        rogues[i].port = port;
        rogues[i].seed = (uint64_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, live, &rogues[i]), 0);
    }
    if (must_serve)
        assert_serves(port);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    if (must_serve)
        assert_serves(port);
}

static void rogues_on_several_threads_leave_nothing_behind(void **state)
{
    (void)state;
    struct broker_inside inside;
    broker_inside_start(&inside, "--threads", "4", "--pool", "sync", NULL);
    let_them_loose(inside.port, true);
    broker_inside_end(&inside);
}

static void rogues_on_an_eager_shape_leave_nothing_behind(void **state)
{
    (void)state;
    struct broker_inside inside;
    broker_inside_start(&inside, "--threads", "2", "--shape", "classic", "--pool", "expand", "--initial", "2",
                        "--expand", "background", NULL);
    let_them_loose(inside.port, true);
    broker_inside_end(&inside);
}

static void rogues_on_pools_that_refuse_leave_nothing_behind(void **state)
{
    (void)state;
    struct broker_inside inside;
    broker_inside_start(&inside, "--threads", "3", "--pool", "expand", "--initial", "1", "--max", "6",
                        "--initial", "buffers=1", "--max", "buffers=6", "--initial", "messages=1", "--max",
                        "messages=40", "--initial", "arenas=1", "--max", "arenas=9", "--overflow", "refuse",
                        NULL);
    let_them_loose(inside.port, false);
    broker_inside_end(&inside);
}

static void it_can_be_ended_while_they_are_at_it(void **state)
{
    (void)state;
    static struct rogue rogues[CLIENTS];
    pthread_t threads[CLIENTS];
    struct broker_inside inside;
    broker_inside_start(&inside, "--threads", "4", NULL);
    for (int i = 0; i < CLIENTS; i++) {
        rogues[i].port = inside.port;
        rogues[i].seed = 100 + (uint64_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, live, &rogues[i]), 0);
    }
    struct broker_statistics statistics;
    do
        broker_statistics(inside.broker, &statistics);
    while (statistics.counts.accepted < CLIENTS * LIVES / 4);
    broker_inside_end(&inside);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
}

// The n-th request of the pools for memory fails, for every n that opening makes: nothing is left behind (the
// address sanitizer looks), and the error says so.
static void without_memory_it_does_not_open_and_leaves_nothing(void **state)
{
    (void)state;
    static struct broker_config config;
    char *argv[] = {"poolmark-broker", "--pool", "expand", "--initial", "4", "--listen", "127.0.0.1:0"};
    assert_int_equal(broker_config_parse(&config, 7, argv, NULL), OPTS_RUN);
    int failures = 0;
    for (int code = -ENOMEM; code < 0; failures++) {
        struct broker *broker;
        struct err err = {0};
        pool_memory_fail_after(failures, false);
        code = broker_open(&broker, &config, NULL, NULL, &err);
        pool_memory_fail_after(-1, false);
        if (code < 0) {
            assert_int_equal(code, -ENOMEM);
            assert_non_null(strstr(err.text, "memory"));
        } else {
            broker_close(broker);
        }
    }
    assert_true(failures > BROKER_POOL_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rogues_on_several_threads_leave_nothing_behind),
        cmocka_unit_test(rogues_on_an_eager_shape_leave_nothing_behind),
        cmocka_unit_test(rogues_on_pools_that_refuse_leave_nothing_behind),
        cmocka_unit_test(it_can_be_ended_while_they_are_at_it),
        cmocka_unit_test(without_memory_it_does_not_open_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
