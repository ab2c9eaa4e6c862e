// SPDX-License-Identifier: Apache-2.0
// A worker drives its share of the clients through one engine, as the fleet's orders say. It runs in a forked
// process (fleet.h) on one thread. Its counts go into its tally page, its latencies into its batch.
#ifndef POOLMARK_LOADGEN_WORKER_H
#define POOLMARK_LOADGEN_WORKER_H

#include "loadgen/board.h"
#include "loadgen/engine.h"
#include "loadgen/fleet.h"
#include "loadgen/latency.h"
#include "loadgen/plan.h"

struct arrival_time { // of the latest arrival of a client; 0: none
    int64_t intended_ns, started_ns, ended_ns;
};

struct worker_setup { // made before the fork, read by every worker
    const struct engine *engine;
    const struct plan *plan;
    int rank;
    struct latency_shared *latency;
    struct board *board; // NULL: its orders to publish are of pairs
    const char *prefix;
    uint32_t run;                    // in the header of each message (payload.h)
    const struct identity *identity; // NULL: clients and topics have the names of the plain one
    // Whose topics messages have, where other clients publish them; NULL: `identity` and `prefix`.
    const struct identity *topics;
    const char *topics_prefix;
    int64_t place; // the number of the plan's first client in the patterns of orders
    // Instead of `place`, with a pattern of this rank's own (pattern_parts.h): the number of each worker's first client. Else NULL.
    const int64_t *places;
    const struct payload_form *payloads; // NULL: the orders say how large messages are
    int64_t timeout_ns;
    int keep_alive_s;
    int window;
    bool keep_sessions;
    // Of clients that come back by themselves (worker_return.c), as of the configuration.
    struct backoff backoff;
    bool waits_first;
    int64_t give_up_ns;
    uint64_t seed;      // of its jitter
    int64_t connecting; // clients of FLEET_CONNECT, the first of the plan; others come by FLEET_ARRIVE alone
    // Shared with the parent, a place for each client of a FLEET_ARRIVE, from its `before` on. Written by the
    // client's worker; the parent reads it when the order is done. NULL: not wanted.
    struct arrival_time *arrival_times;
};

// For fleet_config.work and .clients_of; `context` is the struct worker_setup.
int worker_run(struct fleet_worker *fleet_worker, void *context);
int64_t worker_clients(void *context, int number); // those of FLEET_CONNECT
bool worker_concerns(void *context, int number, const struct fleet_order *order);

#endif
