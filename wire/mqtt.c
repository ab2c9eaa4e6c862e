// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt.h"

static const struct {
    const char *statement, *text;
} errors[MQTT_ERROR_COUNT] = {
    [MQTT_OK] = {"none", "no error"},
    [MQTT_INCOMPLETE] = {"none", "the packet is not complete yet"},
    [MQTT_BAD_TYPE] = {"section 2.2.1", "a forbidden packet type"},
    [MQTT_BAD_SENDER] = {"section 2.2.1", "a packet type that this side does not send"},
    [MQTT_BAD_FLAGS] = {"MQTT-2.2.2-2", "reserved flags in the fixed header"},
    [MQTT_BAD_REMAINING_LENGTH] = {"section 2.2.3", "a remaining length of more than four bytes"},
    [MQTT_TOO_LARGE] = {"section 2.2.3", "a packet longer than the limit set here"},
    [MQTT_BAD_LENGTH] = {"MQTT-4.8.0-1", "fields that do not fill the packet exactly"},
    [MQTT_BAD_PACKET_ID] = {"MQTT-2.3.1-1", "packet identifier 0"},
    [MQTT_BAD_UTF8] = {"MQTT-1.5.3-1", "a string that is not well-formed UTF-8"},
    [MQTT_BAD_NUL] = {"MQTT-1.5.3-2", "U+0000 in a string"},
    [MQTT_BAD_PROTOCOL_NAME] = {"MQTT-3.1.2-1", "another protocol name than MQTT"},
    [MQTT_BAD_PROTOCOL_LEVEL] = {"MQTT-3.1.2-2", "another protocol level than 4"},
    [MQTT_BAD_CONNECT_FLAGS] = {"MQTT-3.1.2-3", "the reserved bit of the connect flags"},
    [MQTT_BAD_WILL_QOS] = {"MQTT-3.1.2-14", "will QoS 3"},
    [MQTT_BAD_WILL_QOS_NO_WILL] = {"MQTT-3.1.2-13", "will QoS without a will"},
    [MQTT_BAD_WILL_RETAIN_NO_WILL] = {"MQTT-3.1.2-15", "will retain without a will"},
    [MQTT_BAD_PASSWORD_FLAG] = {"MQTT-3.1.2-22", "a password without a user name"},
    [MQTT_BAD_CLIENT_ID] = {"MQTT-3.1.3-8", "an empty client identifier for a session to be kept"},
    [MQTT_BAD_CONNACK_FLAGS] = {"section 3.2.2.1", "reserved bits in the connect acknowledge flags"},
    [MQTT_BAD_SESSION_PRESENT] = {"MQTT-3.2.2-4", "session present in a refusal"},
    [MQTT_BAD_RETURN_CODE] = {"section 3.2.2.3", "a reserved connect return code"},
    [MQTT_BAD_QOS] = {"MQTT-3.3.1-4", "QoS 3"},
    [MQTT_BAD_DUP] = {"MQTT-3.3.1-2", "DUP at QoS 0"},
    [MQTT_BAD_TOPIC_WILDCARD] = {"MQTT-3.3.2-2", "a wildcard in a topic name"},
    [MQTT_BAD_TOPIC_EMPTY] = {"MQTT-4.7.3-1", "an empty topic name or filter"},
    [MQTT_BAD_FILTER_HASH] = {"MQTT-4.7.1-2", "# not alone in the last level of a filter"},
    [MQTT_BAD_FILTER_PLUS] = {"MQTT-4.7.1-3", "+ not alone in a level of a filter"},
    [MQTT_BAD_SUBSCRIBE_EMPTY] = {"MQTT-3.8.3-3", "SUBSCRIBE without a topic filter"},
    [MQTT_BAD_REQUESTED_QOS] = {"MQTT-3-8.3-4", "a requested QoS past 2, or reserved bits with it"},
    [MQTT_BAD_SUBACK_CODE] = {"MQTT-3.9.3-2", "a reserved SUBACK return code"},
    [MQTT_BAD_UNSUBSCRIBE_EMPTY] = {"MQTT-3.10.3-2", "UNSUBSCRIBE without a topic filter"},
};

const char *mqtt_error_statement(enum mqtt_error error)
{
    return (unsigned)error < MQTT_ERROR_COUNT ? errors[error].statement : "none";
}

const char *mqtt_error_text(enum mqtt_error error)
{
    return (unsigned)error < MQTT_ERROR_COUNT ? errors[error].text : "an unknown error";
}

enum mqtt_connack_code mqtt_error_connack(enum mqtt_error error)
{
    switch (error) {
    case MQTT_BAD_PROTOCOL_LEVEL:
        return MQTT_REFUSED_PROTOCOL_VERSION;
    case MQTT_BAD_CLIENT_ID:
        return MQTT_REFUSED_IDENTIFIER;
    default:
        return MQTT_ACCEPTED;
    }
}

const char *mqtt_packet_name(unsigned type)
{
    static const char *const names[] = {"?",           "CONNECT",  "CONNACK", "PUBLISH",   "PUBACK",
                                        "PUBREC",      "PUBREL",   "PUBCOMP", "SUBSCRIBE", "SUBACK",
                                        "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP",  "DISCONNECT"};
    return type < sizeof names / sizeof names[0] ? names[type] : "?";
}

const char *mqtt_connack_text(enum mqtt_connack_code code)
{
    static const char *const texts[] = {
        "accepted",           "unacceptable protocol version", "identifier rejected",
        "server unavailable", "bad user name or password",     "not authorized"};
    return (unsigned)code < sizeof texts / sizeof texts[0] ? texts[code] : "a reserved return code";
}
