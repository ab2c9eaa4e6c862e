// SPDX-License-Identifier: Apache-2.0
// The hot pool with MQTT clients in it, for the scenarios with a broker.
#ifndef POOLMARK_BENCH_HOT_MQTT_POOL_H
#define POOLMARK_BENCH_HOT_MQTT_POOL_H

#include "bench/hot/mqtt_client.h"
#include "pools/hot/hot.h"

// The defaults, with `connections` as the bound of all and of idle ones, and host_max.
struct hot_config mqtt_pool_config(int connections, int host_max);
static inline struct mqtt_client *mqtt_pool_client(const struct hot_connection *connection)
{
    return hot_resource_of(connection);
}

#endif
