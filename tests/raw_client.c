// SPDX-License-Identifier: Apache-2.0
#include "tests/raw_client.h"
#include "tests/broker_process.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

void raw_open_from(struct raw_client *client, const char *source, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval guard = {.tv_sec = PROCESS_GUARD_S};
    *client = (struct raw_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .next_id = 1};
    client->data = malloc(RAW_BUFFER_BYTES);
    assert_true(client->fd >= 0 && client->data);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard), 0);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &guard, sizeof guard), 0);
    assert_int_equal(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    struct sockaddr_in from = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(bind(client->fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&to, sizeof to), 0);
}

void raw_open(struct raw_client *client, uint16_t port)
{
    raw_open_from(client, "127.0.0.1", port);
}

void raw_close(struct raw_client *client)
{
    if (client->data)
        close(client->fd);
    free(client->data);
    client->data = NULL;
}

void raw_send(struct raw_client *client, const void *data, size_t bytes)
{
    for (size_t sent = 0; sent < bytes;) {
        ssize_t now = send(client->fd, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
        if (now < 0 && errno == EINTR)
            continue;
        assert_true(now > 0);
        sent += (size_t)now;
    }
}

static void take_packet(struct raw_client *client)
{
    client->used -= client->packet;
    memmove(client->data, client->data + client->packet, client->used);
    client->packet = 0;
}

// More bytes: how many, 0 at the end of the connection.
static size_t read_more(struct raw_client *client)
{
    assert_true(client->used < RAW_BUFFER_BYTES);
    ssize_t bytes;
    do {
        bytes = recv(client->fd, client->data + client->used, RAW_BUFFER_BYTES - client->used, 0);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0 && errno == ECONNRESET)
        return 0;
    if (bytes < 0)
        fail_msg("nothing came within %d s", PROCESS_GUARD_S);
    client->used += (size_t)bytes;
    return (size_t)bytes;
}

// The next packet; false: closed before it began or ended.
static bool receive(struct raw_client *client, struct mqtt_frame *frame)
{
    enum mqtt_error error;
    take_packet(client);
    do {
        error = mqtt_frame_decode(client->data, client->used, RAW_BUFFER_BYTES, frame, &client->packet);
    } while (error == MQTT_INCOMPLETE && read_more(client) > 0);
    if (error == MQTT_INCOMPLETE)
        client->packet = 0;
    else if (error != MQTT_OK)
        fail_msg("received %s [%s]", mqtt_error_text(error), mqtt_error_statement(error));
    return error == MQTT_OK;
}

struct mqtt_frame raw_receive(struct raw_client *client)
{
    struct mqtt_frame frame;
    if (!receive(client, &frame))
        fail_msg("the connection was closed where a packet was awaited");
    return frame;
}

bool raw_try_receive(struct raw_client *client, enum mqtt_packet_type type)
{
    struct mqtt_frame frame;
    bool received = receive(client, &frame);
    if (received && frame.type != type)
        fail_msg("received %s where %s was awaited", mqtt_packet_name(frame.type), mqtt_packet_name(type));
    return received;
}

struct mqtt_frame raw_receive_type(struct raw_client *client, enum mqtt_packet_type type)
{
    struct mqtt_frame frame = raw_receive(client);
    if (frame.type != type)
        fail_msg("received %s where %s was awaited", mqtt_packet_name(frame.type), mqtt_packet_name(type));
    return frame;
}

struct mqtt_publish raw_receive_publish(struct raw_client *client)
{
    struct mqtt_frame frame = raw_receive_type(client, MQTT_PUBLISH);
    struct mqtt_publish publish;
    assert_int_equal(mqtt_publish_decode(&frame, &publish), MQTT_OK);
    return publish;
}

void raw_expect(struct raw_client *client, const void *data, size_t bytes)
{
    take_packet(client);
    while (client->used < bytes)
        if (read_more(client) == 0)
            fail_msg("the connection was closed after %zu of %zu bytes", client->used, bytes);
    assert_memory_equal(client->data, data, bytes);
    client->packet = bytes;
}

void raw_expect_closed(struct raw_client *client)
{
    take_packet(client);
    while (client->used == 0)
        if (read_more(client) == 0)
            return;
    fail_msg("received %s where the end was awaited", mqtt_packet_name(client->data[0] >> 4));
}

bool raw_connect(struct raw_client *client, uint16_t port, const struct mqtt_connect *connect)
{
    uint8_t data[1024];
    raw_open(client, port);
    int bytes = mqtt_connect_encode(data, sizeof data, connect);
    assert_true(bytes > 0);
    raw_send(client, data, (size_t)bytes);
    struct mqtt_frame frame = raw_receive_type(client, MQTT_CONNACK);
    enum mqtt_connack_code code;
    bool session_present;
    assert_int_equal(mqtt_connack_decode(&frame, &code, &session_present), MQTT_OK);
    if (code != MQTT_ACCEPTED)
        fail_msg("the broker refused: %s", mqtt_connack_text(code));
    return session_present;
}

void raw_connect_clean(struct raw_client *client, uint16_t port, const char *id)
{
    struct mqtt_connect connect = {.client_id = mqtt_text_of(id), .clean_session = true};
    assert_false(raw_connect(client, port, &connect));
}

bool raw_connect_kept(struct raw_client *client, uint16_t port, const char *id)
{
    struct mqtt_connect connect = {.client_id = mqtt_text_of(id)};
    return raw_connect(client, port, &connect);
}

void raw_disconnect(struct raw_client *client)
{
    RAW_SEND(client, "\xE0\x00");
    raw_expect_closed(client);
    raw_close(client);
}

int raw_subscribe(struct raw_client *client, const char *filter, uint8_t qos)
{
    uint8_t data[1024];
    struct mqtt_subscription one = {mqtt_text_of(filter), qos};
    int bytes = mqtt_subscribe_encode(data, sizeof data, MQTT_SUBSCRIBE, 99, &one, 1);
    assert_true(bytes > 0);
    raw_send(client, data, (size_t)bytes);
    struct mqtt_frame frame = raw_receive_type(client, MQTT_SUBACK);
    struct mqtt_suback suback;
    assert_int_equal(mqtt_suback_decode(&frame, &suback), MQTT_OK);
    assert_int_equal(suback.packet_id, 99);
    assert_int_equal(suback.count, 1);
    return suback.codes[0];
}

void raw_unsubscribe(struct raw_client *client, const char *filter)
{
    uint8_t data[1024];
    struct mqtt_subscription one = {mqtt_text_of(filter), 0};
    int bytes = mqtt_subscribe_encode(data, sizeof data, MQTT_UNSUBSCRIBE, 98, &one, 1);
    assert_true(bytes > 0);
    raw_send(client, data, (size_t)bytes);
    raw_expect_ack(client, MQTT_UNSUBACK, 98);
}

uint16_t raw_publish(struct raw_client *client, const char *topic, const char *payload, uint8_t qos,
                     bool retain)
{
    uint8_t data[4096];
    struct mqtt_publish publish = {.qos = qos,
                                   .retain = retain,
                                   .packet_id = qos ? client->next_id++ : 0,
                                   .topic = mqtt_text_of(topic),
                                   .payload = {payload, strlen(payload)}};
    int bytes = mqtt_publish_encode(data, sizeof data, &publish);
    assert_true(bytes > 0);
    raw_send(client, data, (size_t)bytes);
    return publish.packet_id;
}

void raw_publish_done(struct raw_client *client, const char *topic, const char *payload, uint8_t qos,
                      bool retain)
{
    uint16_t packet_id = raw_publish(client, topic, payload, qos, retain);
    if (qos == 1)
        raw_expect_ack(client, MQTT_PUBACK, packet_id);
    if (qos == 2) {
        raw_expect_ack(client, MQTT_PUBREC, packet_id);
        raw_ack(client, MQTT_PUBREL, packet_id);
        raw_expect_ack(client, MQTT_PUBCOMP, packet_id);
    }
}

void raw_ack(struct raw_client *client, enum mqtt_packet_type type, uint16_t packet_id)
{
    uint8_t data[4];
    assert_int_equal(mqtt_ack_encode(data, sizeof data, type, packet_id), 4);
    raw_send(client, data, 4);
}

void raw_expect_ack(struct raw_client *client, enum mqtt_packet_type type, uint16_t packet_id)
{
    struct mqtt_frame frame = raw_receive_type(client, type);
    uint16_t received;
    assert_int_equal(mqtt_ack_decode(&frame, &received), MQTT_OK);
    assert_int_equal(received, packet_id);
}

uint16_t raw_expect_publish(struct raw_client *client, const char *topic, const char *payload, uint8_t qos)
{
    struct mqtt_publish publish = raw_receive_publish(client);
    struct mqtt_text text = {publish.payload.data, publish.payload.bytes};
    if (!mqtt_text_equal(publish.topic, mqtt_text_of(topic)) || !mqtt_text_equal(text, mqtt_text_of(payload)))
        fail_msg("received %.*s on %.*s where %s on %s was awaited", (int)text.bytes, text.data,
                 (int)publish.topic.bytes, publish.topic.data, payload, topic);
    assert_int_equal(publish.qos, qos);
    assert_false(publish.dup || publish.retain);
    return publish.packet_id;
}

void raw_ping(struct raw_client *client)
{
    RAW_SEND(client, "\xC0\x00");
    (void)raw_receive_type(client, MQTT_PINGRESP);
}
