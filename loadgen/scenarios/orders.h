// SPDX-License-Identifier: Apache-2.0
// Orders that several scenarios give: to connect up to so many clients, and to prove that they live.
#ifndef POOLMARK_LOADGEN_SCENARIOS_ORDERS_H
#define POOLMARK_LOADGEN_SCENARIOS_ORDERS_H

#include "loadgen/scenario.h"

// What connecting took, pauses between orders not counted.
struct connect_time {
    int64_t took_ns; // from the common instant to the last CONNACK
    int64_t due_ns;  // by --rate: to the instant at which the last connect is due; 0 without one
};

// Connects the first `goal` clients, `before` of which are connected; adds to `time`. Gated when there is no
// rate.
bool order_connect_to(struct run *run, int64_t before, int64_t goal, enum fleet_subscribe subscribe,
                      struct connect_time *time);
// connect.rate, .seconds and .rate_asked; an anomaly when --rate was not reached.
void order_add_connect_rate(struct run *run, struct summary *summary, const struct connect_time *time);
// Was a rate missed? What took a twentieth and a tenth of a second longer than its schedule missed it.
bool order_missed_rate(int64_t took_ns, int64_t due_ns);

// Asks every connection for a sign of life, and puts clients.alive into the summary.
bool order_prove(struct run *run, struct summary *summary);

#endif
