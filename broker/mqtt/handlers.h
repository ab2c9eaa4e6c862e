// SPDX-License-Identifier: Apache-2.0
// What the broker does with each packet of a client: one file a group of packets, handle_*.c. The frame is
// whole and of a type that a client may send at this point. On the thread of the connection's loop.
#ifndef POOLMARK_BROKER_MQTT_HANDLERS_H
#define POOLMARK_BROKER_MQTT_HANDLERS_H

#include "wire/mqtt.h"
#include "wire/mqtt_frame.h"

struct broker;
struct connection;

enum handled {
    HANDLED,          // also when the connection was killed for it
    HANDLE_LATER,     // nothing was done: there is no room for the answer until the client reads
    HANDLE_ELSEWHERE, // nothing was done: loop->hand_over_to has the session that this CONNECT is about
};

// Has a topic name or filter no more levels than --max-topic-levels?
bool topic_levels_fit(const struct broker *broker, struct mqtt_text topic);

enum handled handle_packet(struct connection *connection, const struct mqtt_frame *frame);

enum handled handle_connect(struct connection *connection, const struct mqtt_frame *frame);
enum handled handle_publish(struct connection *connection, const struct mqtt_frame *frame);
enum handled handle_pubrel(struct connection *connection,
                           const struct mqtt_frame *frame); // of a message to us
enum handled handle_puback(struct connection *connection,
                           const struct mqtt_frame *frame); // these three: of our own
enum handled handle_pubrec(struct connection *connection, const struct mqtt_frame *frame);
enum handled handle_pubcomp(struct connection *connection, const struct mqtt_frame *frame);
enum handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame);
enum handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame);

#endif
