// SPDX-License-Identifier: Apache-2.0
// Messages to so many sessions that they are delivered in portions: the sessions that a message has not reached yet. One
// list for each loop. The first message goes on until it has reached all.
//
// A later message of the same topic joins the list behind it, so that messages of a topic reach everybody in their
// order [MQTT-4.6.0-6].
//
// A message that very many filters match is searched for in portions too (topics_search): its fan-out has a search, which
// comes before its sessions. A subscriber that comes meanwhile may get the message, and one that stays gets it once.
//
// On the thread of the worker's loop. A fan-out holds a reference to its message and to each session.
//
//     struct fan_out *fan = NULL;
//     if (fan_out_add(&fan, account, session, qos)) ...later... else ...deliver now...
//     fan_outs_push(&worker->fan_outs, fan, message);
//     while (fan_outs_next(&worker->fan_outs, &target)) ...deliver, then unref target.session and target.message...
//
//     fan_outs_push_search(&worker->fan_outs, topics, message);
//     while (fan_outs_search(&worker->fan_outs, most, deliver, worker, &lost, &work)) ...
#ifndef POOLMARK_BROKER_MQTT_FAN_OUT_H
#define POOLMARK_BROKER_MQTT_FAN_OUT_H

#include "broker/mqtt/account.h"
#include "broker/mqtt/message.h"
#include "broker/mqtt/session.h"

struct fan_out;

struct fan_outs {
    struct account *account;
    struct fan_out *first, *last;
};

struct fan_target {
    struct session *session;
    struct message *message;
    uint8_t qos; // of the subscription
};

// Adds a session to `*fan`, which it makes when it is NULL. Under the lock of the topics. false: no memory.
bool fan_out_add(struct fan_out **fan, struct account *account, struct session *session, uint8_t qos)
    __attribute__((warn_unused_result));
void fan_outs_push(struct fan_outs *fans, struct fan_out *fan,
                   struct message *message); // NULL for `fan`: nothing

// false: no memory, and nothing is in the list.
bool fan_outs_push_search(struct fan_outs *fans, struct topics *topics, struct message *message)
    __attribute__((warn_unused_result));

// Goes on with the search of the first message for about `most` units of work, which it adds to `*work`. false: it has none, or
// none is left. Without memory for a session it calls `deliver` at once, maybe once for each of its filters, as the
// protocol allows [MQTT-3.3.5-1]; without memory to go on, the search ends early and adds one to `*lost`.
typedef void fan_deliver(void *context, struct session *session, struct message *message, uint8_t qos);
bool fan_outs_search(struct fan_outs *fans, uint32_t most, fan_deliver *deliver, void *context, int64_t *lost,
                     uint32_t *work);

// Takes the next session out of the list. The caller gets a reference to it and one to the message. false: none is left.
// A search that was not finished is dropped.
bool fan_outs_next(struct fan_outs *fans, struct fan_target *target);

// Is a message of this topic in the list? Adds its work to `work` (turn.h).
bool fan_outs_has(const struct fan_outs *fans, struct mqtt_text topic, uint32_t *work);

#endif
