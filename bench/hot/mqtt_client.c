// SPDX-License-Identifier: Apache-2.0
#include "bench/hot/mqtt_client.h"

#include "base/clock.h"
#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET_MAX = 256, ANSWER_BYTES = 4, PAYLOAD_BYTES = 64, PATIENCE_S = 10 };

struct mqtt_client {
    int fd;
    uint16_t packet_id;
};

static int parse(const char *text, struct sockaddr_in *address)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return -EINVAL;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *end;
    long port = strtol(colon + 1, &end, 10);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    bool good = *end == '\0' && end != colon + 1 && port > 0 && port <= UINT16_MAX &&
                inet_pton(AF_INET, host, &address->sin_addr) == 1;
    return good ? 0 : -EINVAL;
}

// Timeout of read, write and connect.
static int limit(int fd, int64_t ns)
{
    if (ns < NS_PER_MS)
        ns = NS_PER_MS;
    struct timeval time = {.tv_sec = ns / NS_PER_S, .tv_usec = ns % NS_PER_S / NS_PER_US};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) < 0)
        return -errno;
    return 0;
}

static int send_all(int fd, const void *data, int bytes)
{
    ssize_t sent = send(fd, data, (size_t)bytes, MSG_NOSIGNAL);
    if (sent < 0)
        return -(errno == EAGAIN || errno == EWOULDBLOCK ? ETIMEDOUT : errno);
    return sent == bytes ? 0 : -EPIPE; // packets here are smaller than any send buffer
}

// Both answers expected here have four bytes.
static int receive(int fd, struct mqtt_frame *frame, uint8_t answer[static ANSWER_BYTES])
{
    size_t needed;
    ssize_t got = recv(fd, answer, ANSWER_BYTES, MSG_WAITALL);
    if (got < 0)
        return -(errno == EAGAIN || errno == EWOULDBLOCK ? ETIMEDOUT : errno);
    if (got < ANSWER_BYTES)
        return -ECONNRESET;
    return mqtt_frame_decode(answer, ANSWER_BYTES, ANSWER_BYTES, frame, &needed) == MQTT_OK ? 0 : -EPROTO;
}

static int greet(int fd)
{
    static _Atomic int64_t number;
    char id[24];
    uint8_t packet[PACKET_MAX], answer[ANSWER_BYTES];
    struct mqtt_frame frame;
    enum mqtt_connack_code code;
    bool present;
    // Unique in a process by the counter; among processes by the process id.
    snprintf(id, sizeof id, "hot%dx%lld", (int)getpid(), (long long)atomic_fetch_add(&number, 1));
    struct mqtt_connect connect = {.client_id = mqtt_text_of(id), .clean_session = true};
    int bytes = mqtt_connect_encode(packet, sizeof packet, &connect);
    int result = bytes < 0 ? bytes : send_all(fd, packet, bytes);
    if (result == 0)
        result = receive(fd, &frame, answer);
    if (result == 0 && mqtt_connack_decode(&frame, &code, &present) != MQTT_OK)
        result = -EPROTO;
    return result == 0 && code != MQTT_ACCEPTED ? -ECONNREFUSED : result;
}

int mqtt_client_open(struct mqtt_client **opened, const char *text, int64_t until_ns)
{
    struct sockaddr_in address;
    const int on = 1;
    int code = parse(text, &address);
    if (code < 0)
        return code;
    struct mqtt_client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        code = -errno;
        goto fail;
    }
    code = limit(client->fd, until_ns - clock_now_ns());
    if (code == 0 && connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0)
        code = -(errno == EINPROGRESS ? ETIMEDOUT : errno);
    if (code == 0 && setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        code = -errno;
    if (code == 0)
        code = greet(client->fd);
    if (code == 0)
        code = limit(client->fd, PATIENCE_S * NS_PER_S);
    if (code < 0)
        goto fail_socket;
    *opened = client;
    return 0;
fail_socket:
    close(client->fd);
fail:
    free(client);
    return code;
}

int mqtt_client_publish(struct mqtt_client *client)
{
    static const char payload[PAYLOAD_BYTES];
    uint8_t packet[PACKET_MAX], answer[ANSWER_BYTES];
    struct mqtt_frame frame;
    uint16_t acknowledged;
    if (++client->packet_id == 0)
        client->packet_id = 1;
    struct mqtt_publish publish = {.qos = 1,
                                   .packet_id = client->packet_id,
                                   .topic = mqtt_text_of("poolmark/hot"),
                                   .payload = {payload, sizeof payload}};
    int bytes = mqtt_publish_encode(packet, sizeof packet, &publish);
    int code = bytes < 0 ? bytes : send_all(client->fd, packet, bytes);
    if (code == 0)
        code = receive(client->fd, &frame, answer);
    if (code == 0 && (frame.type != MQTT_PUBACK || mqtt_ack_decode(&frame, &acknowledged) != MQTT_OK ||
                      acknowledged != client->packet_id))
        code = -EPROTO;
    return code;
}

// Between two requests no packet is due: readable data means the end of the connection, or a protocol error.
bool mqtt_client_is_open(const struct mqtt_client *client)
{
    char byte;
    return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

void mqtt_client_close(struct mqtt_client *client)
{
    uint8_t packet[2];
    if (mqtt_empty_encode(packet, sizeof packet, MQTT_DISCONNECT) > 0)
        (void)send_all(client->fd, packet, sizeof packet);
    close(client->fd);
    free(client);
}

int mqtt_client_release(struct mqtt_client *client)
{
    int fd = client->fd;
    free(client);
    return fd;
}
