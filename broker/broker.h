// SPDX-License-Identifier: Apache-2.0
// The whole broker: its pools, and the MQTT server that takes memory from them.
//
//     struct broker *broker;
//     if (broker_open(&broker, &config, listener, context, &err) < 0) ...
//     if (broker_start(broker, &err) < 0) ...
//     ...it serves; any thread may call broker_statistics...
//     broker_close(broker);      // ends the threads, puts all objects back, closes the pools
#ifndef POOLMARK_BROKER_BROKER_H
#define POOLMARK_BROKER_BROKER_H

#include "broker/config.h"
#include "broker/mqtt/account.h"
#include "broker/mqtt/counters.h"
#include "broker/mqtt/server.h"
#include "pools/pool.h"
#include "pools/pool_pressure.h"

#include <stdint.h>

struct broker;

// Statistics, readable while the broker runs.
struct broker_statistics {
    struct broker_counts counts;
    const char *last_reason;  // text of the last protocol error; NULL: none
    const char *state_reason; // text of the last failure to write --state; NULL: none
    int64_t connections, sessions, subscriptions, retained;
    int64_t longest_turn_ns, most_work; // of a loop (broker/mqtt/server.h)
    struct pool_stats pools[BROKER_POOL_COUNT];
    int64_t strays[BROKER_POOL_COUNT];         // objects in use that are not among those owned
    int64_t rounding_bytes[BROKER_POOL_COUNT]; // what the allocator adds to the blocks of a pool
    struct account_reading memory;
    struct pool_pressure_stats pressure; // all zero without --pressure
};

// Opens the pools and the server. `listener` gets the events of the pools. `config` must outlive the broker.
// 0, or -errno with everything undone; -EUCLEAN: the file of --state cannot be used.
int broker_open(struct broker **broker, const struct broker_config *config, pool_listener *listener,
                void *listener_context, struct err *err) __attribute__((warn_unused_result));

// Listens at all addresses and starts the loops. `addresses` has config->listen_count entries. It gets the
// addresses of the config; a port 0 is set to the port that the kernel chose. After -errno the caller must
// close the broker.
int broker_start(struct broker *broker, struct address *addresses, struct err *err)
    __attribute__((warn_unused_result));

const struct broker_config *broker_config_of(const struct broker *broker);
struct pool_set *broker_pools(struct broker *broker);

// Objects that a pool owns and nobody uses.
int64_t broker_reserve(const struct broker_statistics *statistics, enum broker_pool pool);

void broker_statistics(struct broker *broker, struct broker_statistics *statistics);
void broker_books(struct broker *broker, struct server_books *books);
// The stack of an event loop, see server_stack.
int broker_stack(const struct broker *broker, int index, uintptr_t *from, uintptr_t *to)
    __attribute__((warn_unused_result));
void broker_count_reserve(struct broker *broker); // updates the pools' reserve in the account; each second
// 0, or -errno with `err` set when a loop ended on an error. Then the caller must stop or close the broker.
int broker_check(const struct broker *broker, struct err *err) __attribute__((warn_unused_result));

// What the file of --state had lost when it was opened: one static sentence; NULL: nothing is known, or there is none.
const char *broker_state_warning(const struct broker *broker);

// Ends the loops, handles what their clients had sent by then, and closes every connection. Statistics can still be read.
void broker_stop(struct broker *broker);
void broker_close(struct broker *broker); // NULL is allowed

#endif
