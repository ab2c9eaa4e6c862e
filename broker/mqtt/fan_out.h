// SPDX-License-Identifier: Apache-2.0
// Messages to so many sessions that they are delivered in portions: the sessions that a message has not reached yet. One
// list for each loop. The first message goes on until it has reached all.
//
// A later message of the same topic joins the list behind it, so that messages of a topic reach everybody in their
// order [MQTT-4.6.0-6].
//
// On the thread of the worker's loop. A fan-out holds a reference to its message and to each session.
//
//     struct fan_out *fan = NULL;
//     if (fan_out_add(&fan, account, session, qos)) ...later... else ...deliver now...
//     fan_outs_push(&worker->fan_outs, fan, message);
//     while (fan_outs_next(&worker->fan_outs, &target)) ...deliver, then unref target.session and target.message...
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

// Takes the next session out of the list. The caller gets a reference to it and one to the message. false: none is left.
bool fan_outs_next(struct fan_outs *fans, struct fan_target *target);

// Is a message of this topic in the list? Adds its work to `work` (turn.h).
bool fan_outs_has(const struct fan_outs *fans, struct mqtt_text topic, uint32_t *work);

#endif
