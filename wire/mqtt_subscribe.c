// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt_subscribe.h"
#include "wire/mqtt_cursor.h"

static void read_entry(struct mqtt_reader *reader, bool has_qos)
{
    (void)mqtt_read_text(reader, mqtt_topic_filter_check);
    if (has_qos && mqtt_read_byte(reader) > 2)
        mqtt_read_fail(reader, MQTT_BAD_REQUESTED_QOS);
}

enum mqtt_error mqtt_subscribe_begin(const struct mqtt_frame *frame, struct mqtt_subscribe *list)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    bool has_qos = frame->type == MQTT_SUBSCRIBE;
    *list = (struct mqtt_subscribe){.packet_id = mqtt_read_packet_id(&reader), .has_qos = has_qos};
    list->at = reader.at;
    list->end = reader.end;
    if (reader.error == MQTT_OK && reader.at == reader.end)
        return has_qos ? MQTT_BAD_SUBSCRIBE_EMPTY : MQTT_BAD_UNSUBSCRIBE_EMPTY;
    return reader.error;
}

enum mqtt_error mqtt_subscribe_check(struct mqtt_subscribe *list, size_t most)
{
    struct mqtt_reader reader = {list->at, list->end, MQTT_OK};
    do {
        read_entry(&reader, list->has_qos);
        list->count++;
    } while (reader.error == MQTT_OK && reader.at < reader.end && (size_t)(reader.at - list->at) < most);
    list->at = reader.at;
    return reader.error;
}

enum mqtt_error mqtt_subscribe_decode(const struct mqtt_frame *frame, struct mqtt_subscribe *list)
{
    enum mqtt_error error = mqtt_subscribe_begin(frame, list);
    const uint8_t *begin = list->at;
    if (error == MQTT_OK)
        error = mqtt_subscribe_check(list, SIZE_MAX);
    list->at = error == MQTT_OK ? begin : list->end; // a malformed list has nothing to iterate
    return error;
}

bool mqtt_subscribe_next(struct mqtt_subscribe *list, struct mqtt_subscription *subscription)
{
    struct mqtt_reader reader = {list->at, list->end, MQTT_OK};
    if (reader.at == reader.end)
        return false;
    subscription->filter = mqtt_read_text_raw(&reader);
    subscription->qos = list->has_qos ? mqtt_read_byte(&reader) : 0;
    list->at = reader.at;
    return reader.error == MQTT_OK;
}

int mqtt_subscribe_encode(void *to, size_t size, enum mqtt_packet_type type, uint16_t packet_id,
                          const struct mqtt_subscription *subscriptions, size_t count)
{
    bool has_qos = type == MQTT_SUBSCRIBE;
    if ((!has_qos && type != MQTT_UNSUBSCRIBE) || packet_id == 0 || count == 0)
        return -EINVAL;
    size_t body_bytes = 2;
    for (size_t i = 0; i < count; i++) {
        size_t filter_bytes = subscriptions[i].filter.bytes;
        if (filter_bytes == 0 || filter_bytes > MQTT_TEXT_MAX || subscriptions[i].qos > 2)
            return -EINVAL;
        body_bytes += 2 + filter_bytes + has_qos;
        if (body_bytes > MQTT_REMAINING_MAX)
            return -EINVAL;
    }
    int header = mqtt_write_begin(to, size, type, 2, body_bytes);
    if (header < 0)
        return header;
    uint8_t *at = mqtt_write_u16((uint8_t *)to + header, packet_id);
    for (size_t i = 0; i < count; i++) {
        at = mqtt_write_bytes(at, subscriptions[i].filter.data, subscriptions[i].filter.bytes);
        if (has_qos)
            *at++ = subscriptions[i].qos;
    }
    return (int)(at - (uint8_t *)to);
}

enum mqtt_error mqtt_suback_decode(const struct mqtt_frame *frame, struct mqtt_suback *suback)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    uint16_t packet_id = mqtt_read_packet_id(&reader);
    *suback = (struct mqtt_suback){packet_id, reader.at, (size_t)(reader.end - reader.at)};
    if (suback->count == 0)
        mqtt_read_fail(&reader, MQTT_BAD_LENGTH);
    for (size_t i = 0; i < suback->count; i++)
        if (suback->codes[i] > 2 && suback->codes[i] != MQTT_SUBACK_FAILURE)
            mqtt_read_fail(&reader, MQTT_BAD_SUBACK_CODE);
    return reader.error;
}

int mqtt_suback_encode_head(void *to, size_t size, uint16_t packet_id, size_t count)
{
    if (packet_id == 0 || count == 0 || count > MQTT_REMAINING_MAX - 2)
        return -EINVAL;
    int header = mqtt_write_begin(to, size, MQTT_SUBACK, 0, 2 + count);
    if (header < 0)
        return header;
    mqtt_write_u16((uint8_t *)to + header, packet_id);
    return header + 2;
}

int mqtt_suback_encode(void *to, size_t size, const struct mqtt_suback *suback)
{
    int head = mqtt_suback_encode_head(to, size, suback->packet_id, suback->count);
    if (head < 0)
        return head;
    memcpy((uint8_t *)to + head, suback->codes, suback->count);
    return head + (int)suback->count;
}
