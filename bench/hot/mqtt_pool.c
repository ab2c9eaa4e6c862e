// SPDX-License-Identifier: Apache-2.0
#include "bench/hot/mqtt_pool.h"

static int open_one(void *context, const char *host, int64_t until_ns, void **resource)
{
    struct mqtt_client *client = NULL;
    (void)context;
    int code = mqtt_client_open(&client, host, until_ns);
    *resource = client;
    return code;
}

static void close_one(void *context, void *resource)
{
    (void)context;
    mqtt_client_close(resource);
}

static bool is_healthy(void *context, void *resource)
{
    (void)context;
    return mqtt_client_is_open(resource);
}

struct hot_config mqtt_pool_config(int connections, int host_max)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    config.resource = (struct hot_resource){.open = open_one, .close = close_one, .healthy = is_healthy};
    config.total_max = config.idle_max = connections;
    config.host_max = host_max;
    return config;
}
