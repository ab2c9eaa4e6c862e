// SPDX-License-Identifier: Apache-2.0
// The end of a connection: it detaches from its session, publishes the will, and frees its memory.
#ifndef POOLMARK_BROKER_MQTT_CONNECTION_END_H
#define POOLMARK_BROKER_MQTT_CONNECTION_END_H

#include "broker/mqtt/connection.h"

// Detaches a dead connection from its session and publishes the will, if there is one. A clean session ends.
void connection_detach(struct connection *connection);

// on_close of transport_rules: detaches, closes and frees.
void connection_on_close(struct transport *transport);

#endif
