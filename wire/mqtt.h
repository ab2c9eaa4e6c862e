// SPDX-License-Identifier: Apache-2.0
// MQTT 3.1.1 (OASIS Standard, 29 October 2014): types and errors that all parts of the codec share.
//
// The codec serves both ends: a broker decodes packets of clients, a load engine packets of servers. It
// allocates nothing and keeps no state, so any thread may call it.
//
// Decoders return views into the caller's buffer, valid as long as its bytes. They check bounds before each
// read, and accept only packets that the specification allows. Encoders write into the caller's buffer and
// return the bytes written. -ENOBUFS: the packet does not fit, and the buffer holds nothing useful. -EINVAL:
// no packet can express the fields.
//
//     size_t needed;
//     struct mqtt_frame frame;
//     enum mqtt_error error = mqtt_frame_decode(data, size, limit, &frame, &needed);
//     if (error == MQTT_INCOMPLETE) ...read until `needed` bytes are there...
//     if (error == MQTT_OK && frame.type == MQTT_PUBLISH) error = mqtt_publish_decode(&frame, &publish);
//     if (error != MQTT_OK) ...close the connection, log mqtt_error_text(error)...
#ifndef POOLMARK_WIRE_MQTT_H
#define POOLMARK_WIRE_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum mqtt_packet_type { // section 2.2.1; 0 and 15 are forbidden
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_PUBREC = 5,
    MQTT_PUBREL = 6,
    MQTT_PUBCOMP = 7,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK = 9,
    MQTT_UNSUBSCRIBE = 10,
    MQTT_UNSUBACK = 11,
    MQTT_PINGREQ = 12,
    MQTT_PINGRESP = 13,
    MQTT_DISCONNECT = 14,
};

enum mqtt_connack_code { // section 3.2.2.3
    MQTT_ACCEPTED = 0,
    MQTT_REFUSED_PROTOCOL_VERSION = 1,
    MQTT_REFUSED_IDENTIFIER = 2,
    MQTT_REFUSED_UNAVAILABLE = 3,
    MQTT_REFUSED_CREDENTIALS = 4,
    MQTT_REFUSED_AUTHORIZATION = 5,
};

enum {
    MQTT_REMAINING_MAX = 268435455, // section 2.2.3
    MQTT_HEADER_MAX = 5,            // bytes of a fixed header at most
    MQTT_TEXT_MAX = 65535,          // bytes of a string or binary field at most
    MQTT_LEVEL = 4,                 // protocol level of 3.1.1
    MQTT_SUBACK_FAILURE = 0x80,
};

// Why bytes are not a packet. All errors but the first two end the network connection [MQTT-4.8.0-1]. For a
// CONNECT, mqtt_error_connack() tells whether to send a CONNACK first.
enum mqtt_error {
    MQTT_OK = 0,
    MQTT_INCOMPLETE, // no error: the packet has more bytes than were given
    MQTT_BAD_TYPE,   // section 2.2.1: types 0 and 15 are forbidden
    MQTT_BAD_SENDER, // section 2.2.1: a type that this side does not send
    MQTT_BAD_FLAGS,  // [MQTT-2.2.2-2]: wrong reserved flags in the fixed header (must be 0010 for PUBREL,
                     // SUBSCRIBE ...)
    MQTT_BAD_REMAINING_LENGTH, // section 2.2.3: a fourth length byte with its continuation bit set
    MQTT_TOO_LARGE,            // longer than the limit that the caller set
    MQTT_BAD_LENGTH,           // [MQTT-4.8.0-1]: fields end after the packet, or the packet after its fields
    MQTT_BAD_PACKET_ID,        // [MQTT-2.3.1-1]: packet identifier 0
    MQTT_BAD_UTF8,             // [MQTT-1.5.3-1]: ill-formed UTF-8, or a surrogate
    MQTT_BAD_NUL,              // [MQTT-1.5.3-2]: U+0000 in a string
    MQTT_BAD_PROTOCOL_NAME,    // [MQTT-3.1.2-1]: neither "MQTT" nor the older "MQIsdp"
    MQTT_BAD_PROTOCOL_LEVEL,   // [MQTT-3.1.2-2]: not level 4; answered with CONNACK 1
    MQTT_BAD_CONNECT_FLAGS,    // [MQTT-3.1.2-3]: the reserved bit of the connect flags is set
    MQTT_BAD_WILL_QOS,         // [MQTT-3.1.2-14]: will QoS 3
    MQTT_BAD_WILL_QOS_NO_WILL, // [MQTT-3.1.2-13]: will QoS without a will
    MQTT_BAD_WILL_RETAIN_NO_WILL, // [MQTT-3.1.2-15]: will retain without a will
    MQTT_BAD_PASSWORD_FLAG,       // [MQTT-3.1.2-22]: a password without a user name
    MQTT_BAD_CLIENT_ID, // [MQTT-3.1.3-8]: an empty client identifier, session kept; answered with CONNACK 2
    MQTT_BAD_CONNACK_FLAGS,     // section 3.2.2.1: reserved bits of the acknowledge flags
    MQTT_BAD_SESSION_PRESENT,   // [MQTT-3.2.2-4]: session present in a refusal
    MQTT_BAD_RETURN_CODE,       // section 3.2.2.3: return codes 6 to 255 are reserved
    MQTT_BAD_QOS,               // [MQTT-3.3.1-4]: PUBLISH with QoS 3
    MQTT_BAD_DUP,               // [MQTT-3.3.1-2]: DUP with QoS 0
    MQTT_BAD_TOPIC_WILDCARD,    // [MQTT-3.3.2-2]: + or # in a topic name
    MQTT_BAD_TOPIC_EMPTY,       // [MQTT-4.7.3-1]: a topic name or filter without a character
    MQTT_BAD_FILTER_HASH,       // [MQTT-4.7.1-2]: # not alone in the last level
    MQTT_BAD_FILTER_PLUS,       // [MQTT-4.7.1-3]: + not alone in its level
    MQTT_BAD_SUBSCRIBE_EMPTY,   // [MQTT-3.8.3-3]: SUBSCRIBE without a topic filter
    MQTT_BAD_REQUESTED_QOS,     // [MQTT-3-8.3-4]: requested QoS 3, or reserved bits set
    MQTT_BAD_SUBACK_CODE,       // [MQTT-3.9.3-2]: none of 0, 1, 2, 0x80
    MQTT_BAD_UNSUBSCRIBE_EMPTY, // [MQTT-3.10.3-2]: UNSUBSCRIBE without a topic filter
    MQTT_ERROR_COUNT,
};

// The violated statement ("MQTT-3.1.2-14" or "section 2.2.3"), and a text for people. Both static.
const char *mqtt_error_statement(enum mqtt_error error);
const char *mqtt_error_text(enum mqtt_error error);

// The return code of the CONNACK that answers a CONNECT with `error`, before the connection is closed.
// MQTT_ACCEPTED (0): close without a CONNACK.
enum mqtt_connack_code mqtt_error_connack(enum mqtt_error error);

const char *mqtt_packet_name(unsigned type);                // "CONNECT"; "?" for types without a name
const char *mqtt_connack_text(enum mqtt_connack_code code); // "identifier rejected"

// A view of a UTF-8 string that passed mqtt_text_check, not terminated; and a view of any bytes.
struct mqtt_text {
    const char *data;
    size_t bytes;
};
struct mqtt_bytes {
    const void *data;
    size_t bytes;
};

static inline struct mqtt_text mqtt_text_of(const char *terminated)
{
    return (struct mqtt_text){terminated, strlen(terminated)};
}

static inline bool mqtt_text_equal(struct mqtt_text a, struct mqtt_text b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

#endif
