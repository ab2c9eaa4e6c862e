// SPDX-License-Identifier: Apache-2.0
// CONNECT (section 3.1) and CONNACK (section 3.2).
#ifndef POOLMARK_WIRE_MQTT_CONNECT_H
#define POOLMARK_WIRE_MQTT_CONNECT_H

#include "wire/mqtt_frame.h"

struct mqtt_connect {
    struct mqtt_text client_id; // empty only with clean_session
    uint16_t keep_alive_s;      // 0: none
    bool clean_session;
    bool has_will, will_retain; // the will fields are set only with has_will
    uint8_t will_qos;
    struct mqtt_text will_topic; // a valid topic name
    struct mqtt_bytes will_message;
    bool has_user_name, has_password;
    struct mqtt_text user_name;
    struct mqtt_bytes password;
};

// Two errors are answered with a CONNACK (see mqtt_error_connack). MQTT_BAD_PROTOCOL_LEVEL: MQTT at a level
// other than 4, or MQIsdp at any level; the rest is not decoded. MQTT_BAD_CLIENT_ID: `connect` is filled.
// After all other errors, close without a CONNACK.
enum mqtt_error mqtt_connect_decode(const struct mqtt_frame *frame, struct mqtt_connect *connect)
    __attribute__((warn_unused_result));

// -EINVAL when a field is longer than 65 535 bytes, will_qos is above 2, or a password has no user name. Text
// is not checked, because it comes from the caller.
int mqtt_connect_encode(void *to, size_t size, const struct mqtt_connect *connect)
    __attribute__((warn_unused_result));

enum mqtt_error mqtt_connack_decode(const struct mqtt_frame *frame, enum mqtt_connack_code *code,
                                    bool *session_present) __attribute__((warn_unused_result));

// Four bytes. `session_present` is sent as 0 in a refusal [MQTT-3.2.2-4].
int mqtt_connack_encode(void *to, size_t size, enum mqtt_connack_code code, bool session_present)
    __attribute__((warn_unused_result));

#endif
