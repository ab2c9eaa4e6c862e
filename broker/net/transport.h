// SPDX-License-Identifier: Apache-2.0
// The life of a transport (turn.h). Its owner opens it with a socket, its loop drives it, and its owner
// closes it when the loop calls on_close.
//
// Before a transport ends, its owner sees all bytes that the socket has received. This holds whether epoll, a
// read or a failing write notices the end first.
#ifndef POOLMARK_BROKER_NET_TRANSPORT_H
#define POOLMARK_BROKER_NET_TRANSPORT_H

#include "broker/net/transport_input.h"
#include "broker/net/transport_output.h"

// Opens a zeroed `transport`, which takes over `fd`. With eager rules it takes its buffers now. The caller
// must set a timer next, because loop_drop_all finds transports by their timers. 0, or -ENOBUFS: the caller
// still owns `fd` and must not call transport_close.
int transport_open(struct transport *transport, struct turn *turn, int fd)
    __attribute__((warn_unused_result));
void transport_close(struct transport *transport); // the socket, buffers and timer; within on_close only

// Sets the one timer of a transport. on_timer is called when the tick is reached; TIMER_NEVER: never.
void transport_set_timer(struct transport *transport, uint32_t deadline_tick);

// Resumes reading if the transport is paused. For on_settle, when the owner has nothing more to send.
void transport_unpause(struct transport *transport);

// For the loop.
bool transport_waits(const struct transport *transport,
                     uint32_t epoll_events); // nothing is done for these now
void transport_on_event(struct transport *transport, uint32_t epoll_events);
void transport_on_turn(struct transport *transport); // goes on with a deferred one
void transport_settle(struct transport *transport);  // end of the turn
// Settles or closes pending transports, those of this turn first. Transports that become pending meanwhile join them.
void transport_settle_pending(struct turn *turn);
void transport_arrive(struct transport *transport, struct turn *turn); // it has moved to this loop

#endif
