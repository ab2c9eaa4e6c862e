// SPDX-License-Identifier: Apache-2.0
// One network connection: its socket, what of a packet has come so far, what could not be sent yet.
//
// It lies at the beginning of an object of the pool `connections` and belongs to one loop, whose thread alone
// touches it. It moves to another loop only before its CONNECT is answered (loop_hand_over). Nothing is freed
// under a caller's feet: connection_fail marks it dead, and the loop closes it when the events at hand are
// done.
//
// What came counts: bytes that the socket has received are handled before its end is, whoever notices that
// end first: epoll, a read, a failed write, or a new connection of the same client. So a write that fails
// does not end the connection, but breaks it (connection_break): from then on output is dropped and the rest
// of the input is read.
//
// Reading: an idle connection of a lazy shape has no buffer; the loop's scratch is read into, and only the
// beginning of a packet whose end has not come is kept, in a buffer of the pool. Writing: packets are
// gathered in a write buffer, sent when the events at hand are done, and what the socket does not take waits
// there. A PUBLISH larger than the buffer is sent from where the message lies.
#ifndef POOLMARK_BROKER_MQTT_CONNECTION_H
#define POOLMARK_BROKER_MQTT_CONNECTION_H

#include "broker/mqtt/message.h"
#include "broker/net/timer_wheel.h"
#include "wire/mqtt_publish.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct session;
struct input;  // connection_input.c
struct output; // connection_output.c

// First byte of whatever an epoll event points at.
enum loop_source { SOURCE_CONNECTION, SOURCE_LISTENER, SOURCE_REFUSAL, SOURCE_MAILBOX };

enum connection_state {
    CONNECTION_NEW,  // its CONNECT has not been answered
    CONNECTION_OPEN, // it has a session
    CONNECTION_DEAD, // will be closed by its loop; nothing is read or sent any more
};

struct connection {
    uint8_t source;          // SOURCE_CONNECTION
    uint8_t state : 2;       // enum connection_state
    uint8_t is_pending : 1;  // in the loop's list of what has to be sent or closed
    uint8_t is_blocked : 1;  // the socket takes no more: waits for EPOLLOUT
    uint8_t is_paused : 1;   // not read from until what it is owed has been sent
    uint8_t is_watched : 1;  // its descriptor is in the loop's epoll set
    uint8_t is_broken : 1;   // nothing can be sent any more; what has come is still read
    uint8_t is_deferred : 1; // goes on in the loop's next turn, and is not read from before
    uint8_t has_session : 1; // `session` below, else `arena`
    uint16_t keep_alive_s;   // 0: none
    int fd;
    struct timer_node timer; // owner_word: the tick of the last packet received
    struct loop *loop;
    union {
        void *arena; // eager: for the session to come
        struct session *session;
    };
    struct input *in;
    struct output *out;
    struct message *will;            // NULL: none, or not to be published
    struct connection *next_pending; // in the loop's list
};

// Takes `fd`. 0; -ENOBUFS: a pool refused; -ENOMEM: no memory, or the account refused. Then the descriptor is
// still the caller's.
int connection_open(struct loop *loop, int fd) __attribute__((warn_unused_result));

// The other half of loop_hand_over, on the new loop's thread: watched there, and its packets so far
// processed.
void connection_adopt(struct loop *loop, struct connection *connection);

// Marks it dead. The loop closes it soon. Fine to be called again.
void connection_fail(struct connection *connection);
// Counts it as a protocol error, with the reason: static text, said in the log.
void connection_fail_protocol(struct connection *connection, const char *reason);

// The socket takes nothing any more. Drops the output; the loop reads what has come, then closes. Fine to be
// called again.
void connection_break(struct connection *connection);

// Can anything still be sent?
static inline bool connection_can_send(const struct connection *connection)
{
    return connection->state != CONNECTION_DEAD && !connection->is_broken;
}

// Lets go of its session, first publishing the will if there is one: what a takeover does to the old
// connection.
void connection_detach(struct connection *connection);

// Closes and frees. The loop's only.
void connection_close(struct connection *connection);

void connection_on_turn(struct connection *connection); // a deferred one goes on
void connection_on_event(struct connection *connection, uint32_t epoll_events);
void connection_on_timer(struct connection *connection);
void connection_start_keep_alive(struct connection *connection, uint16_t keep_alive_s);
void connection_watch(struct connection *connection); // tells epoll what it waits for

// connection_input.c
bool input_prepare(struct connection *connection)
    __attribute__((warn_unused_result));          // eager: the read buffer
void input_read(struct connection *connection);   // once
void input_resume(struct connection *connection); // processes what is buffered

// Processes what is buffered and everything that the socket has received. The connection is broken or is to
// be taken over: it is dead afterwards, or belongs to another loop. Not within a handler.
void input_drain(struct connection *connection);

// The same within a handler of another connection, whose packet may lie in the loop's scratch. Without memory
// for a buffer nothing is read.
void input_drain_within(struct connection *connection);
void input_free(struct connection *connection);

// connection_output.c. Of a broken connection all of these drop what they are given, and there is always
// room.
bool output_prepare(struct connection *connection)
    __attribute__((warn_unused_result)); // eager: the write buffer
void output_free(struct connection *connection);

// Can a small packet of `bytes` be appended? Sends what is there to make room. A handler asks before it acts.
bool output_has_room(struct connection *connection, size_t bytes);

// Appends a small packet for which there is room. A failure kills the connection.
void output_append(struct connection *connection, const void *packet, size_t bytes);

// How one copy of a message goes out.
struct publish_form {
    uint8_t qos;
    bool dup, retain;
    bool is_packet;     // the payload is a whole packet, and no PUBLISH
    uint16_t packet_id; // 0 at QoS 0
};

// Appends a PUBLISH, or begins to send it. false: the socket takes no more now, and nothing of it was taken.
bool output_publish(struct connection *connection, struct message *message, const struct publish_form *form);

void output_drop(struct connection *connection); // lets go of what waits

// Sends a packet of any size that is the payload of `message`. Nothing else may wait (output_is_empty).
void output_packet(struct connection *connection, struct message *message);

// Sends what there is. true: all of it is sent.
bool output_flush(struct connection *connection);

// Nothing waits to be sent?
bool output_is_empty(const struct connection *connection);

#endif
