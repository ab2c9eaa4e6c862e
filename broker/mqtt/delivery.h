// SPDX-License-Identifier: Apache-2.0
// Delivery of a message from its publisher to every subscribed session. On the thread of the worker's loop.
//
// delivery_route finds the sessions in the topics. A session of this loop gets the message at once. For other
// sessions a reference to the message goes to their loop's mailbox. A session queues the message when its
// client is disconnected, when the socket takes no more, or when its window of unacknowledged messages is
// full.
#ifndef POOLMARK_BROKER_MQTT_DELIVERY_H
#define POOLMARK_BROKER_MQTT_DELIVERY_H

#include "broker/mqtt/connection.h"

#include <stdbool.h>

// Retains the message if it says so, and delivers it to all subscribers. A message to $SYS is only counted,
// because clients must not publish there (section 4.7.2). 0; 1: some sessions get it later (fan_out.h); -ENOMEM, or
// -ENOSPC for a retained message past its bounds: nobody got it.
int delivery_route(struct worker *worker, struct message *message) __attribute__((warn_unused_result));

// Delivers one copy to a session of this loop, at the lower of the two QoS. The session takes a reference
// when it keeps the message. `retain`: sent because of a new subscription [MQTT-3.3.1-8].
void delivery_to_session(struct worker *worker, struct session *session, struct message *message, uint8_t qos,
                         bool retain);

// Sends the waiting messages of the session, as far as socket, window and the loop's budget allow: first
// those in flight before a reconnect, then the queue, then retained messages for new subscriptions.
void delivery_pump(struct worker *worker, struct session *session);

// Does the session have messages that delivery_pump would send?
bool delivery_has_more(const struct session *session);

// A message to very many sessions reaches the rest of them in portions. delivery_fan_out goes on until the part of the
// turn is over; true: more is left. delivery_fan_out_dropped drops them, at the end of the server.
bool delivery_fan_out(struct worker *worker);
void delivery_fan_out_dropped(struct worker *worker);

// Does a PUBLISH of this topic wait until messages before it have reached their sessions? Then its connection is deferred.
bool delivery_waits_for_others(struct worker *worker, struct transport *publisher, struct mqtt_text topic);
static inline bool delivery_waits(struct worker *worker, struct transport *publisher, struct mqtt_text topic)
{
    bool may_wait = worker->fan_outs.first || publisher->source & CONNECTION_FANS_OUT;
    return may_wait && delivery_waits_for_others(worker, publisher, topic);
}

// on_mail and on_mail_dropped of loop_callbacks, for mail from other loops: a message for a session of this
// loop.
void delivery_on_mail(void *owner, const struct mail *mail);
void delivery_on_mail_dropped(void *owner, const struct mail *mail);

#endif
