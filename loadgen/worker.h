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

struct worker_setup { // made before the fork, read by every worker
    const struct engine *engine;
    const struct plan *plan;
    int rank;
    struct latency_shared *latency;
    struct board *board; // NULL: its orders to publish are of pairs
    const char *prefix;
    int64_t timeout_ns;
    int keep_alive_s;
    int window;
};

// For fleet_config.work and .clients_of; `context` is the struct worker_setup.
int worker_run(struct fleet_worker *fleet_worker, void *context);
int64_t worker_clients(void *context, int number);
bool worker_concerns(void *context, int number, const struct fleet_order *order);

#endif
