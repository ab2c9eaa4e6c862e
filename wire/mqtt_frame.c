// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt_frame.h"
#include "wire/mqtt_cursor.h"

// Checks of each type before its body is read. `least` and `most` bound the remaining length, so an
// impossible length is found at once. CONNECT has at least 10 bytes of variable header with the name "MQTT"
// (12 with "MQIsdp") and 2 bytes of client id. PUBLISH has at least the length of its topic, and the lists of
// filters a packet id; their decoders report an empty topic or list.
static const struct {
    uint8_t flags;
    bool any_flags, client, server;
    uint32_t least, most;
} types[16] = {
    [MQTT_CONNECT] = {.client = true, .least = 12, .most = MQTT_REMAINING_MAX},
    [MQTT_CONNACK] = {.server = true, .least = 2, .most = 2},
    [MQTT_PUBLISH] =
        {.any_flags = true, .client = true, .server = true, .least = 2, .most = MQTT_REMAINING_MAX},
    [MQTT_PUBACK] = {.client = true, .server = true, .least = 2, .most = 2},
    [MQTT_PUBREC] = {.client = true, .server = true, .least = 2, .most = 2},
    [MQTT_PUBREL] = {.flags = 2, .client = true, .server = true, .least = 2, .most = 2},
    [MQTT_PUBCOMP] = {.client = true, .server = true, .least = 2, .most = 2},
    [MQTT_SUBSCRIBE] = {.flags = 2, .client = true, .least = 2, .most = MQTT_REMAINING_MAX},
    [MQTT_SUBACK] = {.server = true, .least = 3, .most = MQTT_REMAINING_MAX},
    [MQTT_UNSUBSCRIBE] = {.flags = 2, .client = true, .least = 2, .most = MQTT_REMAINING_MAX},
    [MQTT_UNSUBACK] = {.server = true, .least = 2, .most = 2},
    [MQTT_PINGREQ] = {.client = true},
    [MQTT_PINGRESP] = {.server = true},
    [MQTT_DISCONNECT] = {.client = true},
};

static enum mqtt_error check_type(unsigned type, uint8_t flags)
{
    if (!types[type].client && !types[type].server)
        return MQTT_BAD_TYPE;
    if (!types[type].any_flags && flags != types[type].flags)
        return MQTT_BAD_FLAGS;
    if (type == MQTT_PUBLISH && (flags & 6) == 6)
        return MQTT_BAD_QOS;
    if (type == MQTT_PUBLISH && (flags & 14) == 8)
        return MQTT_BAD_DUP;
    return MQTT_OK;
}

enum mqtt_error mqtt_frame_decode(const void *data, size_t size, size_t max_packet_bytes,
                                  struct mqtt_frame *frame, size_t *needed)
{
    const uint8_t *bytes = data;
    *frame = (struct mqtt_frame){0};
    *needed = 2;
    if (size == 0)
        return MQTT_INCOMPLETE;
    unsigned type = bytes[0] >> 4;
    uint8_t flags = bytes[0] & 15;
    enum mqtt_error error = check_type(type, flags);
    if (error != MQTT_OK)
        return error;

    uint32_t remaining = 0;
    size_t at = 1;
    for (unsigned shift = 0;; shift += 7, at++) {
        if (shift == 28)
            return MQTT_BAD_REMAINING_LENGTH;
        if (at == size) {
            *needed = size + 1;
            return MQTT_INCOMPLETE;
        }
        remaining |= (uint32_t)(bytes[at] & 127) << shift;
        if (!(bytes[at] & 128))
            break;
    }
    at++;
    if (remaining < types[type].least || remaining > types[type].most)
        return MQTT_BAD_LENGTH;
    if (max_packet_bytes && at + remaining > max_packet_bytes)
        return MQTT_TOO_LARGE;
    *needed = at + remaining;
    *frame = (struct mqtt_frame){(enum mqtt_packet_type)type, flags, (uint8_t)at, remaining, bytes + at};
    return size < *needed ? MQTT_INCOMPLETE : MQTT_OK;
}

bool mqtt_client_sends(enum mqtt_packet_type type)
{
    return (unsigned)type < 16 && types[type].client;
}

bool mqtt_server_sends(enum mqtt_packet_type type)
{
    return (unsigned)type < 16 && types[type].server;
}

size_t mqtt_packet_bytes(size_t body_bytes)
{
    size_t length_bytes = 1;
    for (size_t rest = body_bytes >> 7; rest; rest >>= 7)
        length_bytes++;
    return 1 + length_bytes + body_bytes;
}

int mqtt_header_encode(void *to, size_t size, enum mqtt_packet_type type, uint8_t flags, size_t body_bytes)
{
    if (body_bytes > MQTT_REMAINING_MAX)
        return -EINVAL;
    size_t header_bytes = mqtt_packet_bytes(body_bytes) - body_bytes;
    if (size < header_bytes)
        return -ENOBUFS;
    uint8_t *bytes = to;
    *bytes++ = (uint8_t)((unsigned)type << 4 | flags);
    for (; body_bytes > 127; body_bytes >>= 7)
        *bytes++ = (uint8_t)(body_bytes | 128);
    *bytes = (uint8_t)body_bytes;
    return (int)header_bytes;
}

int mqtt_empty_encode(void *to, size_t size, enum mqtt_packet_type type)
{
    if (type != MQTT_PINGREQ && type != MQTT_PINGRESP && type != MQTT_DISCONNECT)
        return -EINVAL;
    return mqtt_header_encode(to, size, type, 0, 0);
}
