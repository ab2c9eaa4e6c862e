// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt_publish.h"
#include "wire/mqtt_cursor.h"

enum { FLAG_RETAIN = 1, FLAG_DUP = 8 }; // section 3.3.1; QoS lies between

enum mqtt_error mqtt_publish_decode(const struct mqtt_frame *frame, struct mqtt_publish *publish)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    *publish = (struct mqtt_publish){.dup = frame->flags & FLAG_DUP,
                                     .retain = frame->flags & FLAG_RETAIN,
                                     .qos = (uint8_t)(frame->flags >> 1 & 3)};
    if (publish->qos == 3)
        mqtt_read_fail(&reader, MQTT_BAD_QOS);
    if (publish->dup && publish->qos == 0)
        mqtt_read_fail(&reader, MQTT_BAD_DUP);
    publish->topic = mqtt_read_text(&reader, mqtt_topic_name_check);
    if (publish->qos > 0)
        publish->packet_id = mqtt_read_packet_id(&reader);
    publish->payload = (struct mqtt_bytes){reader.at, (size_t)(reader.end - reader.at)};
    return reader.error;
}

static size_t body_bytes_of(size_t topic_bytes, size_t payload_bytes, uint8_t qos)
{
    return 2 + topic_bytes + (qos ? 2 : 0) + payload_bytes;
}

size_t mqtt_publish_header_bytes(size_t topic_bytes, size_t payload_bytes, uint8_t qos)
{
    return mqtt_packet_bytes(body_bytes_of(topic_bytes, payload_bytes, qos)) - payload_bytes;
}

// Can a packet express these fields? If so, `body_bytes` gets its remaining length.
static bool can_encode(const struct mqtt_publish *p, size_t *body_bytes)
{
    if (p->qos > 2 || (p->dup && p->qos == 0) || (p->qos == 0) != (p->packet_id == 0) ||
        p->topic.bytes > MQTT_TEXT_MAX || p->payload.bytes > MQTT_REMAINING_MAX)
        return false;
    *body_bytes = body_bytes_of(p->topic.bytes, p->payload.bytes, p->qos);
    return *body_bytes <= MQTT_REMAINING_MAX;
}

static int encode_fixed_header(void *to, size_t size, const struct mqtt_publish *publish, size_t body_bytes)
{
    unsigned flags =
        (publish->dup ? FLAG_DUP : 0u) | (unsigned)publish->qos << 1 | (publish->retain ? FLAG_RETAIN : 0u);
    return mqtt_header_encode(to, size, MQTT_PUBLISH, (uint8_t)flags, body_bytes);
}

int mqtt_publish_encode_header(void *to, size_t size, const struct mqtt_publish *publish)
{
    const struct mqtt_publish *p = publish;
    size_t body_bytes;
    if (!can_encode(p, &body_bytes))
        return -EINVAL;
    if (size < mqtt_packet_bytes(body_bytes) - p->payload.bytes)
        return -ENOBUFS;
    int header = encode_fixed_header(to, size, p, body_bytes);
    if (header < 0)
        return header;
    uint8_t *at = mqtt_write_bytes((uint8_t *)to + header, p->topic.data, p->topic.bytes);
    if (p->qos)
        at = mqtt_write_u16(at, p->packet_id);
    return (int)(at - (uint8_t *)to);
}

int mqtt_publish_encode_parts(struct mqtt_bytes parts[static MQTT_PUBLISH_PARTS],
                              uint8_t storage[static MQTT_PUBLISH_STORAGE],
                              const struct mqtt_publish *publish)
{
    size_t body_bytes;
    if (!can_encode(publish, &body_bytes))
        return -EINVAL;
    int header = encode_fixed_header(storage, MQTT_HEADER_MAX, publish, body_bytes);
    if (header < 0)
        return header;
    uint8_t *id = mqtt_write_u16(storage + header, (uint16_t)publish->topic.bytes);
    parts[0] = (struct mqtt_bytes){storage, (size_t)(id - storage)};
    parts[1] = (struct mqtt_bytes){publish->topic.data, publish->topic.bytes};
    parts[2] = (struct mqtt_bytes){id, publish->qos ? 2 : 0};
    if (publish->qos)
        mqtt_write_u16(id, publish->packet_id);
    parts[3] = publish->payload;
    return 0;
}

void mqtt_publish_copy_header(void *to, const void *header, size_t bytes, uint16_t packet_id)
{
    memcpy(to, header, bytes);
    if (packet_id)
        mqtt_write_u16((uint8_t *)to + bytes - 2, packet_id); // the payload follows it
}

int mqtt_publish_encode(void *to, size_t size, const struct mqtt_publish *publish)
{
    int header = mqtt_publish_encode_header(to, size, publish);
    if (header < 0)
        return header;
    if (size - (size_t)header < publish->payload.bytes)
        return -ENOBUFS;
    if (publish->payload.bytes)
        memcpy((uint8_t *)to + header, publish->payload.data, publish->payload.bytes);
    return header + (int)publish->payload.bytes;
}

enum mqtt_error mqtt_ack_decode(const struct mqtt_frame *frame, uint16_t *packet_id)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    *packet_id = mqtt_read_packet_id(&reader);
    return mqtt_read_end(&reader);
}

int mqtt_ack_encode(void *to, size_t size, enum mqtt_packet_type type, uint16_t packet_id)
{
    bool is_ack = type == MQTT_PUBACK || type == MQTT_PUBREC || type == MQTT_PUBREL || type == MQTT_PUBCOMP ||
                  type == MQTT_UNSUBACK;
    if (!is_ack || packet_id == 0)
        return -EINVAL;
    int header = mqtt_write_begin(to, size, type, type == MQTT_PUBREL ? 2 : 0, 2);
    if (header < 0)
        return header;
    mqtt_write_u16((uint8_t *)to + header, packet_id);
    return header + 2;
}
