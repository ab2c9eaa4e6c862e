// SPDX-License-Identifier: Apache-2.0
// libFuzzer target (make fuzz). It treats any bytes as a stream of packets, decodes each packet as a server
// and as a client would, and encodes it again. An accepted packet has only one encoding, except for the
// length of its remaining length. So the body must come back byte by byte, with the announced size. With one
// byte less of room the encoder must return -ENOBUFS.
#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"
#include "wire/mqtt_text.h"

#include <errno.h>
#include <stdlib.h>

enum { LIST_MAX = 4096 }; // filters of a list; a filter takes 3 bytes, and an input has at most 4 096 bytes

static void check(bool holds)
{
    if (!holds)
        abort();
}

static int encode_connect(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    struct mqtt_connect connect;
    if (mqtt_connect_decode(frame, &connect) != MQTT_OK)
        return 0;
    check(mqtt_text_check(connect.client_id) == MQTT_OK && connect.will_qos <= 2);
    check(!connect.has_will || mqtt_topic_name_check(connect.will_topic) == MQTT_OK);
    return mqtt_connect_encode(to, size, &connect);
}

static int encode_connack(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    enum mqtt_connack_code code;
    bool session_present;
    if (mqtt_connack_decode(frame, &code, &session_present) != MQTT_OK)
        return 0;
    return mqtt_connack_encode(to, size, code, session_present);
}

static int encode_publish(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    struct mqtt_publish publish;
    if (mqtt_publish_decode(frame, &publish) != MQTT_OK)
        return 0;
    check(mqtt_topic_name_check(publish.topic) == MQTT_OK);
    int bytes = mqtt_publish_encode(to, size, &publish);
    size_t header = mqtt_publish_header_bytes(publish.topic.bytes, publish.payload.bytes, publish.qos);
    check(bytes == -ENOBUFS || (size_t)bytes == header + publish.payload.bytes);
    return bytes;
}

static int encode_list(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    static struct mqtt_subscription items[LIST_MAX];
    struct mqtt_subscribe list;
    size_t count = 0;
    if (mqtt_subscribe_decode(frame, &list) != MQTT_OK)
        return 0;
    if (list.count > LIST_MAX)
        return 0;
    while (mqtt_subscribe_next(&list, &items[count]))
        check(mqtt_topic_filter_check(items[count++].filter) == MQTT_OK);
    check(count == list.count);
    return mqtt_subscribe_encode(to, size, frame->type, list.packet_id, items, count);
}

static int encode_suback(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    struct mqtt_suback suback;
    if (mqtt_suback_decode(frame, &suback) != MQTT_OK)
        return 0;
    return mqtt_suback_encode(to, size, &suback);
}

static int encode_ack(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    uint16_t packet_id;
    if (mqtt_ack_decode(frame, &packet_id) != MQTT_OK)
        return 0;
    return mqtt_ack_encode(to, size, frame->type, packet_id);
}

// Returns the bytes written, -ENOBUFS, or 0 when the decoder rejects the packet.
static int encode_again(const struct mqtt_frame *frame, uint8_t *to, size_t size)
{
    switch (frame->type) {
    case MQTT_CONNECT:
        return encode_connect(frame, to, size);
    case MQTT_CONNACK:
        return encode_connack(frame, to, size);
    case MQTT_PUBLISH:
        return encode_publish(frame, to, size);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return encode_list(frame, to, size);
    case MQTT_SUBACK:
        return encode_suback(frame, to, size);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
    case MQTT_UNSUBACK:
        return encode_ack(frame, to, size);
    default:
        return mqtt_empty_encode(to, size, frame->type);
    }
}

// Copies the packet to a block of exactly its size, so that the sanitizer finds reads past it.
static void check_packet(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes);
    struct mqtt_frame frame;
    size_t needed;
    check(copy != NULL);
    memcpy(copy, data, bytes);
    check(mqtt_frame_decode(copy, bytes, bytes, &frame, &needed) == MQTT_OK && needed == bytes);
    check(mqtt_client_sends(frame.type) || mqtt_server_sends(frame.type));
    size_t size = mqtt_packet_bytes(frame.body_bytes);
    check(size <= bytes); // shorter when the sender wrote its remaining length with leading zeros
    uint8_t *again = malloc(size);
    check(again != NULL);
    int written = encode_again(&frame, again, size);
    if (written != 0) {
        check(written > 0 && (size_t)written == size);
        check(again[0] == copy[0]);
        check(memcmp(again + size - frame.body_bytes, frame.body, frame.body_bytes) == 0);
        check(encode_again(&frame, again, size - 1) == -ENOBUFS);
    }
    free(again);
    free(copy);
}

// libFuzzer calls this function.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mqtt_frame frame;
    size_t needed = 0;
    while (size > 0) {
        enum mqtt_error error = mqtt_frame_decode(data, size, 0, &frame, &needed);
        if (error == MQTT_INCOMPLETE)
            check(needed > size);
        if (error != MQTT_OK)
            break;
        check_packet(data, needed);
        data += needed;
        size -= needed;
    }
    return 0;
}
