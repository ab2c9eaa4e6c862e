// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct broker {
    const struct broker_config *config;
    struct pool_set *pool_set;
    struct pool_pressure *pressure; // NULL without --pressure
    struct server *server;
};

// The pools' constructor for an eager shape. It makes objects resident and zero before their first use, as in
// a server that initializes its state in advance. A strategy that keeps objects calls it once per object;
// malloc calls it in each get. A connection itself sets the fields that an earlier one has changed.
static int zero_object(void *context, void *object)
{
    const struct pool_config *config = context;
    memset(object, 0, config->object_bytes);
    return 0;
}

static int open_pools(struct broker *broker, pool_listener *listener, void *listener_context, struct err *err)
{
    struct pool_spec specs[BROKER_POOL_COUNT];
    memcpy(specs, broker->config->pools, sizeof specs);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        specs[i].config.listener = listener;
        specs[i].config.listener_context = listener_context;
        if (broker->config->shape.eager && i != POOL_MESSAGES) {
            specs[i].config.construct = zero_object;
            specs[i].config.object_context = (void *)(uintptr_t)&broker->config->pools[i].config;
        }
    }
    return pool_set_open(&broker->pool_set, specs, BROKER_POOL_COUNT, err);
}

static struct pool *pool_at(const struct broker *broker, enum broker_pool pool)
{
    return pool_set_at(broker->pool_set, (size_t)pool);
}

static int open_server(struct broker *broker, struct err *err)
{
    const struct broker_config *config = broker->config;
    struct server_options options = {
        .threads = (int)config->threads,
        .listeners_max = CONFIG_LISTEN_MAX,
        .connections = pool_at(broker, POOL_CONNECTIONS),
        .buffers = pool_at(broker, POOL_BUFFERS),
        .arenas = pool_at(broker, POOL_ARENAS),
        .messages = pool_at(broker, POOL_MESSAGES),
        .read_bytes = config->shape.read_bytes,
        .write_bytes = config->shape.write_bytes,
        .is_eager = config->shape.eager,
        .memory_limit_bytes = config->memory_limit_bytes,
        .max_connections = config->max_connections,
        .max_packet_bytes = config->max_packet_bytes,
        .max_topic_levels = config->max_topic_levels,
        .max_inflight_messages = config->max_inflight_messages,
        .max_queued_messages = config->max_queued_messages,
        .max_queued_bytes = config->max_queued_bytes,
        .max_filters = config->max_filters,
        .message_size_limit = config->message_size_limit,
        .max_retained_messages = config->max_retained_messages,
        .max_retained_bytes = config->max_retained_bytes,
        .session_expiry_ns = config->session_expiry_ns,
        .max_connections_per_address = config->max_connections_per_address,
        .has_retained = strcmp(config->retain_available, "true") == 0,
        .state_path = config->state,
        .is_state_full = strcmp(config->state_sync, "full") == 0,
    };
    return server_open(&broker->server, &options, err);
}

int broker_open(struct broker **opened, const struct broker_config *config, pool_listener *listener,
                void *listener_context, struct err *err)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return err_set(err, -ENOMEM, "out of memory");
    broker->config = config;
    int code = open_pools(broker, listener, listener_context, err);
    if (code == 0 && config->relief.sources)
        code = relief_open(&broker->pressure, &config->relief, pool_set_registry(broker->pool_set), err);
    if (code == 0)
        code = open_server(broker, err);
    if (code < 0)
        broker_close(broker);
    else
        *opened = broker;
    return code;
}

int broker_start(struct broker *broker, struct address *addresses, struct err *err)
{
    for (int at = 0; at < broker->config->listen_count; at++) {
        addresses[at] = broker->config->listen[at];
        int code = server_listen(broker->server, &addresses[at], err);
        if (code < 0)
            return code;
    }
    return server_start(broker->server, err);
}

const struct broker_config *broker_config_of(const struct broker *broker)
{
    return broker->config;
}

struct pool_set *broker_pools(struct broker *broker)
{
    return broker->pool_set;
}

void broker_statistics(struct broker *broker, struct broker_statistics *statistics)
{
    struct server_statistics server;
    server_read_statistics(broker->server, &server);
    *statistics = (struct broker_statistics){.counts = server.counts,
                                             .last_reason = server.last_reason,
                                             .state_reason = server.state_reason,
                                             .connections = server.connections,
                                             .sessions = server.sessions,
                                             .subscriptions = server.subscriptions,
                                             .retained = server.retained,
                                             .longest_turn_ns = server.longest_turn_ns,
                                             .most_work = server.most_work,
                                             .memory = server.memory};
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        struct pool *pool = pool_at(broker, (enum broker_pool)i);
        pool_stats(pool, &statistics->pools[i]);
        struct pool_beside beside = pool_beside(pool, &statistics->pools[i]);
        statistics->strays[i] = beside.strays;
        statistics->rounding_bytes[i] = beside.rounding_bytes;
    }
    if (broker->pressure)
        pool_pressure_stats(broker->pressure, &statistics->pressure);
}

int64_t broker_reserve(const struct broker_statistics *statistics, enum broker_pool pool)
{
    const struct pool_stats *stats = &statistics->pools[pool];
    int64_t used = stats->in_use - statistics->strays[pool];
    return stats->owned > used ? stats->owned - used : 0;
}

void broker_books(struct broker *broker, struct server_books *books)
{
    server_read_books(broker->server, books);
}

int broker_stack(const struct broker *broker, int index, uintptr_t *from, uintptr_t *to)
{
    return server_stack(broker->server, index, from, to);
}

void broker_count_reserve(struct broker *broker)
{
    struct broker_statistics statistics;
    int64_t reserve = 0;
    broker_statistics(broker, &statistics);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        size_t size = pool_config_of(pool_at(broker, (enum broker_pool)i))->object_bytes;
        reserve += broker_reserve(&statistics, (enum broker_pool)i) * (int64_t)size +
                   statistics.pools[i].overhead_bytes;
    }
    server_set_reserve(broker->server, reserve);
}

const char *broker_state_warning(const struct broker *broker)
{
    return server_state_warning(broker->server);
}

int broker_check(const struct broker *broker, struct err *err)
{
    return server_check(broker->server, err);
}

void broker_stop(struct broker *broker)
{
    server_stop(broker->server);
}

void broker_close(struct broker *broker)
{
    if (!broker)
        return;
    server_close(broker->server);
    pool_pressure_close(broker->pressure);
    pool_set_close(broker->pool_set);
    free(broker);
}
