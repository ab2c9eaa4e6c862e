// SPDX-License-Identifier: Apache-2.0
// The way of a message from its publisher to every session that wants it.
//
// delivery_route finds the sessions in the topics. A session of this loop gets the message at once; for the
// others the message goes by reference to their loop's mailbox. A session queues the message when its client
// is away, when the socket takes no more, or when its window of unacknowledged messages is full. All on the
// thread of the worker's loop.
#ifndef POOLMARK_BROKER_MQTT_DELIVERY_H
#define POOLMARK_BROKER_MQTT_DELIVERY_H

#include "broker/mqtt/message.h"

#include <stdbool.h>

struct mail;
struct session;
struct worker;

// Keeps it when it is to be retained, and gives it to everybody who subscribed. To $SYS nobody may publish
// (section 4.7.2): such a message is counted, and is done with. -ENOMEM: nobody got it.
int delivery_route(struct worker *worker, struct message *message) __attribute__((warn_unused_result));

// One copy for one session of this loop, at the lower of the two QoS. Takes its own reference when it keeps
// it. `retain`: it is sent because of a new subscription [MQTT-3.3.1-8].
void delivery_to_session(struct worker *worker, struct session *session, struct message *message, uint8_t qos,
                         bool retain);

// Sends what waits in the session, as far as socket, window and the loop's budget allow: first what was in
// flight, then the queue, then the retained messages that it is owed.
void delivery_pump(struct worker *worker, struct session *session);

// Does the session owe its client something that delivery_pump would send?
bool delivery_has_more(const struct session *session);

// Mail from other loops: a message for a session of this one. As loop_callbacks say.
enum { MAIL_MESSAGE = 1 };
void delivery_on_mail(void *owner, const struct mail *mail);
void delivery_on_mail_dropped(void *owner, const struct mail *mail);

#endif
