// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include "broker/check.h"
#include "broker/loop.h"
#include "broker/retained.h"
#include "broker/session.h"
#include "broker/session_table.h"
#include "broker/topics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_pools(struct broker *broker, pool_listener *listener, void *listener_context, struct err *err)
{
    struct pool_spec specs[BROKER_POOL_COUNT];
    memcpy(specs, broker->config->pools, sizeof specs);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        specs[i].config.listener = listener;
        specs[i].config.listener_context = listener_context;
    }
    int code = pool_set_open(&broker->pool_set, specs, BROKER_POOL_COUNT, err);
    if (code < 0)
        return code;
    broker->pools.connections = pool_set_at(broker->pool_set, POOL_CONNECTIONS);
    broker->pools.buffers = pool_set_at(broker->pool_set, POOL_BUFFERS);
    broker->pools.arenas = pool_set_at(broker->pool_set, POOL_ARENAS);
    broker->pools.messages = pool_set_at(broker->pool_set, POOL_MESSAGES);
    return 0;
}

static int open_loops(struct broker *broker, struct err *err)
{
    for (int i = 0; i < broker->config->threads; i++) {
        int code = loop_open(&broker->loops[i], broker, (uint16_t)i, err);
        if (code < 0)
            return code;
        broker->loop_count++;
    }
    return 0;
}

int broker_open(struct broker **opened, const struct broker_config *config, pool_listener *listener,
                void *listener_context, struct err *err)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return err_set(err, -ENOMEM, "out of memory");
    broker->config = config;
    pthread_rwlock_init(&broker->descriptors, NULL);
    broker->shape = config->shape;
    broker->max_connections = config->max_connections ? config->max_connections : INT64_MAX;
    int code = open_pools(broker, listener, listener_context, err);
    if (code < 0)
        goto fail;
    code = -ENOMEM;
    if (topics_open(&broker->topics) < 0 || retained_open(&broker->retained) < 0 ||
        session_table_open(&broker->sessions) < 0) {
        err_set(err, code, "out of memory");
        goto fail;
    }
    code = open_loops(broker, err);
    if (code < 0)
        goto fail;
    *opened = broker;
    return 0;
fail:
    broker_close(broker);
    return code;
}

int broker_start(struct broker *broker, struct address *addresses, struct err *err)
{
    bool is_shared = broker->loop_count > 1;
    for (int at = 0; at < broker->config->listen_count; at++) {
        addresses[at] = broker->config->listen[at];
        int code = is_shared ? address_probe(&addresses[at], err) : 0;
        if (code < 0)
            return code;
        for (int i = 0; i < broker->loop_count; i++) {
            code = loop_listen(broker->loops[i], &addresses[at], is_shared, err);
            if (code < 0)
                return code;
        }
    }
    for (int i = 0; i < broker->loop_count; i++) {
        int code = loop_start(broker->loops[i], err);
        if (code < 0)
            return code;
    }
    return 0;
}

void broker_statistics(struct broker *broker, struct broker_statistics *statistics)
{
    *statistics = (struct broker_statistics){0};
    for (int i = 0; i < broker->loop_count; i++)
        broker_counters_sum(&statistics->counts, &broker->loops[i]->counters);
    // Relaxed: a recent value is all that is wanted.
    statistics->connections = atomic_load_explicit(&broker->connection_count, memory_order_relaxed);
    statistics->sessions = session_table_count(broker->sessions);
    statistics->subscriptions = topics_count(broker->topics);
    statistics->retained = retained_count(broker->retained);
    for (int i = 0; i < BROKER_POOL_COUNT; i++)
        pool_stats(pool_set_at(broker->pool_set, (size_t)i), &statistics->pools[i]);
}

int broker_check(const struct broker *broker, struct err *err)
{
    for (int i = 0; i < broker->loop_count; i++) {
        int code = atomic_load_explicit(&broker->loops[i]->failure, memory_order_relaxed);
        if (code != 0)
            return err_set(err, -code, "event loop %d cannot wait for events: epoll_wait: %s", i,
                           strerror(code));
    }
    return 0;
}

void broker_stop(struct broker *broker)
{
    for (int i = 0; i < broker->loop_count; i++)
        loop_stop(broker->loops[i]);
    broker->is_closing = true;
    CHECK(!broker->sessions || session_table_is_valid(broker->sessions));
    CHECK(!broker->topics || topics_is_valid(broker->topics));
    CHECK(!broker->retained || retained_is_valid(broker->retained));
    for (int i = 0; i < broker->loop_count; i++) {
        CHECK(timer_wheel_is_valid(&broker->loops[i]->wheel));
        loop_close_connections(broker->loops[i]);
    }
    struct session *session;
    while (broker->sessions && (session = session_table_any(broker->sessions)))
        broker_end_session(broker, session);
}

void broker_close(struct broker *broker)
{
    if (!broker)
        return;
    broker_stop(broker);
    for (int i = 0; i < broker->loop_count; i++)
        loop_close(broker->loops[i]);
    session_table_close(broker->sessions);
    if (broker->retained)
        retained_close(broker->retained);
    if (broker->topics)
        topics_close(broker->topics);
    pool_set_close(broker->pool_set);
    pthread_rwlock_destroy(&broker->descriptors);
    free(broker);
}

bool broker_reserve_connection(struct broker *broker)
{
    // Relaxed: the count is all that is shared, and a read-modify-write never reads an old one. Adding first
    // and taking back keeps several threads from going past the limit together.
    if (atomic_fetch_add_explicit(&broker->connection_count, 1, memory_order_relaxed) <
        broker->max_connections)
        return true;
    broker_release_connection(broker);
    return false;
}

void broker_release_connection(struct broker *broker)
{
    atomic_fetch_sub_explicit(&broker->connection_count, 1, memory_order_relaxed);
}

void broker_end_session(struct broker *broker, struct session *session)
{
    session->is_ended = true;
    topics_leave(broker->topics, &session->subscriber);
    session_table_remove(broker->sessions, session);
    session_unref(session, broker->pools.arenas);
}
