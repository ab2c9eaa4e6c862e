// SPDX-License-Identifier: Apache-2.0
// Refusing a connection so that the client learns why: its CONNECT is awaited, CONNACK "server unavailable"
// is sent, and the socket closed once the client has closed it (closing it earlier could make its kernel drop
// the CONNACK). Such a connection takes nothing from any pool: a slot of a few bytes, for a few seconds at
// most.
//
// When descriptors run out, a few that were kept in reserve let clients in one after the other to be refused;
// when those are in use too, nobody is let in for a moment, so that the loop does not spin. One per loop, its
// thread only.
#ifndef POOLMARK_BROKER_MQTT_REFUSE_H
#define POOLMARK_BROKER_MQTT_REFUSE_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

enum { REFUSAL_SLOTS = 512, REFUSAL_RESERVE = 8, REFUSAL_PATIENCE_S = 5 };

struct refusal {
    uint8_t source; // SOURCE_REFUSAL
    bool is_answered;
    int fd; // -1: free
    uint32_t deadline_tick;
};

struct refusals {
    struct refusal *slots; // made when the first client is refused
    int count;             // in use
    int reserve[REFUSAL_RESERVE];
    int reserve_count;
    int spare_from; // a descriptor to copy for the reserve
};

// Puts the reserve aside; `any_fd` is one that stays open. 0 or -errno.
int refusals_open(struct refusals *refusals, int any_fd) __attribute__((warn_unused_result));
void refusals_close(struct refusals *refusals);

// Takes `fd` over.
void refusals_add(struct loop *loop, int fd);

// Accepts one client with a descriptor of the reserve. -EMFILE: there is none left; or another -errno of
// accept.
int refusals_accept(struct loop *loop, int listening_fd) __attribute__((warn_unused_result));

void refusals_on_event(struct loop *loop, struct refusal *refusal);
void refusals_on_tick(struct loop *loop); // ends those that took too long, fills the reserve again

#endif
