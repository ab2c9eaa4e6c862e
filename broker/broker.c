// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include "broker/mqtt/check.h"
#include "broker/net/loop.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/session_table.h"
#include "broker/mqtt/topics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void open_store(struct broker *broker, struct block_store *store, enum broker_pool pool,
                       enum account_kind kind)
{
    block_store_open(store, pool_set_at(broker->pool_set, (size_t)pool), &broker->account, kind);
}

// An eager shape's objects are resident and zero when a connection gets them for the first time, as in a
// server that sets up its state beforehand; what a connection changes of them it sets itself when it comes.
// So that is the work of a constructor: done once an object where the strategy keeps objects, in each get by
// malloc.
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
        if (broker->shape.eager && i != POOL_MESSAGES) {
            specs[i].config.construct = zero_object;
            specs[i].config.object_context = (void *)(uintptr_t)&broker->config->pools[i].config;
        }
    }
    int code = pool_set_open(&broker->pool_set, specs, BROKER_POOL_COUNT, err);
    if (code < 0)
        return code;
    open_store(broker, &broker->stores.connections, POOL_CONNECTIONS, ACCOUNT_CONNECTIONS);
    open_store(broker, &broker->stores.input, POOL_BUFFERS, ACCOUNT_INPUT);
    open_store(broker, &broker->stores.output, POOL_BUFFERS, ACCOUNT_OUTPUT);
    open_store(broker, &broker->stores.arenas, POOL_ARENAS, ACCOUNT_SESSIONS);
    open_store(broker, &broker->stores.messages, POOL_MESSAGES, ACCOUNT_MESSAGES);
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
    struct broker *broker = aligned_alloc(_Alignof(struct broker), sizeof *broker);
    if (!broker)
        return err_set(err, -ENOMEM, "out of memory");
    memset(broker, 0, sizeof *broker);
    broker->config = config;
    account_open(&broker->account, config->memory_limit_bytes);
    broker->flow_rules = (struct flow_rules){&broker->account, (uint32_t)config->max_inflight_messages,
                                             (uint32_t)config->max_queued_messages, config->max_queued_bytes};
    pthread_rwlock_init(&broker->descriptors, NULL);
    broker->shape = config->shape;
    broker->max_connections = config->max_connections ? config->max_connections : INT64_MAX;
    int code = open_pools(broker, listener, listener_context, err);
    if (code < 0)
        goto fail;
    code = -ENOMEM;
    if (topics_open(&broker->topics, &broker->account) < 0 ||
        retained_open(&broker->retained, &broker->account) < 0 || session_table_open(&broker->sessions) < 0) {
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
    statistics->last_reason = atomic_load_explicit(&broker->last_reason, memory_order_relaxed);
    statistics->connections = atomic_load_explicit(&broker->connection_count, memory_order_relaxed);
    statistics->sessions = session_table_count(broker->sessions);
    statistics->subscriptions = topics_count(broker->topics);
    statistics->retained = retained_count(broker->retained);
    for (int i = 0; i < BROKER_POOL_COUNT; i++)
        pool_stats(pool_set_at(broker->pool_set, (size_t)i), &statistics->pools[i]);
    const struct account *account = &broker->account;
    for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
        statistics->memory.bytes[kind] = atomic_load_explicit(&account->bytes[kind], memory_order_relaxed);
    statistics->memory.sum = account_sum(account);
    statistics->memory.peak = atomic_load_explicit(&account->peak, memory_order_relaxed);
    statistics->memory.refused = atomic_load_explicit(&account->refused, memory_order_relaxed);
    statistics->memory.limit = account->limit;
}

void broker_count_reserve(struct broker *broker)
{
    int64_t reserve = 0;
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        struct pool_stats stats;
        struct pool *pool = pool_set_at(broker->pool_set, (size_t)i);
        pool_stats(pool, &stats);
        int64_t used = (stats.in_use < stats.owned ? stats.in_use : stats.owned) *
                       (int64_t)pool_config_of(pool)->object_bytes;
        reserve += stats.bytes_owned > used ? stats.bytes_owned - used : 0;
    }
    account_set_reserve(&broker->account, reserve);
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
    session_unref(session, &broker->stores.arenas);
}
