// SPDX-License-Identifier: Apache-2.0
// The write path of a transport. Packets are gathered in a write buffer and sent at the end of the turn.
// Bytes that the socket does not take wait in the buffer. A lazy transport has a buffer only while bytes
// wait.
//
// A source is an object of the owner whose bytes are sent in place, without a copy. It serves packets that
// are larger than the buffer. The transport holds a reference until the socket has taken all bytes.
//
// A failed write does not kill the transport, it breaks it. A broken transport drops all output and always
// has room. Bytes that its socket has received are still read.
//
//     if (!transport_has_room(transport, bytes)) ...later...
//     transport_append(transport, packet, bytes);
#ifndef POOLMARK_BROKER_NET_TRANSPORT_OUTPUT_H
#define POOLMARK_BROKER_NET_TRANSPORT_OUTPUT_H

#include "broker/net/turn.h"

// Can anything still be sent?
static inline bool transport_can_send(const struct transport *transport)
{
    return !transport->is_dead && !transport->is_broken;
}

bool transport_prepare_output(struct transport *transport)
    __attribute__((warn_unused_result)); // eager: the write buffer
void transport_free_output(struct transport *transport);

void transport_watch(struct transport *transport); // tells epoll which events it waits for

// Breaks the transport: drops its output. The loop reads the received bytes, then closes it. Repeated calls
// are allowed.
void transport_break(struct transport *transport);

// Would gathering only cost a buffer? So when nothing else of this turn can share the write, and the transport has no
// buffer: its owner sends the packet as a source. But not to so many that others wait.
static inline bool transport_sends_alone(const struct transport *transport)
{
    const struct turn *turn = transport->turn;
    return turn->is_last && !transport->out && !transport->is_pending && !transport->is_blocked &&
           turn->work < TURN_ALONE;
}

// Can `bytes` be appended? Sends waiting output to make room.
bool transport_has_room(struct transport *transport, size_t bytes);

// Appends bytes for which there is room. A failure breaks the transport.
void transport_append(struct transport *transport, const void *data, size_t bytes);

// Returns space for `bytes` in the write buffer, with `spare` free bytes behind it. The caller writes there
// and calls transport_commit with the bytes written. NULL: there is no such space now.
uint8_t *transport_reserve(struct transport *transport, size_t bytes, size_t spare);
void transport_commit(struct transport *transport, size_t bytes);

// Sends a source, after all waiting output. false: the socket took none of its bytes, and the transport does
// not hold it. With `is_owed` the transport holds the source in that case too, and returns true.
bool transport_send_source(struct transport *transport, void *source, uint64_t form, bool is_owed);

bool transport_flush(struct transport *transport);          // sends waiting output. true: all of it is sent
bool transport_is_empty(const struct transport *transport); // does nothing wait to be sent?

#endif
