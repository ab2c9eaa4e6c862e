// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/handlers.h"

#include "broker/broker.h"
#include "broker/mqtt/connection.h"

bool topic_levels_fit(const struct broker *broker, struct mqtt_text topic)
{
    int64_t most = broker->config->max_topic_levels, levels = 1;
    if ((int64_t)topic.bytes < most) // not even if all of it were slashes
        return true;
    for (size_t i = 0; i < topic.bytes && levels <= most; i++)
        levels += topic.data[i] == '/';
    return levels <= most;
}

static enum handled handle_pingreq(struct connection *connection)
{
    uint8_t packet[2];
    if (!output_has_room(connection, sizeof packet))
        return HANDLE_LATER;
    int bytes = mqtt_empty_encode(packet, sizeof packet, MQTT_PINGRESP); // [MQTT-3.12.4-1]
    output_append(connection, packet, (size_t)bytes);
    return HANDLED;
}

// [MQTT-3.14.4-3]: the will is forgotten; then the connection ends.
static enum handled handle_disconnect(struct connection *connection)
{
    message_unref(connection->will);
    connection->will = NULL;
    output_flush(connection); // what was answered in the same turn: nothing is sent once it is dead
    connection_fail(connection);
    return HANDLED;
}

enum handled handle_packet(struct connection *connection, const struct mqtt_frame *frame)
{
    switch (frame->type) {
    case MQTT_CONNECT:
        return handle_connect(connection, frame);
    case MQTT_PUBLISH:
        return handle_publish(connection, frame);
    case MQTT_PUBACK:
        return handle_puback(connection, frame);
    case MQTT_PUBREC:
        return handle_pubrec(connection, frame);
    case MQTT_PUBREL:
        return handle_pubrel(connection, frame);
    case MQTT_PUBCOMP:
        return handle_pubcomp(connection, frame);
    case MQTT_SUBSCRIBE:
        return handle_subscribe(connection, frame);
    case MQTT_UNSUBSCRIBE:
        return handle_unsubscribe(connection, frame);
    case MQTT_PINGREQ:
        return handle_pingreq(connection);
    case MQTT_DISCONNECT:
        return handle_disconnect(connection);
    default:
        connection_fail_protocol(connection, mqtt_error_text(MQTT_BAD_SENDER));
        return HANDLED;
    }
}
