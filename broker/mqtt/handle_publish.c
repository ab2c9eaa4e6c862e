// SPDX-License-Identifier: Apache-2.0
// PUBLISH from a client (section 3.3) and the PUBREL that ends one at QoS 2 (section 3.6).
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/handicap.h"
#include "broker/mqtt/handlers.h"
#include "broker/net/loop.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"

#include <errno.h>

static void acknowledge(struct connection *connection, enum mqtt_packet_type type, uint16_t packet_id)
{
    uint8_t packet[4];
    int bytes = mqtt_ack_encode(packet, sizeof packet, type, packet_id);
    output_append(connection, packet, (size_t)bytes);
}

static bool route(struct loop *loop, const struct mqtt_publish *publish)
{
    if (handicap_loses_message())
        return true;
    // First of all, so that what is retained can be taken away when there is no memory left for a message.
    if (publish->retain && publish->payload.bytes == 0 &&
        retained_set(loop->broker->retained, publish->topic, NULL) < 0)
        return false;
    struct message *message = message_new(&loop->broker->stores.messages, publish->topic, publish->payload,
                                          publish->qos, publish->retain);
    bool is_routed = message && delivery_route(loop, message) == 0;
    message_unref(message);
    if (!is_routed)
        loop_count_dropped(loop, -ENOMEM);
    return is_routed;
}

// 1: new; 0: sent again by the client, so not to be routed again [MQTT-4.3.3-2]; -ENOMEM.
static int receive_once(struct connection *connection, uint16_t packet_id)
{
    struct broker *broker = connection->loop->broker;
    struct session_flow *flow =
        session_flow_need(connection->session, &broker->stores.arenas, &broker->flow_rules);
    return flow ? flow_received_add(flow, packet_id) : -1;
}

static void forget(struct session *session, uint16_t packet_id)
{
    if (session->flow) {
        flow_received_remove(session->flow, packet_id);
        session_flow_done(session);
    }
}

enum handled handle_publish(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_publish publish;
    enum mqtt_error error = mqtt_publish_decode(frame, &publish);
    if (error != MQTT_OK) {
        connection_fail_protocol(connection, mqtt_error_text(error));
        return HANDLED;
    }
    if (!topic_levels_fit(loop->broker, publish.topic)) {
        broker_count(&loop->counters.closed_topic_levels, 1);
        output_flush(connection);
        connection_fail(connection);
        return HANDLED;
    }
    if (publish.qos > 0 && !output_has_room(connection, 4))
        return HANDLE_LATER;
    broker_count(&loop->counters.messages_received, 1);
    int is_new = publish.qos == 2 ? receive_once(connection, publish.packet_id) : 1;
    bool is_taken = is_new == 0 || (is_new > 0 && route(loop, &publish));
    if (publish.qos == 0)
        return HANDLED;
    if (!is_taken) {
        // Without memory there is no honest acknowledgement: the client keeps the message, and may come
        // again.
        if (is_new > 0)
            forget(connection->session, publish.packet_id);
        broker_count(&loop->counters.closed_no_memory, 1);
        connection_fail(connection);
        return HANDLED;
    }
    // There was room before, and what the client got of its own message left it free.
    acknowledge(connection, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
    return HANDLED;
}

enum handled handle_pubrel(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    enum mqtt_error error = mqtt_ack_decode(frame, &packet_id);
    if (error != MQTT_OK) {
        connection_fail_protocol(connection, mqtt_error_text(error));
        return HANDLED;
    }
    if (!output_has_room(connection, 4))
        return HANDLE_LATER;
    forget(connection->session, packet_id);
    acknowledge(connection, MQTT_PUBCOMP, packet_id); // also for one we do not know: the client waits for it
    return HANDLED;
}
