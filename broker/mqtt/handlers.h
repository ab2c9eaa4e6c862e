// SPDX-License-Identifier: Apache-2.0
// What the broker does with each packet of a client: one file a group of packets, handle_*.c. The frame is
// whole and of a type that a client may send at this point. On the thread of the connection's loop.
//
// A handler answers by appending to the connection's output. Whatever else is to become of the connection it
// returns; its caller (packets.c) does it.
#ifndef POOLMARK_BROKER_MQTT_HANDLERS_H
#define POOLMARK_BROKER_MQTT_HANDLERS_H

#include "broker/mqtt/connection.h"
#include "wire/mqtt_frame.h"

enum handled_next {
    HANDLED,          // the packet is done with
    HANDLE_PAUSE,     // nothing was done: there is no room for the answer until the client reads
    HANDLE_HAND_OVER, // nothing was done: the worker `to` has the session that this CONNECT is about
    HANDLE_TAKE_OVER, // nothing was done: `other` has the session, and is to be ended before this CONNECT
    HANDLE_CLOSE,     // what was answered is sent, and the connection closed
};

struct handled {
    enum handled_next next;
    union {
        const char *reason; // HANDLE_CLOSE because of what the client sent: static text; NULL: not for that
        const struct worker *to;
        struct connection *other;
    };
};

static inline struct handled handled(enum handled_next next)
{
    return (struct handled){.next = next, .reason = NULL};
}

static inline struct handled handled_close(const char *reason)
{
    return (struct handled){HANDLE_CLOSE, {.reason = reason}};
}

struct handled handle_connect(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_publish(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_pubrel(struct connection *connection,
                             const struct mqtt_frame *frame); // of a message to us
struct handled handle_puback(struct connection *connection,
                             const struct mqtt_frame *frame); // these three: of our own
struct handled handle_pubrec(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_pubcomp(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame);

#endif
