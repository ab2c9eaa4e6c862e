// SPDX-License-Identifier: Apache-2.0
// The read path of a transport. An idle transport of a lazy kind has no buffer: the loop's scratch is read
// into, and only what the owner did not use is kept, in a buffer of the owner's.
#ifndef POOLMARK_BROKER_NET_TRANSPORT_INPUT_H
#define POOLMARK_BROKER_NET_TRANSPORT_INPUT_H

#include "broker/net/turn.h"

bool transport_prepare_input(struct transport *transport)
    __attribute__((warn_unused_result)); // eager: the read buffer
void transport_free_input(struct transport *transport);

void transport_read(struct transport *transport);   // once
void transport_resume(struct transport *transport); // shows what is kept to the owner

// Shows what is kept and everything that the socket has received. The transport is broken or is to be closed:
// it is dead afterwards, belongs to another loop, or is deferred. Not within on_bytes.
void transport_drain(struct transport *transport);

// The same within on_bytes of another transport, whose bytes may lie in the loop's scratch; nothing is
// deferred. Without memory for a buffer nothing is read. Dead afterwards.
void transport_drain_within(struct transport *transport);

// Has it received what has not been read yet?
bool transport_has_waiting_input(const struct transport *transport);

#endif
