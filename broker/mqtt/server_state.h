// SPDX-License-Identifier: Apache-2.0
// State that the modules of mqtt/ share: the server (one per broker) and its workers (one per event loop).
// Modules outside mqtt/ use server.h instead.
//
// Only the thread of its loop touches a worker; any thread may read its counters. In the server, any thread
// may use topics, retained messages, session table, account and the atomics. All else is constant while loops
// run.
#ifndef POOLMARK_BROKER_MQTT_SERVER_STATE_H
#define POOLMARK_BROKER_MQTT_SERVER_STATE_H

#include "broker/mqtt/account.h"
#include "broker/mqtt/address_counts.h"
#include "broker/mqtt/block.h"
#include "broker/mqtt/counters.h"
#include "broker/mqtt/fan_out.h"
#include "broker/mqtt/newcomers.h"
#include "broker/mqtt/refuse.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/session_table.h"
#include "broker/mqtt/topics.h"
#include "broker/net/loop.h"

#include <pthread.h>

struct durable; // broker/mqtt/durable.h
struct state;   // broker/state/state.h

struct worker {
    struct server *server;
    struct durable *durable; // NULL: no state file
    struct loop *loop;
    struct turn *turn; // of the loop
    uint16_t index;
    int64_t start_ns;
    uint64_t ids_made; // client ids made for clients that sent none
    uint16_t packet_ids;
    struct flow_rules flow_rules; // those of the server, with `packet_ids`
    struct broker_counters counters;
    struct refusals refusals;
    struct session_sweep sweep; // of expired sessions
    struct newcomers newcomers; // connections without a CONNECT
    struct fan_outs fan_outs;   // messages that have not reached all their sessions
    int fans_left_out;          // turns in a row in which they waited
    struct session *ended;      // sessions that have ended and still hold something
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
    int64_t max_filters, message_size_limit; // INT64_MAX: any
    bool has_retained;
    uint32_t session_expiry_ticks;    // 0: never
    struct state *state;              // NULL: none
    struct address_counts *addresses; // NULL: addresses have no bound
    int64_t max_connections;          // most connections at once
    _Atomic int64_t connection_count; // reserved connections; refused clients do not count
    struct topics *topics;
    struct retained *retained;
    struct session_table *sessions;
    pthread_rwlock_t descriptors;      // broker/net/spare_fds.h
    _Atomic(const char *) last_reason; // static text of the last protocol error; NULL: none
    bool is_serving;                   // loops were started, and did not end
    bool is_closing;                   // nothing is read any more; wills are not published
    int worker_count;
    struct worker *workers[];
};

// Reserves one of max_connections. false: none is left. Any thread.
bool server_reserve_connection(struct server *server);
void server_release_connection(struct server *server);
// Reserves one in any case, in place of a connection that ends in this turn.
void server_pass_connection(struct server *server);

// Ends a session, on its owner's thread: removes it from table and topics, and releases its messages. The last
// reference frees it. If it has much, the rest of that is done in portions, by server_finish_ended.
void server_end_session(struct server *server, struct session *session);
bool server_finish_ended(struct worker *worker); // until the part of the turn is over; true: more is left

// Does a topic name or filter have at most max_topic_levels levels?
bool server_topic_fits(const struct server *server, struct mqtt_text topic);

// Counts a dropped message. `code`: -EDQUOT, a queue is full; -EACCES, clients may not publish to its topic;
// -ENOSPC, a bound of retained messages is reached; -ETIME, its session has expired; another, no memory.
void worker_count_dropped(struct worker *worker, int code);
void worker_count_all_dropped(struct worker *worker, int code, int64_t count);

// Returns the session's flow; makes one when there is none. NULL: no memory.
static inline struct session_flow *worker_flow(const struct worker *worker, struct session *session)
{
    return session_flow_need(session, &worker->server->stores.arenas, &worker->flow_rules);
}

#endif
