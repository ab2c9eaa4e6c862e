// SPDX-License-Identifier: Apache-2.0
// PUBLISH from a client (section 3.3), and the PUBREL that releases it at QoS 2 (section 3.6).
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/handicap.h"
#include "broker/mqtt/handlers.h"

#include <errno.h>

static bool route(struct worker *worker, const struct mqtt_publish *publish)
{
    if (handicap_loses_message())
        return true;
    // Before message_new, so that clients can clear retained messages when there is no memory for a message.
    if (publish->retain && publish->payload.bytes == 0 &&
        retained_set(worker->server->retained, publish->topic, NULL) < 0)
        return false;
    struct message *message = message_new(&worker->server->stores.messages, publish->topic, publish->payload,
                                          publish->qos, publish->retain);
    bool is_routed = message && delivery_route(worker, message) == 0;
    message_unref(message);
    if (!is_routed)
        worker_count_dropped(worker, -ENOMEM);
    return is_routed;
}

// 1: new; 0: a duplicate, which must not be routed again [MQTT-4.3.3-2]; negative: no memory.
static int receive_once(struct connection *connection, uint16_t packet_id)
{
    struct session_flow *flow = worker_flow(connection_worker(connection), connection->session);
    return flow ? flow_received_add(flow, packet_id) : -1;
}

static void forget(struct session *session, uint16_t packet_id)
{
    if (session->flow) {
        flow_received_remove(session->flow, packet_id);
        session_flow_done(session);
    }
}

struct handled handle_publish(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_publish publish;
    enum mqtt_error error = mqtt_publish_decode(frame, &publish);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!server_topic_fits(worker->server, publish.topic)) {
        broker_count(&worker->counters.closed_topic_levels, 1);
        return handled_close(NULL);
    }
    if (publish.qos > 0 && !transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    broker_count(&worker->counters.messages_received, 1);
    int is_new = publish.qos == 2 ? receive_once(connection, publish.packet_id) : 1;
    bool is_taken = is_new == 0 || (is_new > 0 && route(worker, &publish));
    if (publish.qos == 0)
        return handled(HANDLED);
    if (!is_taken) {
        // Without memory the broker does not acknowledge. The client keeps the message and may send it
        // again.
        if (is_new > 0)
            forget(connection->session, publish.packet_id);
        broker_count(&worker->counters.closed_no_memory, 1);
        return handled_close(NULL);
    }
    // There was room above, and a delivery to this client itself keeps ANSWER_ROOM free.
    connection_acknowledge(connection, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
    return handled(HANDLED);
}

struct handled handle_pubrel(struct connection *connection, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    enum mqtt_error error = mqtt_ack_decode(frame, &packet_id);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    forget(connection->session, packet_id);
    // Sent for unknown ids too, because the client waits for it (section 4.3.3).
    connection_acknowledge(connection, MQTT_PUBCOMP, packet_id);
    return handled(HANDLED);
}
