// SPDX-License-Identifier: Apache-2.0
// The gate of a loop with a state file: no acknowledgement is sent before what it acknowledges is in the file.
//
// Words (broker/state/state.h). An act is one change for the state file, such as "session 7 gets message 9". A handler
// notes the acts of its packet in the loop's batch (durable.h). Publishing a batch appends its acts to the list that
// all loops share. A commit writes all of that list to the file in one transaction; then these acts are durable.
//
// Before each write a transport asks durable_may_send:
//   - A packet is being handled: not yet. Its acts are not all in the batch.
//   - The output depends on acts (CONNECTION_GATED): the batch is published and committed, then it is sent. The first
//     such write of a turn does this for all connections of the loop.
//   - Other output is sent at once, also while the file cannot be written.
//
// A message for a session of another loop is posted only when the batch is published. The other loop notes acts about it
// (that it was delivered, say), and in the list these have to stand behind the act that made the message.
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
