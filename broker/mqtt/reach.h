// SPDX-License-Identifier: Apache-2.0
// The sessions that a message is to reach, each once, with the highest QoS of its subscriptions: filled in portions, and
// emptied in portions. It has parts by a hash of the session, each a table of its own that grows when it is full. So
// no addition takes long: among a million sessions a part has four thousand.
//
// Holds a reference to each session. On the thread of a loop.
//
//     struct reach *reach = reach_new(account);
//     reach_add(reach, session, 1);
//     while (reach_take(reach, &session, &qos)) ...deliver, then unref the session...
//     reach_free(reach);      // empty
#ifndef POOLMARK_BROKER_MQTT_REACH_H
#define POOLMARK_BROKER_MQTT_REACH_H

#include "broker/mqtt/account.h"
#include "broker/mqtt/session.h"

struct reach;

struct reach *reach_new(struct account *account); // NULL: no memory
void reach_free(struct reach *reach);             // NULL is allowed

// Adds the session, or raises its QoS. Under the lock of the topics. Not after the first reach_take. false: no memory, and
// it is not in the set.
bool reach_add(struct reach *reach, struct session *session, uint8_t qos) __attribute__((warn_unused_result));

// Takes one out, with its reference. false: none is left.
bool reach_take(struct reach *reach, struct session **session, uint8_t *qos);

#endif
