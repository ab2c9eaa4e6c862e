// SPDX-License-Identifier: Apache-2.0
// Orders that several scenarios give: to connect up to so many clients, and to prove that they live.
#ifndef POOLMARK_LOADGEN_SCENARIOS_ORDERS_H
#define POOLMARK_LOADGEN_SCENARIOS_ORDERS_H

#include "loadgen/scenario.h"

// Connects the first `goal` clients, `before` of which are connected; adds the time from the common instant
// to the last CONNACK to `took_ns`. Gated when there is no rate.
bool order_connect_to(struct run *run, int64_t before, int64_t goal, enum fleet_subscribe subscribe,
                      int64_t *took_ns);
// Asks every connection for a sign of life, and puts clients.alive into the summary.
bool order_prove(struct run *run, struct summary *summary);

#endif
