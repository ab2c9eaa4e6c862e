// SPDX-License-Identifier: Apache-2.0
// The life of a transport (turn.h): opened by its owner with a socket, driven by its loop, closed by its
// owner when the loop calls on_close.
//
// What came counts: bytes that the socket has received are shown to the owner before the end of the socket is
// heeded, whoever notices that end first: epoll, a read, or a write that fails.
#ifndef POOLMARK_BROKER_NET_TRANSPORT_H
#define POOLMARK_BROKER_NET_TRANSPORT_H

#include "broker/net/transport_input.h"
#include "broker/net/transport_output.h"

// `transport` is zero. Takes `fd`, and buffers in an eager kind. The caller sets a timer, so that the loop
// finds the transport when it ends. -ENOBUFS: the descriptor is still the caller's, and transport_close is
// not to be called.
int transport_open(struct transport *transport, struct turn *turn, int fd)
    __attribute__((warn_unused_result));
void transport_close(struct transport *transport); // the socket, buffers and timer; within on_close only

// Calls on_timer when the tick is reached; TIMER_NEVER: never. A transport has exactly one timer.
void transport_set_timer(struct transport *transport, uint32_t deadline_tick);

// For on_settle, when the transport's owner has nothing more to send: reads on if it was paused for that.
void transport_unpause(struct transport *transport);

// For the loop.
void transport_on_event(struct transport *transport, uint32_t epoll_events);
void transport_on_turn(struct transport *transport);                   // it was deferred
void transport_settle(struct transport *transport);                    // end of the turn
void transport_arrive(struct transport *transport, struct turn *turn); // it has moved here

#endif
