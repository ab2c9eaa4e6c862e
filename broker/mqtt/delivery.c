// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/delivery.h"

#include "broker/mqtt/connection.h"
#include "broker/mqtt/durable_gate.h"

#include <errno.h>
#include <string.h>

enum { RETAIN_WORK = 8 }; // of replacing a retained message

// So many sessions get a message at once, or fewer when so many transports are to be settled, but always a few. The further
// ones get it in portions.
enum { AT_ONCE_MOST = 2 * TURN_WORK, UNSETTLED_MOST = 4096, AT_ONCE_MIN = 64 };

enum { FANS_LEFT_OUT_MOST = 16 }; // turns in a row

// A search that is larger goes on in portions of SEARCH_WORK.
static const struct topics_bounds search_at_once = {
    .nodes = 2 * TURN_WORK, .subscriptions = 2 * TURN_WORK, .most = 16 * TURN_WORK};
enum { SEARCH_WORK = 512, LISTED_PER_WORK = 4 };

struct routing {
    struct worker *worker;
    struct message *message;
    struct fan_out *fan; // NULL: none yet
    uint32_t at_once;    // sessions that got it
    bool is_behind;      // another one of its topic has not reached all
};

static void post_to(struct worker *worker, struct session *session, struct message *message, uint8_t qos)
{
    bool is_bulk = session_ref_mail(session, turn_is_bulk(worker->turn));
    int64_t number = durable_deliver(worker, session, message, qos);
    struct mail mail = {.kind = MAIL_MESSAGE,
                        .is_bulk = is_bulk,
                        .value = durable_mail_value(number, qos) & MAIL_VALUE_MAX,
                        .object = message_ref(message),
                        .receiver = session};
    worker->turn->work++;
    if (durable_post(worker, session->owner, &mail) < 0) {
        durable_delivered(worker, session, number);
        message_unref(message);
        // Not the last reference: the session is still in the topics, or the caller has one.
        session_unref(session, &worker->server->stores.arenas);
        worker_count_dropped(worker, -EDQUOT); // the loop's mailbox is full, or there is no memory
    }
}

// To a session of this loop at once, unless earlier messages to it are in a mailbox or wait for their turn: then by mail as
// well, so that it comes behind those of the same client, which may have been at another loop. `own`: the caller's references.
static inline void deliver_to(struct worker *worker, struct session *session, struct message *message,
                              uint8_t qos, uint32_t own)
{
    bool is_alone = worker->server->worker_count == 1;
    if (session->owner == worker->index && (is_alone || !session_has_mail(session, own)))
        delivery_to_session(worker, session, message, qos, false);
    else
        post_to(worker, session, message, qos);
}

// With a state file all do: the deliveries are noted before the message is acknowledged.
static bool gets_it_now(const struct routing *routing)
{
    const struct worker *worker = routing->worker;
    if (!routing->is_behind && routing->at_once < AT_ONCE_MIN)
        return true;
    return worker->durable || (!routing->is_behind && routing->at_once < AT_ONCE_MOST &&
                               turn_unsettled(worker->turn) < UNSETTLED_MOST);
}

// Runs under the read lock of the topics, so it must not call into them. Failing connections are only marked.
static void route_to(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    struct routing *routing = context;
    struct worker *worker = routing->worker;
    struct session *session = session_of_subscriber(subscriber);
    if (!gets_it_now(routing) && fan_out_add(&routing->fan, &worker->server->account, session, qos))
        return;
    routing->at_once++;
    deliver_to(worker, session, routing->message, qos, 0);
}

static void let_go(struct worker *worker, const struct fan_target *target)
{
    message_unref(target->message);
    session_unref(target->session, &worker->server->stores.arenas);
}

static void deliver_found(void *context, struct session *session, struct message *message, uint8_t qos)
{
    deliver_to(context, session, message, qos, 0);
}

// Is there more to search for the first message of the list?
static bool search_more(struct worker *worker)
{
    int64_t lost = 0;
    bool has_more =
        fan_outs_search(&worker->fan_outs, SEARCH_WORK, deliver_found, worker, &lost, &worker->turn->work);
    if (lost > 0)
        worker_count_all_dropped(worker, -ENOMEM, lost);
    return has_more;
}

bool delivery_fan_out(struct worker *worker)
{
    struct fan_target target;
    if (!worker->fan_outs.first)
        return false;
    // What was delivered before is sent first, and shares writes meanwhile.
    if (turn_is_late(worker->turn) && worker->fans_left_out++ < FANS_LEFT_OUT_MOST)
        return true;
    worker->fans_left_out = 0;
    while (!turn_part_is_over(worker->turn)) {
        if (search_more(worker))
            continue;
        if (!fan_outs_next(&worker->fan_outs, &target))
            break;
        deliver_to(worker, target.session, target.message, target.qos, 1);
        let_go(worker, &target);
    }
    return worker->fan_outs.first != NULL;
}

void delivery_fan_out_dropped(struct worker *worker)
{
    struct fan_target target;
    while (fan_outs_next(&worker->fan_outs, &target))
        let_go(worker, &target);
}

// Who published to very many waits for them, so that the list stays short, and lets others go first once more. Others wait
// for their topic alone.
bool delivery_waits_for_others(struct worker *worker, struct transport *publisher, struct mqtt_text topic)
{
    bool fans_out = publisher->source & CONNECTION_FANS_OUT;
    if (worker->turn->is_urgent)
        return false;
    if (!worker->fan_outs.first)
        publisher->source &= (uint8_t)~CONNECTION_FANS_OUT;
    else if (!fans_out)
        fans_out = fan_outs_has(&worker->fan_outs, topic, &worker->turn->work);
    return fans_out && turn_defer(publisher);
}

static bool is_sys(struct mqtt_text topic)
{
    enum { BYTES = 4 };
    return topic.bytes >= BYTES && memcmp(topic.data, "$SYS", BYTES) == 0 &&
           (topic.bytes == BYTES || topic.data[BYTES] == '/');
}

static int64_t search(struct routing *routing, const struct topics_bounds *bounds)
{
    struct worker *worker = routing->worker;
    int64_t count = topics_match(worker->server->topics, message_topic(routing->message), bounds, route_to,
                                 routing, &worker->turn->work);
    if (routing->fan)
        worker->turn->work += (uint32_t)count / LISTED_PER_WORK;
    return count;
}

int delivery_route(struct worker *worker, struct message *message)
{
    struct server *server = worker->server;
    if (is_sys(message_topic(message))) {
        worker_count_dropped(worker, -EACCES);
        return 0;
    }
    if (message->retain) {
        int code =
            durable_retain(worker, message_topic(message), message->payload_bytes > 0 ? message : NULL);
        worker->turn->work += RETAIN_WORK;
        if (code < 0)
            return code;
    }
    struct routing routing = {.worker = worker, .message = message};
    if (worker->fan_outs.first)
        routing.is_behind = fan_outs_has(&worker->fan_outs, message_topic(message), &worker->turn->work);
    // With a state file the deliveries are noted before the message is acknowledged.
    int64_t count = search(&routing, worker->durable ? NULL : &search_at_once);
    if (count == -E2BIG) {
        if (fan_outs_push_search(&worker->fan_outs, server->topics, message))
            return 1;
        count = search(&routing, NULL);
    }
    if (count < 0)
        return -ENOMEM;
    if (!routing.fan)
        return 0;
    fan_outs_push(&worker->fan_outs, routing.fan, message);
    return 1;
}

static bool sends_at_once(const struct session *session)
{
    const struct connection *connection = session->connection;
    const struct session_flow *flow = session->flow;
    // Queued messages, and messages to be sent again after a reconnect, go first [MQTT-4.6.0-6].
    return connection_is_open(connection) && !connection->transport.is_broken &&
           (!flow || (flow->queue_count == 0 && !flow->needs_restart));
}

// Puts the message in flight and sends it. 0; -EAGAIN: window or socket is full; -ENOMEM.
static int send_acknowledged(struct worker *worker, struct session *session, struct message *message,
                             uint8_t qos, bool retain, int64_t number)
{
    struct session_flow *flow = worker_flow(worker, session);
    if (!flow)
        return -ENOMEM;
    struct publish_form form = {.qos = qos, .retain = retain, .packet_id = flow_next_packet_id(flow)};
    worker->turn->work += flow->inflight_count / FLOW_PER_WORK;
    int code = flow_inflight_add(flow, message, qos, retain, form.packet_id);
    if (code < 0)
        return code;
    if (connection_publish(session->connection, message, &form)) {
        durable_sent(worker, session, flow_inflight_last(flow), number);
        return 0;
    }
    flow_inflight_remove(flow, flow_inflight_find(flow, form.packet_id));
    flow->last_packet_id--;
    return -EAGAIN;
}

static int send_now(struct worker *worker, struct session *session, struct message *message, uint8_t qos,
                    bool retain, int64_t number)
{
    if (qos > 0)
        return send_acknowledged(worker, session, message, qos, retain, number);
    struct publish_form form = {.retain = retain};
    return connection_publish(session->connection, message, &form) ? 0 : -EAGAIN;
}

// A queued message is sent when the socket takes more, or when an acknowledgement comes. With neither in prospect, as after a
// request for memory that failed, the queue is looked at once more at the end of the turn.
static void send_soon(const struct session *session)
{
    struct transport *transport = &session->connection->transport;
    if (!transport->is_blocked && session->flow->inflight_count == 0)
        turn_add_pending(transport);
}

// Keeps the session's flow, even if it is empty. `number`: of the delivery in the state file; 0: it is not there.
static void deliver(struct worker *worker, struct session *session, struct message *message, uint8_t qos,
                    bool retain, int64_t number)
{
    worker->turn->work++;
    if (session_is_ended(session)) {
        durable_delivered(worker, session, number);
        return;
    }
    if (message->qos < qos)
        qos = message->qos;
    bool is_here = session->connection != NULL && connection_can_send(session->connection);
    // For a disconnected client QoS 0 is not queued (section 4.1: this is optional).
    if (!is_here && qos == 0)
        return;
    if (is_here && sends_at_once(session) && send_now(worker, session, message, qos, retain, number) == 0)
        return;
    struct session_flow *flow = worker_flow(worker, session);
    int code = flow ? flow_queue_push(flow, message, qos, retain) : -ENOMEM;
    if (code == 0) {
        durable_queued(worker, session, flow_queue_back(flow), number);
        if (is_here)
            send_soon(session);
        return;
    }
    durable_delivered(worker, session, number);
    worker_count_dropped(worker, code);
}

void delivery_to_session(struct worker *worker, struct session *session, struct message *message, uint8_t qos,
                         bool retain)
{
    deliver(worker, session, message, qos, retain, 0);
    if (session->flow)
        session_flow_done(session);
}

// Sends again, in order, the messages that were in flight when the previous connection was lost
// [MQTT-4.4.0-1] [MQTT-4.6.0-1].
static bool send_again(struct connection *connection, struct session_flow *flow)
{
    for (uint32_t i = 0; i < flow->inflight_count; i++) {
        struct delivery *delivery = &flow->inflight[i];
        if (delivery->stage == DELIVERY_UNSENT) {
            struct publish_form form = {.qos = delivery->qos,
                                        .dup = delivery->dup,
                                        .retain = delivery->retain,
                                        .packet_id = delivery->packet_id};
            if (!connection_publish(connection, delivery->message, &form))
                return false;
            delivery->stage = DELIVERY_SENT;
        } else if (delivery->stage == DELIVERY_RELEASE) {
            if (!transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
                return false;
            connection_acknowledge(connection, MQTT_PUBREL, delivery->packet_id);
            delivery->stage = DELIVERY_RELEASED;
        }
    }
    flow->needs_restart = false;
    return true;
}

// Is the rest to be sent in another part of the turn?
static bool waits_for_its_turn(const struct session *session)
{
    struct transport *transport = &session->connection->transport;
    return turn_is_busy(transport->turn) && turn_defer(transport);
}

// Sends retained messages until one cannot be sent. That one waits in the queue. The replay goes on when the
// queue is empty.
static void replay_some(struct worker *worker, struct session *session)
{
    struct session_flow *flow = session->flow;
    if (!flow->replays.first)
        return;
    while (flow->replays.first && flow->queue_count == 0 && connection_can_send(session->connection)) {
        if (waits_for_its_turn(session))
            return;
        uint8_t qos;
        int64_t lost = 0;
        struct message *message = replays_next(&flow->replays, &worker->server->account,
                                               worker->server->retained, &qos, &worker->turn->work, &lost);
        if (message)
            deliver(worker, session, message, qos, true, 0); // [MQTT-3.3.1-8]
        message_unref(message);
        for (; lost > 0; lost--)
            worker_count_dropped(worker, -ENOMEM);
    }
    if (!flow->replays.first)
        durable_replayed(worker, session);
}

void delivery_pump(struct worker *worker, struct session *session)
{
    struct connection *connection = session->connection;
    struct session_flow *flow = session->flow;
    if (!connection || !connection_is_open(connection) || connection->transport.is_broken || !flow)
        return;
    if (flow->needs_restart && !send_again(connection, flow))
        return;
    struct delivery *front;
    while ((front = flow_queue_front(flow)) && !waits_for_its_turn(session) &&
           send_now(worker, session, front->message, front->qos, front->retain, front->number) == 0) {
        flow_queue_drop_front(flow);
        worker->turn->work++;
    }
    replay_some(worker, session);
    session_flow_done(session);
}

bool delivery_has_more(const struct session *session)
{
    const struct session_flow *flow = session->flow;
    return flow && (flow->queue_count > 0 || flow->needs_restart || flow->replays.first);
}

static void let_mail_go(struct worker *worker, const struct mail *mail)
{
    message_unref(mail->object);
    session_unref(mail->receiver, &worker->server->stores.arenas);
}

void delivery_on_mail(void *owner, const struct mail *mail)
{
    deliver(owner, mail->receiver, mail->object, durable_mail_qos(mail), false, durable_mail_number(mail));
    session_flow_done(mail->receiver);
    session_mail_read(mail->receiver);
    let_mail_go(owner, mail);
}

void delivery_on_mail_dropped(void *owner, const struct mail *mail)
{
    let_mail_go(owner, mail);
}
