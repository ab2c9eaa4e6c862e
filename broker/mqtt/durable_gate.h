// SPDX-License-Identifier: Apache-2.0
// The gate of a loop with a state file (durable.h): nothing leaves before the acts that it depends on are durable.
//
// Before each write a transport asks durable_may_send. If its output depends on acts (CONNECTION_GATED), this publishes
// the loop's batch and commits. The first such write of a turn does so for all of them. Other output leaves at once, also
// while nothing can be written. While a packet is handled its acts are not complete, so nothing is
// sent until the turn ends. Mail for other loops waits until the batch is published: their acts follow ours.
//
// On the thread of the worker's loop.
#ifndef POOLMARK_BROKER_MQTT_DURABLE_GATE_H
#define POOLMARK_BROKER_MQTT_DURABLE_GATE_H

#include "broker/mqtt/durable.h"

// Mail for a session of another loop, of kind MAIL_MESSAGE: `value` has the QoS and the delivery's number, which is
// at most STATE_NUMBER_MAX at the start, and would take centuries to pass MAIL_VALUE_MAX.
enum {
    MAIL_MESSAGE = 1,
    DELIVERY_MAIL_MOST = 1 << 18
}; // with so much mail waiting in a list of the mailbox, further messages for it are dropped

static inline uint64_t durable_mail_value(int64_t number, uint8_t qos)
{
    return (uint64_t)number << 2 | qos;
}

static inline int64_t durable_mail_number(const struct mail *mail)
{
    return (int64_t)(mail->value >> 2);
}

static inline uint8_t durable_mail_qos(const struct mail *mail)
{
    return (uint8_t)(mail->value & 3);
}

// Posts a message to the loop of worker `to`. 0, or -errno of turn_post. With a state file it may still be dropped
// later, and is then counted.
int durable_post(struct worker *worker, uint16_t to, const struct mail *mail)
    __attribute__((warn_unused_result));

enum transport_leave durable_may_send(struct transport *transport); // may_send of transport_rules
void durable_on_turn_end(void *owner);                              // on_turn_end of loop_callbacks
void durable_on_tick(struct worker *worker);                        // commits what nobody waits for
void durable_publish(struct worker *worker); // publishes the batch, and posts the mail that waits for it

#endif
