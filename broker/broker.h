// SPDX-License-Identifier: Apache-2.0
// The broker as a whole: pools, sessions, subscriptions, retained messages, and the event loops that work on
// them.
//
//     struct broker *broker;
//     if (broker_open(&broker, &config, &hooks, &err) < 0) ...
//     if (broker_start(broker, &err) < 0) ...
//     ...serves; broker_statistics at any time from any thread...
//     broker_close(broker);      // ends the threads, puts every object back, closes the pools
#ifndef POOLMARK_BROKER_BROKER_H
#define POOLMARK_BROKER_BROKER_H

#include "broker/mqtt/account.h"
#include "broker/mqtt/block.h"
#include "broker/config.h"
#include "broker/mqtt/counters.h"
#include "broker/mqtt/session_flow.h"
#include "pools/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct retained;
struct session;
struct session_table;
struct topics;

// For the broker's own modules.
struct broker {
    const struct broker_config *config;
    struct shape shape;
    struct pool_set *pool_set;
    struct account account;
    struct { // of the pools in it; `input` and `output` are both of `buffers`
        struct block_store connections, input, output, arenas, messages;
    } stores;
    struct flow_rules flow_rules;
    struct topics *topics;
    struct retained *retained;
    struct session_table *sessions;
    struct loop *loops[CONFIG_THREADS_MAX];
    int loop_count;
    int64_t max_connections;          // never more than these at once; INT64_MAX: no limit of our own
    _Atomic int64_t connection_count; // reserved; what is refused is not among them
    // A descriptor is taken under the read lock; under the write lock a loop gives one of its reserve up and
    // accepts a client with it, so that no other loop can take it in between.
    pthread_rwlock_t descriptors;
    _Atomic(const char *) last_reason; // why a connection was closed last for what it sent; NULL: none was
    bool is_closing;                   // no loop runs any more, and wills are not published
};

// What a broker is doing, as far as it can be told while it goes on.
struct broker_statistics {
    struct broker_counts counts;
    const char *last_reason; // of protocol_errors; NULL: none
    int64_t connections, sessions, subscriptions, retained;
    struct pool_stats pools[BROKER_POOL_COUNT];
    struct { // of the account of bytes
        int64_t bytes[ACCOUNT_KINDS], sum, peak, limit, refused;
    } memory;
};

// Opens the pools, with `listener` told of their events. `config` outlives the broker. -errno with everything
// undone.
int broker_open(struct broker **broker, const struct broker_config *config, pool_listener *listener,
                void *listener_context, struct err *err) __attribute__((warn_unused_result));

// Listens everywhere (config's addresses get the ports that were 0) and starts the loops. After a failure the
// broker is to be closed. `addresses` has config->listen_count entries.
int broker_start(struct broker *broker, struct address *addresses, struct err *err)
    __attribute__((warn_unused_result));

void broker_statistics(struct broker *broker, struct broker_statistics *statistics);
void broker_count_reserve(struct broker *broker); // of the pools, for the account; now and then
// 0, or -errno with `err` set when a loop had to end by itself; nothing but broker_stop is to be done then.
int broker_check(const struct broker *broker, struct err *err) __attribute__((warn_unused_result));

void broker_stop(
    struct broker *broker); // ends the loops and closes every connection; statistics can still be read
void broker_close(struct broker *broker); // NULL is allowed

// One of max_connections; any thread. false: there is none left.
bool broker_reserve_connection(struct broker *broker);
void broker_release_connection(struct broker *broker);

// Ends a session for good, on its owner's thread: out of the topics and the table; its memory goes with the
// last reference.
void broker_end_session(struct broker *broker, struct session *session);

#endif
