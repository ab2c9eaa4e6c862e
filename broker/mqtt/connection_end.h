// SPDX-License-Identifier: Apache-2.0
// The end of a connection: its session is left, its will is published, its memory goes back.
#ifndef POOLMARK_BROKER_MQTT_CONNECTION_END_H
#define POOLMARK_BROKER_MQTT_CONNECTION_END_H

#include "broker/mqtt/connection.h"

// Leaves the session and publishes the will, if there is one. A session that is clean ends. The connection is
// dead.
void connection_detach(struct connection *connection);

// Detaches, closes and frees: on_close of transport_rules.
void connection_on_close(struct transport *transport);

#endif
