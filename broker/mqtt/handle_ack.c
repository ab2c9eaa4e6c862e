// SPDX-License-Identifier: Apache-2.0
// What a client answers to the messages sent to it: PUBACK, PUBREC, PUBCOMP (sections 3.4, 3.5, 3.7).
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/handlers.h"
#include "broker/net/loop.h"
#include "broker/mqtt/session.h"

static struct delivery *find(struct connection *connection, uint16_t packet_id)
{
    struct session_flow *flow = connection->session->flow;
    return flow ? flow_inflight_find(flow, packet_id) : NULL;
}

static bool decode(struct connection *connection, const struct mqtt_frame *frame, uint16_t *packet_id)
{
    enum mqtt_error error = mqtt_ack_decode(frame, packet_id);
    if (error == MQTT_OK)
        return true;
    connection_fail_protocol(connection, mqtt_error_text(error));
    return false;
}

// The delivery is over; there is room for another.
static void finish(struct connection *connection, struct delivery *delivery)
{
    flow_inflight_remove(connection->session->flow, delivery);
    if (connection->session->flow->queue_count > 0 || connection->session->flow->replays)
        delivery_pump(connection->loop, connection->session);
    else
        session_flow_done(connection->session);
}

// An id that is not in flight is an answer that came twice: nothing is to be done. One that is, answered as
// its QoS or its step does not allow, ends the connection (section 4.3, [MQTT-4.8.0-1]).
enum handled handle_puback(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    if (!decode(connection, frame, &packet_id))
        return HANDLED;
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && delivery->qos != 1)
        connection_fail_protocol(connection, "PUBACK for a message of QoS 2");
    else if (delivery)
        finish(connection, delivery);
    return HANDLED;
}

enum handled handle_pubrec(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    if (!decode(connection, frame, &packet_id))
        return HANDLED;
    uint8_t packet[4];
    if (!output_has_room(connection, sizeof packet))
        return HANDLE_LATER;
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && delivery->qos != 2) {
        connection_fail_protocol(connection, "PUBREC for a message of QoS 1");
        return HANDLED;
    }
    if (delivery) {
        if (delivery->message)
            flow_inflight_release(connection->session->flow, delivery);
        delivery->stage = DELIVERY_RELEASED;
    }
    // Also for an id that we do not know: the client waits for it (section 4.3.3).
    int bytes = mqtt_ack_encode(packet, sizeof packet, MQTT_PUBREL, packet_id);
    output_append(connection, packet, (size_t)bytes);
    return HANDLED;
}

enum handled handle_pubcomp(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    if (!decode(connection, frame, &packet_id))
        return HANDLED;
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && (delivery->qos != 2 || delivery->message))
        connection_fail_protocol(connection, "PUBCOMP for a message without PUBREC");
    else if (delivery)
        finish(connection, delivery);
    return HANDLED;
}
