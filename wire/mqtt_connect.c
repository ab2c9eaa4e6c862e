// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt_connect.h"
#include "wire/mqtt_cursor.h"

enum { // section 3.1.2.3
    FLAG_RESERVED = 1,
    FLAG_CLEAN_SESSION = 2,
    FLAG_WILL = 4,
    FLAG_WILL_QOS = 8 | 16,
    FLAG_WILL_RETAIN = 32,
    FLAG_PASSWORD = 64,
    FLAG_USER_NAME = 128,
};

static enum mqtt_error check_protocol(struct mqtt_text name, uint8_t level)
{
    if (mqtt_text_equal(name, mqtt_text_of("MQIsdp")))
        return MQTT_BAD_PROTOCOL_LEVEL;
    if (!mqtt_text_equal(name, mqtt_text_of("MQTT")))
        return MQTT_BAD_PROTOCOL_NAME;
    return level == MQTT_LEVEL ? MQTT_OK : MQTT_BAD_PROTOCOL_LEVEL;
}

static enum mqtt_error check_flags(uint8_t flags)
{
    if (flags & FLAG_RESERVED)
        return MQTT_BAD_CONNECT_FLAGS;
    if ((flags & FLAG_WILL_QOS) == FLAG_WILL_QOS)
        return MQTT_BAD_WILL_QOS;
    if (!(flags & FLAG_WILL) && (flags & FLAG_WILL_QOS))
        return MQTT_BAD_WILL_QOS_NO_WILL;
    if (!(flags & FLAG_WILL) && (flags & FLAG_WILL_RETAIN))
        return MQTT_BAD_WILL_RETAIN_NO_WILL;
    if (!(flags & FLAG_USER_NAME) && (flags & FLAG_PASSWORD))
        return MQTT_BAD_PASSWORD_FLAG;
    return MQTT_OK;
}

enum mqtt_error mqtt_connect_decode(const struct mqtt_frame *frame, struct mqtt_connect *connect)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    *connect = (struct mqtt_connect){0};
    struct mqtt_text protocol = mqtt_read_text_raw(&reader);
    uint8_t level = mqtt_read_byte(&reader);
    if (reader.error == MQTT_OK)
        reader.error = check_protocol(protocol, level);
    uint8_t flags = mqtt_read_byte(&reader);
    if (reader.error == MQTT_OK)
        reader.error = check_flags(flags);
    if (reader.error != MQTT_OK)
        return reader.error;

    connect->clean_session = flags & FLAG_CLEAN_SESSION;
    connect->has_will = flags & FLAG_WILL;
    connect->will_qos = (uint8_t)(flags >> 3 & 3);
    connect->will_retain = flags & FLAG_WILL_RETAIN;
    connect->has_user_name = flags & FLAG_USER_NAME;
    connect->has_password = flags & FLAG_PASSWORD;
    connect->keep_alive_s = mqtt_read_u16(&reader);
    connect->client_id = mqtt_read_text(&reader, mqtt_text_check);
    if (connect->has_will) {
        connect->will_topic = mqtt_read_text(&reader, mqtt_topic_name_check);
        connect->will_message = mqtt_read_bytes(&reader);
    }
    if (connect->has_user_name)
        connect->user_name = mqtt_read_text(&reader, mqtt_text_check);
    if (connect->has_password)
        connect->password = mqtt_read_bytes(&reader);
    if (mqtt_read_end(&reader) == MQTT_OK && connect->client_id.bytes == 0 && !connect->clean_session)
        reader.error = MQTT_BAD_CLIENT_ID;
    return reader.error;
}

static uint8_t flags_of(const struct mqtt_connect *connect)
{
    unsigned flags = 0;
    if (connect->clean_session)
        flags |= FLAG_CLEAN_SESSION;
    if (connect->has_will)
        flags |= FLAG_WILL | (unsigned)connect->will_qos << 3 | (connect->will_retain ? FLAG_WILL_RETAIN : 0);
    if (connect->has_user_name)
        flags |= FLAG_USER_NAME;
    if (connect->has_password)
        flags |= FLAG_PASSWORD;
    return (uint8_t)flags;
}

int mqtt_connect_encode(void *to, size_t size, const struct mqtt_connect *connect)
{
    const struct mqtt_connect *c = connect;
    if (c->client_id.bytes > MQTT_TEXT_MAX || c->will_topic.bytes > MQTT_TEXT_MAX ||
        c->will_message.bytes > MQTT_TEXT_MAX || c->user_name.bytes > MQTT_TEXT_MAX ||
        c->password.bytes > MQTT_TEXT_MAX || c->will_qos > 2 || (c->has_password && !c->has_user_name))
        return -EINVAL;
    size_t body_bytes = 10 + 2 + c->client_id.bytes + (c->has_user_name ? 2 + c->user_name.bytes : 0) +
                        (c->has_will ? 4 + c->will_topic.bytes + c->will_message.bytes : 0) +
                        (c->has_password ? 2 + c->password.bytes : 0);
    int header = mqtt_write_begin(to, size, MQTT_CONNECT, 0, body_bytes);
    if (header < 0)
        return header;
    uint8_t *at = mqtt_write_bytes((uint8_t *)to + header, "MQTT", 4);
    *at++ = MQTT_LEVEL;
    *at++ = flags_of(c);
    at = mqtt_write_u16(at, c->keep_alive_s);
    at = mqtt_write_bytes(at, c->client_id.data, c->client_id.bytes);
    if (c->has_will) {
        at = mqtt_write_bytes(at, c->will_topic.data, c->will_topic.bytes);
        at = mqtt_write_bytes(at, c->will_message.data, c->will_message.bytes);
    }
    if (c->has_user_name)
        at = mqtt_write_bytes(at, c->user_name.data, c->user_name.bytes);
    if (c->has_password)
        at = mqtt_write_bytes(at, c->password.data, c->password.bytes);
    return (int)(at - (uint8_t *)to);
}

enum mqtt_error mqtt_connack_decode(const struct mqtt_frame *frame, enum mqtt_connack_code *code,
                                    bool *session_present)
{
    struct mqtt_reader reader = mqtt_read_frame(frame);
    uint8_t flags = mqtt_read_byte(&reader), return_code = mqtt_read_byte(&reader);
    if (flags > 1)
        mqtt_read_fail(&reader, MQTT_BAD_CONNACK_FLAGS);
    if (return_code > MQTT_REFUSED_AUTHORIZATION)
        mqtt_read_fail(&reader, MQTT_BAD_RETURN_CODE);
    if (return_code != MQTT_ACCEPTED && flags)
        mqtt_read_fail(&reader, MQTT_BAD_SESSION_PRESENT);
    *code = (enum mqtt_connack_code)return_code;
    *session_present = flags & 1;
    return mqtt_read_end(&reader);
}

int mqtt_connack_encode(void *to, size_t size, enum mqtt_connack_code code, bool session_present)
{
    if ((unsigned)code > MQTT_REFUSED_AUTHORIZATION)
        return -EINVAL;
    int header = mqtt_write_begin(to, size, MQTT_CONNACK, 0, 2);
    if (header < 0)
        return header;
    uint8_t *at = (uint8_t *)to + header;
    at[0] = code == MQTT_ACCEPTED && session_present;
    at[1] = (uint8_t)code;
    return header + 2;
}
