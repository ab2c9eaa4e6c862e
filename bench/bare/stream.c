// SPDX-License-Identifier: Apache-2.0
#include "bench/bare/stream.h"

#include "base/clock.h"
#include "bench/hot/mqtt_client.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SUBSCRIBE_BYTES = 256, SUBACK_BYTES = 5, PATIENCE_S = 30 };

static int subscribe(int fd, const char *filter, int qos)
{
    uint8_t packet[SUBSCRIBE_BYTES], answer[SUBACK_BYTES];
    struct mqtt_subscription one = {.filter = mqtt_text_of(filter), .qos = (uint8_t)qos};
    struct mqtt_frame frame;
    struct mqtt_suback suback;
    size_t needed;
    int bytes = mqtt_subscribe_encode(packet, sizeof packet, MQTT_SUBSCRIBE, 1, &one, 1);
    if (bytes < 0)
        return bytes;
    if (send(fd, packet, (size_t)bytes, MSG_NOSIGNAL) != bytes)
        return -EPIPE; // it is smaller than any send buffer
    if (recv(fd, answer, sizeof answer, MSG_WAITALL) != (ssize_t)sizeof answer)
        return -ECONNRESET;
    if (mqtt_frame_decode(answer, sizeof answer, sizeof answer, &frame, &needed) != MQTT_OK ||
        frame.type != MQTT_SUBACK || mqtt_suback_decode(&frame, &suback) != MQTT_OK || suback.codes[0] != qos)
        return -EPROTO;
    return 0;
}

int bare_stream_open(struct bare_stream *stream, const char *address, const char *filter, int qos,
                     struct err *err)
{
    struct mqtt_client *client;
    *stream = (struct bare_stream){.fd = -1};
    int code = mqtt_client_open(&client, address, clock_now_ns() + PATIENCE_S * NS_PER_S);
    if (code < 0)
        return err_set(err, code, "--target %s: cannot connect: %s", address, strerror(-code));
    stream->fd = mqtt_client_release(client);
    if (filter)
        code = subscribe(stream->fd, filter, qos);
    if (code == 0 && fcntl(stream->fd, F_SETFL, O_NONBLOCK) < 0)
        code = -errno;
    return code < 0 ? err_set(err, code, "--target %s: cannot subscribe to %s at QoS %d: %s", address,
                              filter ? filter : "nothing", qos, strerror(-code))
                    : 0;
}

void bare_stream_close(struct bare_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    free(stream->out);
    *stream = (struct bare_stream){.fd = -1};
}

int bare_stream_encode(struct bare_stream *stream, struct bare_packet *packet, int64_t count,
                       const char *topic, uint32_t number, size_t payload_bytes, int qos)
{
    struct mqtt_publish publish = {.qos = (uint8_t)qos,
                                   .packet_id = qos > 0,
                                   .topic = mqtt_text_of(topic),
                                   .payload = {NULL, payload_bytes}};
    size_t header_bytes = mqtt_publish_header_bytes(publish.topic.bytes, payload_bytes, (uint8_t)qos);
    *packet = (struct bare_packet){.bytes = header_bytes + payload_bytes,
                                   .id_at = qos > 0 ? header_bytes - sizeof(uint16_t) : 0,
                                   .publisher_at = header_bytes};
    stream->out = calloc((size_t)count, packet->bytes);
    if (!stream->out)
        return -ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        uint8_t *at = stream->out + (size_t)i * packet->bytes;
        int bytes = mqtt_publish_encode_header(at, packet->bytes, &publish);
        if (bytes < 0)
            return bytes;
        memcpy(at + packet->publisher_at, &number, sizeof number);
    }
    packet->first = stream->out[0];
    stream->at = stream->end = stream->out;
    return 0;
}

void bare_stream_start(struct bare_stream *stream, const struct bare_packet *packet, int64_t count)
{
    uint8_t *at = stream->out;
    for (int64_t i = 0; packet->id_at > 0 && i < count; i++, at += packet->bytes) {
        stream->last_id = (uint16_t)(stream->last_id % UINT16_MAX + 1);
        at[packet->id_at] = (uint8_t)(stream->last_id >> 8);
        at[packet->id_at + 1] = (uint8_t)stream->last_id;
    }
    stream->at = stream->out;
    stream->end = stream->out + (size_t)count * packet->bytes;
    stream->sent += count;
}

int bare_stream_write(struct bare_stream *stream)
{
    while (stream->at < stream->end) {
        ssize_t sent = send(stream->fd, stream->at, (size_t)(stream->end - stream->at), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        stream->at += sent;
    }
    return 0;
}
