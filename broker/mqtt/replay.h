// SPDX-License-Identifier: Apache-2.0
// Retained messages for the new subscriptions of a client [MQTT-3.3.1-6]. They are sent in portions: as the
// socket takes them, and within the loop's budget of a turn.
//
// A replay serves one filter. The replays of a session are in the order of its filters. Like its queue, they
// survive its connection. A replay keeps nothing but the place in the tree where it goes on. So a message that is
// retained in the meantime may come twice: the client was subscribed and got it.
//
// On the thread of the session's loop.
#ifndef POOLMARK_BROKER_MQTT_REPLAY_H
#define POOLMARK_BROKER_MQTT_REPLAY_H

#include "wire/mqtt.h"

#include <stdint.h>

struct account;
struct message;
struct replay;
struct retained;

// The replays of one session. Zero is the empty list.
struct replays {
    struct replay *first, *last;
};

// Counts its memory in `account`. 0, or -ENOMEM with nothing changed.
int replays_add(struct replays *replays, struct account *account, struct mqtt_text filter, uint8_t qos)
    __attribute__((warn_unused_result));

// Returns the next message, with a reference for the caller, and the QoS of its subscription. NULL: there was none in
// the next few places; none at all is left when `first` is NULL. Adds its work to `*work` (turn.h), and replays that end
// early for lack of memory to `*lost`.
struct message *replays_next(struct replays *replays, struct account *account, struct retained *retained,
                             uint8_t *qos, uint32_t *work, int64_t *lost);

void replays_drop_first(struct replays *replays, struct account *account); // there must be one

#endif
