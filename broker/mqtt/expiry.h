// SPDX-License-Identifier: Apache-2.0
// The end of kept sessions whose clients stay away (--persistent-client-expiration). At each tick a loop looks
// at a portion of the table of sessions, and ends those of its own that have expired. With more sessions than
// a portion holds, a session may outlive its time by the number of portions, in ticks.
#ifndef POOLMARK_BROKER_MQTT_EXPIRY_H
#define POOLMARK_BROKER_MQTT_EXPIRY_H

struct worker;

void expiry_on_tick(struct worker *worker);

#endif
