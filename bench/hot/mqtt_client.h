// SPDX-License-Identifier: Apache-2.0
// A blocking client with one connection: the resource of the hot pool in scenarios with a broker. One thread
// at a time uses a client.
#ifndef POOLMARK_BENCH_HOT_MQTT_CLIENT_H
#define POOLMARK_BENCH_HOT_MQTT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

struct mqtt_client;

// Connects to "IPV4:PORT", from CONNECT to CONNACK, by until_ns of CLOCK_MONOTONIC. 0 or -errno.
// -ECONNREFUSED also when the broker refuses. -EINVAL: no such address.
int mqtt_client_open(struct mqtt_client **client, const char *address, int64_t until_ns)
    __attribute__((warn_unused_result));
// Publishes 64 bytes at QoS 1; returns when PUBACK has come. 0 or -errno; -EPROTO: another packet came.
int mqtt_client_publish(struct mqtt_client *client) __attribute__((warn_unused_result));
bool mqtt_client_is_open(const struct mqtt_client *client); // checks the socket; sends nothing
void mqtt_client_close(struct mqtt_client *client);         // DISCONNECT
// Frees the client and returns its socket, which stays connected and blocks for 10 s at most.
int mqtt_client_release(struct mqtt_client *client) __attribute__((warn_unused_result));

#endif
