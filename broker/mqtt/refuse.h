// SPDX-License-Identifier: Apache-2.0
// Refuses a client with a reason. The broker waits for its CONNECT, sends CONNACK "server unavailable", and
// closes the socket after the client has closed it. (After an earlier close the kernel could drop the
// CONNACK.) Such a client takes nothing from any pool. It takes a slot of a few bytes, for a few seconds at
// most.
//
// Each loop has one struct refusals; only its thread touches it.
#ifndef POOLMARK_BROKER_MQTT_REFUSE_H
#define POOLMARK_BROKER_MQTT_REFUSE_H

#include "broker/net/loop.h"

#include <stdbool.h>
#include <stdint.h>

enum { REFUSAL_SLOTS = 512, REFUSAL_PATIENCE_S = 5, REFUSAL_SHORT_TICKS = 2 };

struct refusal {
    struct loop_watch watch; // fd -1: free
    uint32_t deadline_tick;
    bool is_answered;
};

struct refusals {
    struct loop *loop;
    struct refusal *slots; // allocated when the first client is refused
    int count;             // in use
};

void refusals_open(struct refusals *refusals, struct loop *loop);
void refusals_close(struct refusals *refusals); // before the loop is closed

// Takes over `fd`.
void refusals_add(struct refusals *refusals, int fd);

void refusals_on_watch(struct refusals *refusals, struct loop_watch *watch);

// Closes sockets that are past REFUSAL_PATIENCE_S. `is_short`: the reserve of descriptors is used up, so that
// those past REFUSAL_SHORT_TICKS have to go too. So silent clients cannot hold the reserve.
void refusals_on_tick(struct refusals *refusals, bool is_short);

#endif
