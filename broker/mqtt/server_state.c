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

// Of what an ended session has, so much goes at a time.
enum { PORTION = 64 };

// true: it holds nothing any more.
static bool let_go_some(struct worker *worker, struct session *session)
{
    worker->turn->work += PORTION;
    if (!topics_leave_some(worker->server->topics, &session->subscriber, PORTION))
        return false;
    return !session->flow || flow_clear_some(session->flow, PORTION);
}

bool server_finish_ended(struct worker *worker)
{
    while (worker->ended && (worker->server->is_closing || !turn_part_is_over(worker->turn))) {
        struct session *session = worker->ended;
        if (!let_go_some(worker, session))
            continue;
        worker->ended = session->next_ended;
        session_unref(session, &worker->server->stores.arenas);
    }
    return worker->ended != NULL;
}

void server_end_session(struct server *server, struct session *session)
{
    struct worker *worker = server->workers[session->owner];
    durable_session_end(server, session);
    session_table_remove(server->sessions, session);
    session_mark_ended(session);
    // While it leaves the topics, other loops may still note deliveries to it in the file, which has forgotten it. Their mail
    // ends these (delivery.c); after a kill, the next start does (restore.c).
    if (let_go_some(worker, session)) {
        session_unref(session, &server->stores.arenas);
    } else {
        session->next_ended = worker->ended;
        worker->ended = session;
    }
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

void worker_count_all_dropped(struct worker *worker, int code, int64_t count)
{
    struct broker_counters *counters = &worker->counters;
    broker_count(&counters->messages_dropped, count);
    if (code == -EDQUOT)
        broker_count(&counters->dropped_queue_full, count);
    else if (code == -EACCES)
        broker_count(&counters->dropped_sys, count);
    else if (code == -ETIME)
        broker_count(&counters->dropped_expired, count);
    else if (code == -ENOSPC)
        broker_count(&counters->dropped_retained, count);
    else
        broker_count(&counters->dropped_no_memory, count);
}

void worker_count_dropped(struct worker *worker, int code)
{
    worker_count_all_dropped(worker, code, 1);
}
