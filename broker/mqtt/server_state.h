// SPDX-License-Identifier: Apache-2.0
// What the modules of mqtt/ share: the server (one a broker) and its workers (one an event loop). For mqtt/
// alone; everybody else goes by server.h.
//
// A worker is touched by the thread of its loop alone; its counters may be read by any. Of the server,
// topics, retained messages, session table and account have locks of their own; the rest does not change
// while loops run.
#ifndef POOLMARK_BROKER_MQTT_SERVER_STATE_H
#define POOLMARK_BROKER_MQTT_SERVER_STATE_H

#include "broker/mqtt/account.h"
#include "broker/mqtt/block.h"
#include "broker/mqtt/counters.h"
#include "broker/mqtt/refuse.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/session_table.h"
#include "broker/mqtt/topics.h"
#include "broker/net/loop.h"

#include <pthread.h>

struct worker {
    struct server *server;
    struct loop *loop;
    struct turn *turn; // of the loop
    uint16_t index;
    int64_t start_ns;
    uint64_t ids_made; // client ids given to clients without one
    struct broker_counters counters;
    struct refusals refusals;
};

struct server {
    struct account account;
    struct { // `input` and `output` are both of the pool `buffers`
        struct block_store connections, input, output, arenas, messages;
    } stores;
    struct flow_rules flow_rules;
    struct transport_rules transport_rules;
    size_t max_packet_bytes;
    int64_t max_topic_levels;
    int64_t max_connections;          // never more than these at once
    _Atomic int64_t connection_count; // reserved; what is refused is not among them
    struct topics *topics;
    struct retained *retained;
    struct session_table *sessions;
    pthread_rwlock_t descriptors;      // broker/net/spare_fds.h
    _Atomic(const char *) last_reason; // why a connection was closed last for what it sent; NULL: none was
    bool is_closing;                   // no loop runs any more, and wills are not published
    int worker_count;
    struct worker *workers[];
};

// One of max_connections; any thread. false: there is none left.
bool server_reserve_connection(struct server *server);
void server_release_connection(struct server *server);

// Ends a session for good, on its owner's thread: out of the topics and the table. Its memory goes with the
// last reference.
void server_end_session(struct server *server, struct session *session);

// Has a topic name or filter no more levels than max_topic_levels?
bool server_topic_fits(const struct server *server, struct mqtt_text topic);

// Counts a message that somebody does not get: its queue is full (-EDQUOT), it may not be published
// (-EACCES), or there is no memory.
void worker_count_dropped(struct worker *worker, int code);

// The session's flow, made when there is none; NULL when there is no memory.
static inline struct session_flow *worker_flow(const struct worker *worker, struct session *session)
{
    return session_flow_need(session, &worker->server->stores.arenas, &worker->server->flow_rules);
}

#endif
