// SPDX-License-Identifier: Apache-2.0
// From bytes to packets to handlers: what a loop calls for the transports of connections. The packets of one
// connection are handled in their order. A turn handles as many as its budget allows, and at least one of
// each connection that sent any.
#ifndef POOLMARK_BROKER_MQTT_PACKETS_H
#define POOLMARK_BROKER_MQTT_PACKETS_H

#include "broker/net/turn.h"

// Sets the functions of transport_rules that the life of a connection needs; buffers and sizes are left
// alone.
void packets_set_rules(struct transport_rules *rules);

#endif
