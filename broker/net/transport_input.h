// SPDX-License-Identifier: Apache-2.0
// The read path of a transport. An idle lazy transport has no buffer. It reads into the scratch buffer of the
// loop, and keeps only the bytes that the owner did not use, in a buffer from the owner.
#ifndef POOLMARK_BROKER_NET_TRANSPORT_INPUT_H
#define POOLMARK_BROKER_NET_TRANSPORT_INPUT_H

#include "broker/net/turn.h"

bool transport_prepare_input(struct transport *transport)
    __attribute__((warn_unused_result)); // eager: the read buffer
void transport_free_input(struct transport *transport);

void transport_read(struct transport *transport); // once

// Shows the kept bytes to the owner. false: the transport belongs to another loop now and must not be touched.
bool transport_resume(struct transport *transport);

// Shows the owner the kept bytes and all bytes that the socket has received. For a transport that is broken
// or will be closed. Afterwards it is dead, deferred, or at another loop. Not within on_bytes.
void transport_drain(struct transport *transport);

// The same within on_bytes of another transport, whose bytes may lie in the loop's scratch buffer. It reads
// into a temporary buffer, or not at all without memory for one. It defers nothing. Dead afterwards.
void transport_drain_within(struct transport *transport);

// For the last turns of a loop: shows the owner what the socket has received by now. The transport stays open unless its client
// has ended the connection. A transport whose client takes no output breaks, so that its input is read all the same. true: it
// was paused until its output is sent, and a further turn goes on with it.
bool transport_read_rest(struct transport *transport);

// Has the socket received bytes that were not read yet?
bool transport_has_waiting_input(const struct transport *transport);

#endif
