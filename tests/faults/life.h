// SPDX-License-Identifier: Apache-2.0
// What clients do at a broker, from the first connect until all have left: a subscriber, a client with a kept session that is away and
// comes back, a publisher at each QoS with a will, a client that takes its id over, a late subscriber of a retained message, a
// client that sends no MQTT. An act that the broker refuses or ends is tried again.
//
// Afterwards, of what the broker acknowledged: every message was seen by all who had subscribed, or is among those that
// the broker counts as dropped; none of QoS 2 came twice; the kept session was there; the will was published.
#ifndef POOLMARK_TESTS_FAULTS_LIFE_H
#define POOLMARK_TESTS_FAULTS_LIFE_H

#include "tests/faults/party.h"

// The messages that the broker has dropped so far; negative when it cannot tell.
typedef int64_t life_dropped(void *context);

enum { LIFE_WRONG_BYTES = 300 };

// True when all went as it may. Else `wrong` says what did not.
bool life_play(uint16_t port, life_dropped *dropped, void *context, char wrong[static LIFE_WRONG_BYTES]);

// A client that comes later is served at its first try, whatever failed before.
bool life_of_later(uint16_t port, char wrong[static LIFE_WRONG_BYTES]);

#endif
