// SPDX-License-Identifier: Apache-2.0
// The retained messages that a client is to get for its new subscriptions [MQTT-3.3.1-6]. They are sent in
// portions: as its socket takes them, and no more in a turn than the loop's budget allows.
//
// A replay is one filter. The replays of a session are in the order of its filters, and survive its
// connection as its queue does. A replay collects references to the matching messages when it becomes the
// first. A message that was replaced or removed meanwhile is left out: the client was subscribed, and has the
// new one.
//
// The thread of the session's loop.
#ifndef POOLMARK_BROKER_MQTT_REPLAY_H
#define POOLMARK_BROKER_MQTT_REPLAY_H

#include "wire/mqtt.h"

#include <stdint.h>

struct account;
struct message;
struct replay;
struct retained;

// Of one session; zeroed to begin with.
struct replays {
    struct replay *first, *last;
};

// Memory is taken from `account`. 0, or -ENOMEM with nothing changed.
int replays_add(struct replays *replays, struct account *account, struct mqtt_text filter, uint8_t qos)
    __attribute__((warn_unused_result));

// The next message with a reference that is the caller's, and the QoS of its subscription; NULL when nothing
// is left. `work` is raised by what was looked at, `lost` by the messages that there was no memory to
// remember.
struct message *replays_next(struct replays *replays, struct account *account, struct retained *retained,
                             uint8_t *qos, uint32_t *work, int64_t *lost);

void replays_clear(struct replays *replays, struct account *account);

#endif
