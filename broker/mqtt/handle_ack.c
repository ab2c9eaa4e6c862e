// SPDX-License-Identifier: Apache-2.0
// A client's acknowledgements of messages sent to it: PUBACK, PUBREC, PUBCOMP (sections 3.4, 3.5, 3.7).
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable.h"
#include "broker/mqtt/handlers.h"

static struct delivery *find(struct connection *connection, uint16_t packet_id)
{
    struct session_flow *flow = connection->session->flow;
    if (!flow)
        return NULL;
    connection->transport.turn->work += flow->inflight_count / FLOW_PER_WORK;
    return flow_inflight_find(flow, packet_id);
}

// The delivery is complete, so the window has room for another message.
static void finish(struct connection *connection, struct delivery *delivery)
{
    durable_delivered(connection_worker(connection), connection->session, delivery->number);
    flow_inflight_remove(connection->session->flow, delivery);
    if (connection->session->flow->queue_count > 0 || connection->session->flow->replays.first)
        delivery_pump(connection_worker(connection), connection->session);
    else
        session_flow_done(connection->session);
}

// An id that is not in flight is a repeated acknowledgement and is ignored. An acknowledgement that does not
// fit the QoS or stage of its message ends the connection (section 4.3, [MQTT-4.8.0-1]).
struct handled handle_puback(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    enum mqtt_error error = mqtt_ack_decode(frame, &packet_id);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && delivery->qos != 1)
        return handled_close("PUBACK for a message of QoS 2");
    if (delivery)
        finish(connection, delivery);
    return handled(HANDLED);
}

struct handled handle_pubrec(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    enum mqtt_error error = mqtt_ack_decode(frame, &packet_id);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && delivery->qos != 2)
        return handled_close("PUBREC for a message of QoS 1");
    if (delivery) {
        if (delivery->message) {
            durable_released(connection_worker(connection), connection->session, delivery);
            flow_inflight_release(connection->session->flow, delivery);
        }
        delivery->stage = DELIVERY_RELEASED;
    }
    // Sent for unknown ids too, because the client waits for it (section 4.3.3).
    connection_acknowledge(connection, MQTT_PUBREL, packet_id);
    return handled(HANDLED);
}

struct handled handle_pubcomp(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    enum mqtt_error error = mqtt_ack_decode(frame, &packet_id);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    struct delivery *delivery = find(connection, packet_id);
    if (delivery && (delivery->qos != 2 || delivery->message))
        return handled_close("PUBCOMP for a message without PUBREC");
    if (delivery)
        finish(connection, delivery);
    return handled(HANDLED);
}
