// SPDX-License-Identifier: Apache-2.0
// What the scenarios have in common in which clients leave and come back: checks, the order, and the metrics.
#ifndef POOLMARK_LOADGEN_SCENARIOS_ARRIVALS_H
#define POOLMARK_LOADGEN_SCENARIOS_ARRIVALS_H

#include "loadgen/scenario.h"
#include "loadgen/scenarios/options.h"

struct arrivals {            // of all orders together
    double rate_asked_per_s; // 0: none
    int64_t took_ns;         // from the first intended time to the last CONNACK
};

enum leave arrivals_leave(const char *choice); // a value of --leave

// Can the engine leave that way, and do the waits fit together? -EINVAL with the text.
int arrivals_check(const struct config *config, const char *leave, const struct comeback *comeback,
                   struct err *err);
void arrivals_describe(json_t *json, const char *leave, const struct comeback *comeback);
void arrivals_set_backoff(struct fleet_order *order, const struct comeback *comeback);

// Gives an order of FLEET_ARRIVE and waits for its end. Adds its time to `arrivals`.
bool arrivals_order(struct run *run, struct fleet_order *order, struct arrivals *arrivals);

// A whole run of clients that are held, and then leave and come back as `act` orders: connects them, reads memory
// before, between and after, and adds all metrics. `settle_ns` counts when a target is watched.
void arrivals_play(struct run *run, struct summary *summary, bool subscribe, int64_t settle_ns,
                   bool (*act)(struct run *run, struct arrivals *arrivals));

// Adds arrivals.*, and their anomalies.
void arrivals_add(struct run *run, struct summary *summary, const struct arrivals *arrivals);
// Adds memory.* before the first connection (`start`), before the arrivals (`full`), at the peak and `after` them,
// and cpu.per_arrival_ns by the rule of costs.h.
void arrivals_add_memory(struct run *run, struct summary *summary, const struct sample *start,
                         const struct sample *full, const struct sample *after);

#endif
