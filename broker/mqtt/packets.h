// SPDX-License-Identifier: Apache-2.0
// Splits received bytes into packets and calls their handlers. A loop calls these functions for the
// transports of connections. The packets of one connection are handled in order. A turn handles as many
// packets as its budget allows, and at least one of each connection that sent any.
#ifndef POOLMARK_BROKER_MQTT_PACKETS_H
#define POOLMARK_BROKER_MQTT_PACKETS_H

#include "broker/net/turn.h"

// Sets all functions of transport_rules but those for buffers. Leaves the sizes unchanged.
void packets_set_rules(struct transport_rules *rules);

#endif
