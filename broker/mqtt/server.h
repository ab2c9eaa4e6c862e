// SPDX-License-Identifier: Apache-2.0
// The MQTT server: sessions, subscriptions, retained messages, and the event loops that serve them. Its
// memory comes from pools of the caller. Any thread may call server_read_statistics, server_read_books,
// server_set_reserve and server_check.
//
//     struct server *server;
//     if (server_open(&server, &options, &err) < 0) ...
//     if (server_listen(server, &address, &err) < 0 || server_start(server, &err) < 0) ...
//     ...serves...
//     server_close(server);      // ends the threads, puts all objects back
#ifndef POOLMARK_BROKER_MQTT_SERVER_H
#define POOLMARK_BROKER_MQTT_SERVER_H

#include "base/err.h"
#include "broker/mqtt/account.h"
#include "broker/mqtt/counters.h"
#include "base/address.h"
#include "pools/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

struct server_options {
    int threads; // event loops
    int listeners_max;
    struct pool *connections, *buffers, *arenas, *messages;
    size_t read_bytes, write_bytes; // of the buffers; the objects of `buffers` are at least as large
    bool is_eager;                  // a connection takes buffers and arena when it arrives
    int64_t memory_limit_bytes;     // 0: none
    int64_t max_connections;        // 0: unbounded
    int64_t max_packet_bytes, max_topic_levels, max_inflight_messages, max_queued_messages;
    int64_t max_queued_bytes;                                                           // 0: unbounded
    int64_t max_filters, message_size_limit, max_retained_messages, max_retained_bytes; // 0: unbounded
    int64_t session_expiry_ns;           // 0: kept sessions never end by themselves
    int64_t max_connections_per_address; // 0: unbounded
    bool has_retained;                   // false: RETAIN closes the connection
    const char *state_path;              // NULL: nothing survives the server
    bool is_state_full;                  // state_file_start
};

// Statistics, readable while the server runs.
struct server_statistics {
    struct broker_counts counts;
    const char *last_reason;  // text of the last protocol error; NULL: none
    const char *state_reason; // text of the last failure to write the state file; NULL: none
    int64_t connections, sessions, subscriptions, retained;
    int64_t longest_turn_ns; // of a loop so far, in CPU time of its thread
    int64_t most_work;       // of a turn so far (broker/net/turn.h)
    struct account_reading memory;
};

// Heap bytes of the server's own structures that its account does not have, or has as a bound only.
struct server_books {
    int64_t subscriptions, retained; // with the trees of their topics; retained messages are the account's
    int64_t sessions;                // the table, without the sessions
    int64_t loops;                   // event loops, with their read buffers and mailboxes; the server itself
};

// 0, or -errno with the text in `err` and everything undone; -EUCLEAN: the state file cannot be used. The pools
// and the path must outlive the server.
int server_open(struct server **server, const struct server_options *options, struct err *err)
    __attribute__((warn_unused_result));

// Every loop listens at `address`. If its port is 0, it is set to the port that the kernel chose. Before
// server_start.
int server_listen(struct server *server, struct address *address, struct err *err)
    __attribute__((warn_unused_result));
int server_start(struct server *server, struct err *err) __attribute__((warn_unused_result));

// The most bytes that the threads of a server take, with their mailboxes.
int64_t server_own_bytes(int threads);

void server_read_statistics(struct server *server, struct server_statistics *statistics);
void server_read_books(struct server *server, struct server_books *books);
// The stack of event loop `index`, see loop_stack. -ENOENT: there is no such loop.
int server_stack(const struct server *server, int index, uintptr_t *from, uintptr_t *to)
    __attribute__((warn_unused_result));
void server_set_reserve(struct server *server, int64_t bytes); // reserve of the pools, for the account

// 0, or -errno with `err` set when a loop ended on an error, or the state is lost. Then the caller must stop the server.
int server_check(const struct server *server, struct err *err) __attribute__((warn_unused_result));

// What the state file had lost when it was opened: one static sentence; NULL: nothing is known, or there is none. Any thread.
const char *server_state_warning(const struct server *server);

// Ends the loops, handles what their clients had sent by then, and closes every connection. Statistics can still be read.
void server_stop(struct server *server);
void server_close(struct server *server); // NULL is allowed

#endif
