// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/server_state.h"

#include "broker/mqtt/durable.h"

#include <errno.h>

bool server_reserve_connection(struct server *server)
{
    // Relaxed: only the count is shared, and a read-modify-write always reads the latest value. Adding first
    // keeps several threads from passing the limit together.
    if (atomic_fetch_add_explicit(&server->connection_count, 1, memory_order_relaxed) <
        server->max_connections)
        return true;
    server_release_connection(server);
    return false;
}

void server_pass_connection(struct server *server)
{
    atomic_fetch_add_explicit(&server->connection_count, 1, memory_order_relaxed);
}

void server_release_connection(struct server *server)
{
    atomic_fetch_sub_explicit(&server->connection_count, 1, memory_order_relaxed);
}

void server_end_session(struct server *server, struct session *session)
{
    durable_session_end(server, session);
    topics_leave(server->topics, &session->subscriber);
    session->is_ended = true;
    session_table_remove(server->sessions, session);
    session_unref(session, &server->stores.arenas);
}

bool server_topic_fits(const struct server *server, struct mqtt_text topic)
{
    int64_t most = server->max_topic_levels, levels = 1;
    if ((int64_t)topic.bytes < most) // even a topic of slashes alone has no more levels
        return true;
    for (size_t i = 0; i < topic.bytes && levels <= most; i++)
        levels += topic.data[i] == '/';
    return levels <= most;
}

void worker_count_dropped(struct worker *worker, int code)
{
    struct broker_counters *counters = &worker->counters;
    broker_count(&counters->messages_dropped, 1);
    if (code == -EDQUOT)
        broker_count(&counters->dropped_queue_full, 1);
    else if (code == -EACCES)
        broker_count(&counters->dropped_sys, 1);
    else if (code == -ETIME)
        broker_count(&counters->dropped_expired, 1);
    else if (code == -ENOSPC)
        broker_count(&counters->dropped_retained, 1);
    else
        broker_count(&counters->dropped_no_memory, 1);
}
