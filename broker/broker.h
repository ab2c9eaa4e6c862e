// SPDX-License-Identifier: Apache-2.0
// The broker as a whole: the pools, and the MQTT server that takes its memory from them.
//
//     struct broker *broker;
//     if (broker_open(&broker, &config, &hooks, &err) < 0) ...
//     if (broker_start(broker, &err) < 0) ...
//     ...serves; broker_statistics at any time from any thread...
//     broker_close(broker);      // ends the threads, puts every object back, closes the pools
#ifndef POOLMARK_BROKER_BROKER_H
#define POOLMARK_BROKER_BROKER_H

#include "broker/config.h"
#include "broker/mqtt/account.h"
#include "broker/mqtt/counters.h"
#include "pools/pool.h"

#include <stdint.h>

struct broker;

// What a broker is doing, as far as it can be told while it goes on.
struct broker_statistics {
    struct broker_counts counts;
    const char *last_reason; // of protocol_errors; NULL: none
    int64_t connections, sessions, subscriptions, retained;
    struct pool_stats pools[BROKER_POOL_COUNT];
    struct account_reading memory;
};

// Opens the pools, with `listener` told of their events. `config` outlives the broker. -errno with everything
// undone.
int broker_open(struct broker **broker, const struct broker_config *config, pool_listener *listener,
                void *listener_context, struct err *err) __attribute__((warn_unused_result));

// Listens everywhere (config's addresses get the ports that were 0) and starts the loops. After a failure the
// broker is to be closed. `addresses` has config->listen_count entries.
int broker_start(struct broker *broker, struct address *addresses, struct err *err)
    __attribute__((warn_unused_result));

const struct broker_config *broker_config_of(const struct broker *broker);
struct pool_set *broker_pools(struct broker *broker);

void broker_statistics(struct broker *broker, struct broker_statistics *statistics);
void broker_count_reserve(struct broker *broker); // of the pools, for the account; now and then
// 0, or -errno with `err` set when a loop had to end by itself; nothing but broker_stop is to be done then.
int broker_check(const struct broker *broker, struct err *err) __attribute__((warn_unused_result));

void broker_stop(
    struct broker *broker); // ends the loops and closes every connection; statistics can still be read
void broker_close(struct broker *broker); // NULL is allowed

#endif
