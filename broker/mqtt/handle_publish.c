// SPDX-License-Identifier: Apache-2.0
// PUBLISH from a client (section 3.3), and the PUBREL that releases it at QoS 2 (section 3.6).
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable.h"
#include "broker/mqtt/handicap.h"
#include "broker/mqtt/handlers.h"

#include <errno.h>

// 0 or 1 of delivery_route, or -errno with the message counted as dropped.
static int route(struct connection *connection, const struct mqtt_publish *publish)
{
    struct worker *worker = connection_worker(connection);
    if (handicap_loses_message())
        return 0;
    // Before message_new, so that clients can clear retained messages when there is no memory for a message.
    if (publish->retain && publish->payload.bytes == 0 && durable_retain(worker, publish->topic, NULL) < 0)
        return -ENOMEM;
    struct message *message =
        durable_message(worker->server, publish->topic, publish->payload, publish->qos, publish->retain);
    int code = message ? delivery_route(worker, message) : -ENOMEM;
    message_unref(message);
    if (code == 0)
        return 0;
    if (code < 0)
        worker_count_dropped(worker, code);
    else
        connection->transport.source |= CONNECTION_FANS_OUT;
    return code;
}

enum { RECEIVED_PER_WORK = 2048 }; // packet ids that may have to be moved

// 1: new; 0: a duplicate, which must not be routed again [MQTT-4.3.3-2]; negative: no memory.
static int receive_once(struct connection *connection, uint16_t packet_id)
{
    struct session_flow *flow = worker_flow(connection_worker(connection), connection->session);
    if (!flow)
        return -1;
    connection->transport.turn->work += flow->received_count / RECEIVED_PER_WORK;
    return flow_received_add(flow, packet_id);
}

// true: it was known.
static bool forget(struct connection *connection, uint16_t packet_id)
{
    struct session *session = connection->session;
    if (!session->flow)
        return false;
    connection->transport.turn->work += session->flow->received_count / RECEIVED_PER_WORK;
    bool was_known = flow_received_remove(session->flow, packet_id);
    session_flow_done(session);
    return was_known;
}

// The counter of the bound that forbids this message. NULL: none does.
static _Atomic int64_t *refusal_of(struct worker *worker, const struct mqtt_publish *publish)
{
    const struct server *server = worker->server;
    if (!server_topic_fits(server, publish->topic))
        return &worker->counters.closed_topic_levels;
    if ((int64_t)publish->payload.bytes > server->message_size_limit)
        return &worker->counters.closed_message_size;
    if (publish->retain && !server->has_retained)
        return &worker->counters.closed_retain;
    if ((publish->qos > 0 || publish->retain) && durable_refuses(worker))
        return &worker->counters.closed_state;
    return NULL;
}

// The message is not acknowledged, so the client knows that the broker does not have it [MQTT-3.3.5-2].
static struct handled refuse(_Atomic int64_t *counter)
{
    broker_count(counter, 1);
    return handled_close(NULL);
}

static void count_received(struct broker_counters *counters, int qos)
{
    broker_count(&counters->messages_received, 1);
    if (qos > 0)
        broker_count(qos == 1 ? &counters->received_qos_1 : &counters->received_qos_2, 1);
}

struct handled handle_publish(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_publish publish;
    enum mqtt_error error = mqtt_publish_decode(frame, &publish);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    _Atomic int64_t *refusal = refusal_of(worker, &publish);
    if (refusal)
        return refuse(refusal);
    if (delivery_waits(worker, &connection->transport, publish.topic))
        return handled(HANDLE_LATER);
    if (publish.qos > 0 && !transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    count_received(&worker->counters, publish.qos);
    int is_new = publish.qos == 2 ? receive_once(connection, publish.packet_id) : 1;
    int code = is_new < 0 ? -ENOMEM : is_new == 0 ? 0 : route(connection, &publish);
    if (publish.qos == 0)
        return handled(HANDLED);
    if (code < 0) {
        // What is not kept is not acknowledged. The client keeps the message and may send it again.
        if (is_new > 0)
            forget(connection, publish.packet_id);
        return refuse(code == -ENOSPC ? &worker->counters.closed_retained_full
                                      : &worker->counters.closed_no_memory);
    }
    if (is_new > 0 && publish.qos == 2)
        durable_received(worker, connection->session, publish.packet_id);
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
    if (forget(connection, packet_id))
        durable_received_end(connection_worker(connection), connection->session, packet_id);
    // Sent for unknown ids too, because the client waits for it (section 4.3.3).
    connection_acknowledge(connection, MQTT_PUBCOMP, packet_id);
    return handled(HANDLED);
}
