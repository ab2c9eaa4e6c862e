// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/delivery.h"

#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/net/loop.h"
#include "broker/mqtt/replay.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/topics.h"

#include <errno.h>
#include <string.h>

struct routing {
    struct loop *loop;
    struct message *message;
};

// Under the read lock of the topics: nothing here calls into them, and connections that fail are only marked.
static void route_to(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    const struct routing *routing = context;
    struct loop *loop = routing->loop;
    struct session *session = session_of_subscriber(subscriber);
    if (session->owner == loop->index) {
        delivery_to_session(loop, session, routing->message, qos, false);
        return;
    }
    session_ref(session);
    struct letter letter = {
        .kind = LETTER_DELIVER, .qos = qos, .message = message_ref(routing->message), .session = session};
    if (mailbox_post(&loop->broker->loops[session->owner]->mailbox, &letter) < 0) {
        message_unref(routing->message);
        // Not the last one: the session is in the topics.
        session_unref(session, &loop->broker->stores.arenas);
        loop_count_dropped(loop, -EDQUOT); // the loop is as far behind as it may be
    }
}

static bool is_sys(struct mqtt_text topic)
{
    enum { BYTES = 4 };
    return topic.bytes >= BYTES && memcmp(topic.data, "$SYS", BYTES) == 0 &&
           (topic.bytes == BYTES || topic.data[BYTES] == '/');
}

int delivery_route(struct loop *loop, struct message *message)
{
    struct broker *broker = loop->broker;
    if (is_sys(message_topic(message))) {
        loop_count_dropped(loop, -EACCES);
        return 0;
    }
    if (message->retain) {
        int code = retained_set(broker->retained, message_topic(message),
                                message->payload_bytes > 0 ? message : NULL);
        if (code < 0)
            return code;
    }
    struct routing routing = {loop, message};
    return topics_match(broker->topics, message_topic(message), route_to, &routing) < 0 ? -ENOMEM : 0;
}

static bool sends_at_once(const struct session *session)
{
    const struct connection *connection = session->connection;
    const struct session_flow *flow = session->flow;
    // What waits, or has to be sent again after a reconnect, goes first [MQTT-4.6.0-6].
    return connection->state == CONNECTION_OPEN && !connection->is_broken &&
           (!flow || (flow->queue_count == 0 && !flow->needs_restart));
}

// Puts it in flight and sends it. -EAGAIN: window or socket is full.
static int send_acknowledged(struct loop *loop, struct session *session, struct message *message, uint8_t qos,
                             bool retain)
{
    struct session_flow *flow =
        session_flow_need(session, &loop->broker->stores.arenas, &loop->broker->flow_rules);
    if (!flow)
        return -ENOMEM;
    struct publish_form form = {.qos = qos, .retain = retain, .packet_id = session_next_packet_id(session)};
    int code = flow_inflight_add(flow, message, qos, retain, form.packet_id);
    if (code < 0)
        return code;
    if (output_publish(session->connection, message, &form))
        return 0;
    flow_inflight_remove(flow, flow_inflight_find(flow, form.packet_id));
    session->last_packet_id--;
    return -EAGAIN;
}

static int send_now(struct loop *loop, struct session *session, struct message *message, uint8_t qos,
                    bool retain)
{
    if (qos > 0)
        return send_acknowledged(loop, session, message, qos, retain);
    struct publish_form form = {.retain = retain};
    return output_publish(session->connection, message, &form) ? 0 : -EAGAIN;
}

// The session's flow stays, empty or not.
static void deliver(struct loop *loop, struct session *session, struct message *message, uint8_t qos,
                    bool retain)
{
    if (session->is_ended)
        return;
    loop->work++;
    if (message->qos < qos)
        qos = message->qos;
    bool is_here = session->connection != NULL && connection_can_send(session->connection);
    // For a client that is away only what it must get is kept (section 4.1: QoS 0 is optional).
    if (!is_here && qos == 0)
        return;
    if (is_here && sends_at_once(session) && send_now(loop, session, message, qos, retain) == 0)
        return;
    struct session_flow *flow =
        session_flow_need(session, &loop->broker->stores.arenas, &loop->broker->flow_rules);
    int code = flow ? flow_queue_push(flow, message, qos, retain) : -ENOMEM;
    if (code == 0)
        return;
    loop_count_dropped(loop, code);
}

void delivery_to_session(struct loop *loop, struct session *session, struct message *message, uint8_t qos,
                         bool retain)
{
    deliver(loop, session, message, qos, retain);
    session_flow_done(session);
}

// What was in flight when the connection before this one was lost, in its order [MQTT-4.4.0-1]
// [MQTT-4.6.0-1].
static bool send_again(struct connection *connection, struct session_flow *flow)
{
    for (uint32_t i = 0; i < flow->inflight_count; i++) {
        struct delivery *delivery = &flow->inflight[i];
        if (delivery->stage == DELIVERY_UNSENT) {
            struct publish_form form = {.qos = delivery->qos,
                                        .dup = delivery->dup,
                                        .retain = delivery->retain,
                                        .packet_id = delivery->packet_id};
            if (!output_publish(connection, delivery->message, &form))
                return false;
            delivery->stage = DELIVERY_SENT;
        } else if (delivery->stage == DELIVERY_RELEASE) {
            uint8_t packet[4];
            if (!output_has_room(connection, sizeof packet))
                return false;
            int bytes = mqtt_ack_encode(packet, sizeof packet, MQTT_PUBREL, delivery->packet_id);
            output_append(connection, packet, (size_t)bytes);
            delivery->stage = DELIVERY_RELEASED;
        }
    }
    flow->needs_restart = false;
    return true;
}

// One that finds no way now waits in the queue, and no other is looked at before that has gone.
static void replay_some(struct loop *loop, struct session *session)
{
    struct session_flow *flow = session->flow;
    while (flow->replays && flow->queue_count == 0 && connection_can_send(session->connection)) {
        if (loop_is_busy(loop) && loop_defer(loop, session->connection))
            return;
        uint8_t qos;
        int64_t lost = 0;
        struct message *message = replay_next(flow, loop->broker->retained, &qos, &loop->work, &lost);
        if (message)
            deliver(loop, session, message, qos, true); // [MQTT-3.3.1-8]
        message_unref(message);
        for (; lost > 0; lost--)
            loop_count_dropped(loop, -ENOMEM);
    }
}

void delivery_pump(struct loop *loop, struct session *session)
{
    struct connection *connection = session->connection;
    struct session_flow *flow = session->flow;
    if (!connection || connection->state != CONNECTION_OPEN || connection->is_broken || !flow)
        return;
    if (flow->needs_restart && !send_again(connection, flow))
        return;
    struct delivery *front;
    while ((front = flow_queue_front(flow)) &&
           send_now(loop, session, front->message, front->qos, front->retain) == 0)
        flow_queue_drop_front(flow);
    replay_some(loop, session);
    session_flow_done(session);
}

static bool has_more(const struct session *session)
{
    const struct session_flow *flow = session->flow;
    return flow && (flow->queue_count > 0 || flow->needs_restart || flow->replays);
}

void delivery_settle(struct connection *connection)
{
    struct loop *loop = connection->loop;
    if (connection->is_broken) {
        connection->is_paused = false;
        if (connection->is_deferred)
            return;
        input_drain(connection);
        return;
    }
    // Each round sends a whole buffer, and the queue gets shorter; it ends when socket, window or queue is.
    while (output_flush(connection) && connection->has_session && has_more(connection->session)) {
        delivery_pump(loop, connection->session);
        if (output_is_empty(connection))
            break;
    }
    if (connection->is_paused && !connection->is_blocked && connection_can_send(connection)) {
        connection->is_paused = false;
        connection_watch(connection);
        input_resume(connection);
    }
}
