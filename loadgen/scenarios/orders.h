// SPDX-License-Identifier: Apache-2.0
// Orders that several scenarios give: connect up to so many clients, and prove that they are alive.
#ifndef POOLMARK_LOADGEN_SCENARIOS_ORDERS_H
#define POOLMARK_LOADGEN_SCENARIOS_ORDERS_H

#include "loadgen/scenario.h"
#include "loadgen/scenarios/pace.h"

// The time of connecting, without the pauses between orders.
struct connect_time {
    int64_t took_ns; // from the common instant to the last CONNACK
    int64_t due_ns;  // with --rate: from that instant to the intended time of the last connect; otherwise 0
    // With --rate each order's last connect has a turn too, to the next intended time: n connects have n intervals.
    int64_t turns_ns;
    // How --rate goes over time, set before the first order, through all of them; NULL: it is constant.
    const struct pace *pace;
    int64_t acts, orders; // so far
};

// When the acts of an order ended, for their rate: the last that was made. Where some were not (`whole` false), the time of
// the schedule counts too, or of the run's early end: a target that stops halfway has not kept the rate.
int64_t order_end_ns(const struct run *run, int64_t last_ns, int64_t scheduled_ns, bool whole);

// With a rate the last act of a schedule has a turn too, to the next intended time: n acts have n intervals. 0 without.
int64_t order_turn_ns(const struct fleet_order *order, int64_t acts);

// Connects the first `goal` clients, of which the first `before` are connected already. Adds to `time`. Gated
// without a rate.
bool order_connect_to(struct run *run, int64_t before, int64_t goal, enum fleet_subscribe subscribe,
                      struct connect_time *time);
// Adds connect.rate, .seconds and .rate_asked, and an anomaly when --rate was not reached.
void order_add_connect_rate(struct run *run, struct summary *summary, const struct connect_time *time);
// Adds who limited the connects; order_add_connect_rate does so too. Without a connect nothing.
void order_add_connect_limit(struct run *run, struct summary *summary, const struct connect_time *time);
// Was a rate missed? Yes, if it took longer than the schedule by more than a twentieth plus 0.1 s.
bool order_missed_rate(int64_t took_ns, int64_t due_ns);

// An anomaly when a schedule is too short to have its rate: acts are whole, so a few of them are another rate.
// `what` is their plural. Nothing for a rate that was missed in time.
void order_tell_short_schedule(struct run *run, const char *what, int64_t acts, double had_per_s,
                               double asked_per_s);

// Connects the probes, pairs that subscribe; all of them, or the run is broken. Does nothing without probes.
bool order_connect_probes(struct run *run);

// Clients that subscribe to nothing use no --topic: -EINVAL with the text when one was given.
int order_check_topic(const struct config *config, bool subscribe, struct err *err)
    __attribute__((warn_unused_result));

// Asks every connection for a sign of life, and adds clients.alive.
bool order_prove(struct run *run, struct summary *summary);

#endif
