// SPDX-License-Identifier: Apache-2.0
// Refusing a client so that it learns why: its CONNECT is awaited, CONNACK "server unavailable" is sent, and
// the socket is closed once the client has closed it. (Closed earlier, the kernel could drop the CONNACK.)
// Such a client takes nothing from any pool: a slot of a few bytes, for a few seconds at most.
//
// One of these a loop, its thread only.
#ifndef POOLMARK_BROKER_MQTT_REFUSE_H
#define POOLMARK_BROKER_MQTT_REFUSE_H

#include "broker/net/loop.h"

#include <stdbool.h>
#include <stdint.h>

enum { REFUSAL_SLOTS = 512, REFUSAL_PATIENCE_S = 5 };

struct refusal {
    struct loop_watch watch; // fd -1: free
    uint32_t deadline_tick;
    bool is_answered;
};

struct refusals {
    struct loop *loop;
    struct refusal *slots; // made when the first client is refused
    int count;             // in use
};

void refusals_open(struct refusals *refusals, struct loop *loop);
void refusals_close(struct refusals *refusals); // before the loop is closed

// Takes `fd` over.
void refusals_add(struct refusals *refusals, int fd);

void refusals_on_watch(struct refusals *refusals, struct loop_watch *watch);
void refusals_on_tick(struct refusals *refusals); // ends those that took too long

#endif
