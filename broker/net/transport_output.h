// SPDX-License-Identifier: Apache-2.0
// The write path of a transport. Packets are gathered in a write buffer and sent when the events at hand are
// done. What the socket does not take waits in the buffer. A lazy transport has a buffer only meanwhile.
//
// A source is an object of the owner whose bytes are sent from where they lie, without a copy. It is for what
// is larger than a buffer. The transport holds a reference until the socket has taken all of it.
//
// A write that fails does not end the transport, but breaks it: from then on output is dropped, and the bytes
// that its socket has received are still read. Of a broken transport all functions drop what they are given,
// and there is always room.
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

void transport_watch(struct transport *transport); // tells epoll what it waits for

// The socket takes nothing any more. Drops the output; the loop reads what has come, then closes. May be
// called again.
void transport_break(struct transport *transport);

// Can `bytes` be appended? Sends what is there to make room.
bool transport_has_room(struct transport *transport, size_t bytes);

// Appends bytes for which there is room. A failure breaks the transport.
void transport_append(struct transport *transport, const void *data, size_t bytes);

// A place for `bytes` in the write buffer, with `spare` more behind it; transport_commit then says how many
// were written. NULL: there is no such place now.
uint8_t *transport_reserve(struct transport *transport, size_t bytes, size_t spare);
void transport_commit(struct transport *transport, size_t bytes);

// Sends a source. What waits is sent first. false: the socket takes no more now, and took nothing of it. With
// `is_owed` the transport holds the source then as well, and gives true.
bool transport_send_source(struct transport *transport, void *source, uint64_t form, bool is_owed);

bool transport_flush(struct transport *transport);          // sends what there is. true: all of it is sent
bool transport_is_empty(const struct transport *transport); // does nothing wait to be sent?

#endif
