// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/party.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void party_init(struct party *party, const char *id, uint16_t port)
{
    memset(party, 0, offsetof(struct party, data));
    party->id = id;
    party->port = port;
    party->fd = -1;
    party->next_id = 1;
}

static enum outcome be_wrong(struct party *party, const char *what)
{
    party->wrong = what;
    return WRONG;
}

void party_close(struct party *party)
{
    if (party->fd >= 0)
        close(party->fd);
    party->fd = -1;
    party->used = party->packet = 0;
}

void party_reset(struct party *party)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (party->fd >= 0)
        setsockopt(party->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    party_close(party);
}

enum outcome party_send(struct party *party, const void *data, size_t bytes)
{
    for (size_t sent = 0; sent < bytes;) {
        ssize_t now = send(party->fd, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0 && (errno == EPIPE || errno == ECONNRESET))
            return ENDED;
        if (now <= 0)
            return HUNG;
        sent += (size_t)now;
    }
    return DONE;
}

static enum outcome send_encoded(struct party *party, const void *data, int bytes)
{
    return bytes > 0 ? party_send(party, data, (size_t)bytes)
                     : be_wrong(party, "a packet of ours is too large");
}

static enum outcome next_packet(struct party *party, struct mqtt_frame *frame)
{
    party->used -= party->packet;
    memmove(party->data, party->data + party->packet, party->used);
    party->packet = 0;
    for (;;) {
        size_t needed;
        enum mqtt_error error =
            mqtt_frame_decode(party->data, party->used, PARTY_BUFFER_BYTES, frame, &needed);
        if (error == MQTT_OK) {
            party->packet = needed;
            return mqtt_server_sends(frame->type) ? DONE : be_wrong(party, "a packet that no server sends");
        }
        if (error != MQTT_INCOMPLETE)
            return be_wrong(party, mqtt_error_text(error));
        ssize_t got = recv(party->fd, party->data + party->used, PARTY_BUFFER_BYTES - party->used, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != ECONNRESET)
            return HUNG;
        if (got <= 0)
            return ENDED;
        party->used += (size_t)got;
    }
}

static enum outcome acknowledge(struct party *party, enum mqtt_packet_type type, uint16_t packet_id)
{
    uint8_t packet[4];
    return send_encoded(party, packet, mqtt_ack_encode(packet, sizeof packet, type, packet_id));
}

static enum outcome take_publish(struct party *party, const struct mqtt_frame *frame)
{
    struct mqtt_publish publish;
    if (mqtt_publish_decode(frame, &publish) != MQTT_OK)
        return be_wrong(party, "a PUBLISH that cannot be read");
    if (publish.payload.bytes >= 3) {
        char digits[4] = {0};
        memcpy(digits, publish.payload.data, 3);
        int number = atoi(digits);
        if (number < 0 || number >= PARTY_MESSAGES)
            return be_wrong(party, "a message that nobody sent");
        party->retained[number] = party->retained[number] || publish.retain;
        if (!publish.retain && party->seen[number]++ > 0 && publish.qos == 2)
            return be_wrong(party, "a message of QoS 2 came twice");
    }
    if (publish.qos == 0)
        return DONE;
    return acknowledge(party, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
}

// A packet that the broker sends by itself.
static enum outcome take_unasked(struct party *party, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    if (frame->type == MQTT_PUBLISH)
        return take_publish(party, frame);
    if (frame->type == MQTT_PUBREL && mqtt_ack_decode(frame, &packet_id) == MQTT_OK)
        return acknowledge(party, MQTT_PUBCOMP, packet_id);
    return be_wrong(party, "a packet that nothing asked for");
}

// Awaits a packet of that type, and takes the messages before it.
static enum outcome await(struct party *party, enum mqtt_packet_type type, struct mqtt_frame *frame)
{
    for (;;) {
        enum outcome outcome = next_packet(party, frame);
        if (outcome != DONE || frame->type == type)
            return outcome;
        outcome = take_unasked(party, frame);
        if (outcome != DONE)
            return outcome;
    }
}

enum outcome party_take(struct party *party, int wait_ms, bool *took)
{
    struct pollfd look = {.fd = party->fd, .events = POLLIN};
    struct mqtt_frame frame;
    *took = party->used > party->packet || poll(&look, 1, wait_ms) > 0;
    enum outcome outcome = *took ? next_packet(party, &frame) : DONE;
    return *took && outcome == DONE ? take_unasked(party, &frame) : outcome;
}

static enum outcome await_ack(struct party *party, enum mqtt_packet_type type, uint16_t packet_id)
{
    struct mqtt_frame frame;
    uint16_t got;
    enum outcome outcome = await(party, type, &frame);
    if (outcome == DONE && (mqtt_ack_decode(&frame, &got) != MQTT_OK || got != packet_id))
        outcome = be_wrong(party, "an acknowledgement of another packet");
    return outcome;
}

static enum outcome open_socket(struct party *party)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(party->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval guard = {.tv_sec = PARTY_GUARD_S};
    party_close(party);
    party->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (party->fd < 0 || setsockopt(party->fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard) < 0 ||
        setsockopt(party->fd, SOL_SOCKET, SO_SNDTIMEO, &guard, sizeof guard) < 0 ||
        setsockopt(party->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        return be_wrong(party, "the test has no socket");
    if (connect(party->fd, (struct sockaddr *)&to, sizeof to) < 0)
        return errno == ECONNRESET ? ENDED : be_wrong(party, "nobody listens any more");
    return DONE;
}

enum outcome party_connect(struct party *party, bool is_clean, int will)
{
    uint8_t data[256];
    char number[16];
    snprintf(number, sizeof number, "%03d", will < 0 ? 0 : will);
    struct mqtt_connect connect_packet = {.client_id = mqtt_text_of(party->id),
                                          .clean_session = is_clean,
                                          .keep_alive_s = 600,
                                          .has_will = will >= 0};
    if (will >= 0) {
        connect_packet.will_topic = mqtt_text_of("f/will");
        connect_packet.will_message = (struct mqtt_bytes){number, 3};
        connect_packet.will_qos = 1;
    }
    enum outcome outcome = open_socket(party);
    if (outcome == DONE)
        outcome = send_encoded(party, data, mqtt_connect_encode(data, sizeof data, &connect_packet));
    struct mqtt_frame frame;
    if (outcome == DONE)
        outcome = await(party, MQTT_CONNACK, &frame);
    if (outcome != DONE)
        return outcome;
    enum mqtt_connack_code code;
    if (mqtt_connack_decode(&frame, &code, &party->session_present) != MQTT_OK ||
        (code != MQTT_ACCEPTED && code != MQTT_REFUSED_UNAVAILABLE))
        return be_wrong(party, "a CONNACK that cannot be read, or with another code than 0 and 3");
    return code == MQTT_ACCEPTED ? DONE : REFUSED;
}

enum outcome party_subscribe(struct party *party, const char *filter, uint8_t qos)
{
    uint8_t data[256];
    struct mqtt_subscription one = {mqtt_text_of(filter), qos};
    uint16_t packet_id = party->next_id++;
    struct mqtt_frame frame;
    struct mqtt_suback suback;
    enum outcome outcome = send_encoded(
        party, data, mqtt_subscribe_encode(data, sizeof data, MQTT_SUBSCRIBE, packet_id, &one, 1));
    if (outcome == DONE)
        outcome = await(party, MQTT_SUBACK, &frame);
    if (outcome != DONE)
        return outcome;
    if (mqtt_suback_decode(&frame, &suback) != MQTT_OK || suback.packet_id != packet_id || suback.count != 1)
        return be_wrong(party, "a SUBACK that does not fit its SUBSCRIBE");
    if (suback.codes[0] == MQTT_SUBACK_FAILURE)
        return REFUSED;
    return suback.codes[0] == qos ? DONE : be_wrong(party, "a SUBACK with another QoS");
}

enum outcome party_unsubscribe(struct party *party, const char *filter)
{
    uint8_t data[256];
    struct mqtt_subscription one = {mqtt_text_of(filter), 0};
    uint16_t packet_id = party->next_id++;
    enum outcome outcome = send_encoded(
        party, data, mqtt_subscribe_encode(data, sizeof data, MQTT_UNSUBSCRIBE, packet_id, &one, 1));
    return outcome == DONE ? await_ack(party, MQTT_UNSUBACK, packet_id) : outcome;
}

enum outcome party_ping(struct party *party)
{
    struct mqtt_frame frame;
    enum outcome outcome = party_send(party, "\xC0\x00", 2);
    return outcome == DONE ? await(party, MQTT_PINGRESP, &frame) : outcome;
}

enum outcome party_publish(struct party *party, const char *topic, int number, size_t bytes, uint8_t qos,
                           bool retain, bool *is_taken)
{
    static uint8_t data[PARTY_BUFFER_BYTES], payload[PARTY_BUFFER_BYTES / 2];
    char digits[16];
    snprintf(digits, sizeof digits, "%03d", number);
    memcpy(payload, digits, 3);
    uint16_t packet_id = qos ? party->next_id++ : 0;
    struct mqtt_publish publish = {.qos = qos,
                                   .retain = retain,
                                   .packet_id = packet_id,
                                   .topic = mqtt_text_of(topic),
                                   .payload = {payload, bytes}};
    enum outcome outcome = send_encoded(party, data, mqtt_publish_encode(data, sizeof data, &publish));
    if (outcome != DONE || qos == 0)
        return outcome;
    outcome = await_ack(party, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet_id);
    *is_taken = outcome == DONE;
    if (outcome != DONE || qos == 1)
        return outcome;
    outcome = acknowledge(party, MQTT_PUBREL, packet_id);
    return outcome == DONE ? await_ack(party, MQTT_PUBCOMP, packet_id) : outcome;
}

enum outcome party_await_end(struct party *party)
{
    struct mqtt_frame frame;
    enum outcome outcome = await(party, MQTT_DISCONNECT, &frame); // which no server sends
    party_close(party);
    return outcome;
}

enum outcome party_disconnect(struct party *party)
{
    enum outcome outcome = party_send(party, "\xE0\x00", 2);
    if (outcome == DONE)
        outcome = party_await_end(party);
    party_close(party);
    return outcome == ENDED ? DONE : outcome;
}
