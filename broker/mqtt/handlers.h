// SPDX-License-Identifier: Apache-2.0
// The handlers of a client's packets, in files handle_*.c, one file per group of packets. The frame is whole,
// and a client may send its type at this point. On the thread of the connection's loop.
//
// A handler answers by appending to the connection's output. It returns the next step for the connection; its
// caller (packets.c) takes that step.
#ifndef POOLMARK_BROKER_MQTT_HANDLERS_H
#define POOLMARK_BROKER_MQTT_HANDLERS_H

#include "broker/mqtt/connection.h"
#include "wire/mqtt_frame.h"

// A SUBSCRIBE or UNSUBSCRIBE with a larger body is handled in portions.
enum { HANDLERS_AT_ONCE_BYTES = 8192 };

enum handled_next {
    HANDLED,      // the packet is done
    HANDLE_LATER, // a part was done, and the connection is deferred: handle the packet again, for the next part
    HANDLE_PAUSE,     // nothing was done: there is no room for the answer until the client reads
    HANDLE_HAND_OVER, // nothing was done: worker `to` has this client's session; move the connection there
    HANDLE_TAKE_OVER, // nothing was done: `other` has the session; end it, and then handle this CONNECT again
    HANDLE_CLOSE,     // send the answer, then close the connection
};

struct handled {
    enum handled_next next;
    union {
        const char *reason; // HANDLE_CLOSE: static text of a protocol error; NULL: closed for another reason
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
// PUBREL is about a message from the client. PUBACK, PUBREC and PUBCOMP are about messages to the client.
struct handled handle_pubrel(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_puback(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_pubrec(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_pubcomp(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame);
struct handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame);

#endif
