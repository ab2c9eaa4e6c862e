// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/durable.h"

#include "base/clock.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/message.h"

#include <errno.h>
#include <stdlib.h>

int durable_open(struct worker *worker)
{
    worker->durable = calloc(1, sizeof *worker->durable);
    if (!worker->durable)
        return -ENOMEM;
    worker->durable->batch.state = worker->server->state;
    return 0;
}

void durable_close(struct worker *worker)
{
    if (!worker->durable)
        return;
    state_free_batch(&worker->durable->batch);
    free(worker->durable->mail);
    free(worker->durable);
    worker->durable = NULL;
}

static void gate(struct transport *transport)
{
    if (transport)
        transport->source |= CONNECTION_GATED;
}

// For a session of this loop.
static void gate_session(const struct session *session)
{
    if (session->connection)
        gate(&session->connection->transport);
}

static void note(struct worker *worker, const struct state_act *act)
{
    gate(worker->durable->current);
    state_note(&worker->durable->batch, act);
}

struct message *durable_message(struct server *server, struct mqtt_text topic, struct mqtt_bytes payload,
                                uint8_t qos, bool retain)
{
    struct block_store *messages = &server->stores.messages;
    if (server->state && (qos > 0 || retain))
        return message_new_stored(messages, topic, payload, qos, retain, server->state);
    return message_new(messages, topic, payload, qos, retain);
}

struct session *durable_session_new(struct worker *worker, void *arena, struct mqtt_text id, bool is_clean)
{
    struct server *server = worker->server;
    if (!worker->durable || is_clean)
        return session_new(&server->stores.arenas, arena, id, worker->index, is_clean);
    return session_new_stored(&server->stores.arenas, arena, id, worker->index,
                              state_next_number(server->state));
}

static void note_session(struct worker *worker, enum state_kind kind, const struct session *session,
                         struct mqtt_text text, uint8_t qos, uint16_t packet_id)
{
    if (!worker->durable || !session->is_stored)
        return;
    gate_session(session);
    note(worker, &(struct state_act){.kind = (uint8_t)kind,
                                     .session = session_number(session),
                                     .text = text.data,
                                     .text_bytes = (uint32_t)text.bytes,
                                     .qos = qos,
                                     .packet_id = packet_id});
}

static const struct mqtt_text no_text;

void durable_session(struct worker *worker, const struct session *session)
{
    note_session(worker, STATE_SESSION, session, session_id(session), 0, 0);
}

void durable_session_end(struct server *server, const struct session *session)
{
    note_session(server->workers[session->owner], STATE_SESSION_END, session, no_text, 0, 0);
}

void durable_connected(struct worker *worker, const struct session *session)
{
    note_session(worker, STATE_AWAY, session, no_text, 0, 0);
}

void durable_away(struct worker *worker, const struct session *session)
{
    if (worker->durable && session->is_stored)
        note(worker, &(struct state_act){.kind = STATE_AWAY,
                                         .session = session_number(session),
                                         .value = clock_wall_ns() / NS_PER_S});
}

void durable_subscribe(struct worker *worker, const struct session *session, struct mqtt_text filter,
                       uint8_t qos, bool owes)
{
    if (worker->durable && session->is_stored)
        note(worker, &(struct state_act){.kind = STATE_SUBSCRIBE,
                                         .session = session_number(session),
                                         .text = filter.data,
                                         .text_bytes = (uint32_t)filter.bytes,
                                         .qos = qos,
                                         .retain = owes});
}

void durable_replayed(struct worker *worker, const struct session *session)
{
    note_session(worker, STATE_REPLAYED, session, no_text, 0, 0);
}

void durable_unsubscribe(struct worker *worker, const struct session *session, struct mqtt_text filter)
{
    note_session(worker, STATE_UNSUBSCRIBE, session, filter, 0, 0);
}

void durable_received(struct worker *worker, const struct session *session, uint16_t packet_id)
{
    note_session(worker, STATE_RECEIVED, session, no_text, 0, packet_id);
}

void durable_received_end(struct worker *worker, const struct session *session, uint16_t packet_id)
{
    note_session(worker, STATE_RECEIVED_END, session, no_text, 0, packet_id);
}

// The act holds a reference: the file cannot forget the message before it has it.
static struct state_act message_act(struct message *message)
{
    return (struct state_act){.kind = STATE_MESSAGE,
                              .message = message_number(message),
                              .qos = message->qos,
                              .retain = message->retain,
                              .text = message_topic(message).data,
                              .text_bytes = message->topic_bytes,
                              .payload = message_payload(message).data,
                              .payload_bytes = message->payload_bytes,
                              .held = message_ref(message)};
}

// Before the message is shared with another loop that may store it. true: it has no number yet, and got one.
static bool number_message(const struct worker *worker, struct message *message)
{
    if (message_number(message))
        return false;
    message_set_number(message, state_next_number(worker->server->state));
    return true;
}

static void need_message(struct worker *worker, struct message *message)
{
    if (number_message(worker, message)) {
        struct state_act act = message_act(message);
        note(worker, &act);
    }
}

int durable_retain(struct worker *worker, struct mqtt_text topic, struct message *message)
{
    struct server *server = worker->server;
    if (!worker->durable)
        return retained_set(server->retained, topic, message);
    struct state_act acts[2];
    size_t count = 0;
    gate(worker->durable->current);
    state_lock_retained(server->state);
    bool is_new = message && number_message(worker, message);
    int code = retained_set(server->retained, topic, message);
    if (code == 0 && is_new)
        acts[count++] = message_act(message);
    if (code == 0)
        acts[count++] = (struct state_act){.kind = message ? STATE_RETAIN : STATE_RETAIN_END,
                                           .message = message ? message_number(message) : 0,
                                           .text = message ? message->data : topic.data,
                                           .text_bytes = (uint32_t)topic.bytes,
                                           .held = message ? message_ref(message) : NULL};
    state_publish_now(server->state, &worker->durable->batch, acts, count);
    state_unlock_retained(server->state);
    return code;
}

void durable_will(struct worker *worker, struct message *will)
{
    if (!worker->durable || !will || !will->is_stored)
        return;
    need_message(worker, will);
    note(worker, &(struct state_act){.kind = STATE_WILL, .message = message_number(will)});
}

void durable_will_end(struct worker *worker, const struct message *will)
{
    if (!worker->durable || !message_number(will))
        return;
    note(worker, &(struct state_act){.kind = STATE_WILL_END, .message = message_number(will)});
    worker->durable->is_urgent = true; // a DISCONNECT has no answer that waits
}

static void note_delivery(struct worker *worker, const struct session *session, struct message *message,
                          const struct delivery *delivery, enum state_stage stage)
{
    need_message(worker, message);
    note(worker,
         &(struct state_act){.kind = STATE_DELIVERY,
                             .session = session_number(session),
                             .delivery = delivery->number,
                             .message = message_number(message),
                             .qos = delivery->qos,
                             .retain = delivery->retain,
                             .stage = (uint8_t)stage,
                             .packet_id = delivery->packet_id,
                             .value = stage == STATE_SENT ? state_next_number(worker->server->state) : 0});
}

int64_t durable_deliver(struct worker *worker, const struct session *session, struct message *message,
                        uint8_t qos)
{
    if (message->qos < qos)
        qos = message->qos;
    if (!worker->durable || !session->is_stored || qos == 0)
        return 0;
    struct delivery delivery = {.number = state_next_number(worker->server->state), .qos = qos};
    note_delivery(worker, session, message, &delivery, STATE_QUEUED);
    return delivery.number;
}

void durable_sent(struct worker *worker, const struct session *session, struct delivery *delivery,
                  int64_t number)
{
    if (!worker->durable || !session->is_stored)
        return;
    gate_session(session);
    delivery->number = number ? number : state_next_number(worker->server->state);
    if (!number) {
        note_delivery(worker, session, delivery->message, delivery, STATE_SENT);
        return;
    }
    note(worker, &(struct state_act){.kind = STATE_DELIVERY_SENT,
                                     .session = session_number(session),
                                     .delivery = number,
                                     .packet_id = delivery->packet_id,
                                     .value = state_next_number(worker->server->state)});
}

void durable_queued(struct worker *worker, const struct session *session, struct delivery *delivery,
                    int64_t number)
{
    if (!worker->durable || !session->is_stored || delivery->qos == 0)
        return;
    delivery->number = number ? number : state_next_number(worker->server->state);
    if (!number)
        note_delivery(worker, session, delivery->message, delivery, STATE_QUEUED);
}

void durable_released(struct worker *worker, const struct session *session, const struct delivery *delivery)
{
    if (delivery->number)
        note(worker, &(struct state_act){.kind = STATE_DELIVERY_RELEASED,
                                         .session = session_number(session),
                                         .delivery = delivery->number});
}

void durable_delivered(struct worker *worker, const struct session *session, int64_t number)
{
    if (number)
        note(worker, &(struct state_act){
                         .kind = STATE_DELIVERY_END, .session = session_number(session), .delivery = number});
}
