// SPDX-License-Identifier: Apache-2.0
// What the handlers note for the state file (--state, broker/state/state.h), so that everything acknowledged
// survives the broker. Without a state file nothing is noted: worker->durable is NULL.
//
// A loop notes its acts in a batch. durable_gate.h publishes it, and commits before anything is sent.
//
// Only kept sessions are in the file, with numbers (session_number). So are messages that they wait for, retained
// messages and wills.
//
// On the thread of the worker's loop.
#ifndef POOLMARK_BROKER_MQTT_DURABLE_H
#define POOLMARK_BROKER_MQTT_DURABLE_H

#include "broker/mqtt/server_state.h"
#include "broker/state/state.h"

struct delivery;
struct durable_mail; // durable_gate.c

struct durable {
    struct state_batch batch;
    struct transport *current; // whose packet is handled; NULL: none's
    uint64_t safe;             // acts up to here are known to be durable
    uint32_t depth;            // packets that are being handled, one in the other
    bool is_urgent;            // the turn ends with a commit, though nobody waits for it
    struct durable_mail *mail; // for other loops, until the batch is published
    size_t mail_count, mail_capacity;
};

int durable_open(struct worker *worker)
    __attribute__((warn_unused_result)); // with a state file. 0 or -ENOMEM
void durable_close(struct worker *worker);

// Around acts that are durable together or not at all. What `transport` is sent from then on waits for them, as what a
// session's connection is sent waits for acts about the session. NULL: nobody is answered.
static inline void durable_begin(const struct worker *worker, struct transport *transport)
{
    if (!worker->durable)
        return;
    worker->durable->depth++;
    worker->durable->current = transport;
}

static inline void durable_end(const struct worker *worker)
{
    if (!worker->durable)
        return;
    worker->durable->depth--;
    worker->durable->current = NULL;
}

// Is new work to be refused, because nothing can be written?
static inline bool durable_refuses(const struct worker *worker)
{
    return worker->durable && state_is_failing(worker->server->state);
}

// A message for clients, as message_new, which the file can have if it may outlive the broker.
struct message *durable_message(struct server *server, struct mqtt_text topic, struct mqtt_bytes payload,
                                uint8_t qos, bool retain) __attribute__((warn_unused_result));

// A new session, as session_new.
struct session *durable_session_new(struct worker *worker, void *arena, struct mqtt_text id, bool is_clean)
    __attribute__((warn_unused_result));
void durable_session(struct worker *worker, const struct session *session); // it is in the table
void durable_session_end(struct server *server, const struct session *session);
void durable_connected(struct worker *worker, const struct session *session); // again
void durable_away(struct worker *worker, const struct session *session);
// `owes`: retained messages are to be sent for it; durable_replayed: those for all filters were sent.
void durable_subscribe(struct worker *worker, const struct session *session, struct mqtt_text filter,
                       uint8_t qos, bool owes);
void durable_replayed(struct worker *worker, const struct session *session);
void durable_unsubscribe(struct worker *worker, const struct session *session, struct mqtt_text filter);
void durable_received(struct worker *worker, const struct session *session, uint16_t packet_id);
void durable_received_end(struct worker *worker, const struct session *session, uint16_t packet_id);

// retained_set of the server, with the order of the changes in the file.
int durable_retain(struct worker *worker, struct mqtt_text topic, struct message *message)
    __attribute__((warn_unused_result));

void durable_will(struct worker *worker, struct message *will); // NULL: none
void durable_will_end(struct worker *worker, const struct message *will);

// A message for a session of any loop: notes a queued delivery, and returns its number. 0: the file has none,
// because the session or the QoS needs none.
int64_t durable_deliver(struct worker *worker, const struct session *session, struct message *message,
                        uint8_t qos);

// `delivery` is in flight or in the queue of its session. `number` is that of durable_deliver; 0: noted now.
void durable_sent(struct worker *worker, const struct session *session, struct delivery *delivery,
                  int64_t number);
void durable_queued(struct worker *worker, const struct session *session, struct delivery *delivery,
                    int64_t number);
void durable_released(struct worker *worker, const struct session *session, const struct delivery *delivery);
void durable_delivered(struct worker *worker, const struct session *session, int64_t number); // or dropped

#endif
