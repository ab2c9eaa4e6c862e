// SPDX-License-Identifier: Apache-2.0
// What a run does, as a sequence of the run's steps (run.h). A scenario is one file and one line in
// scenario.c.
#ifndef POOLMARK_LOADGEN_SCENARIO_H
#define POOLMARK_LOADGEN_SCENARIO_H

#include "loadgen/run.h"
#include "loadgen/summary.h"

struct scenario {
    const char *name;
    // Runs to its end or until the run is broken, adding to `summary` what was measured.
    void (*play)(struct run *run, struct summary *summary);
};

const struct scenario *scenario_find(const char *name); // NULL: none

// For scenarios. Connects the first `goal` clients, `before` of which are connected; adds the time from the
// common instant to the last CONNACK to `took_ns`. Gated when there is no rate.
bool scenario_connect_to(struct run *run, int64_t before, int64_t goal, enum fleet_subscribe subscribe,
                         int64_t *took_ns);
// Asks every connection for a sign of life, and puts clients.alive into the summary.
bool scenario_prove(struct run *run, struct summary *summary);

extern const struct scenario scenario_connect, scenario_publish, scenario_steps;

#endif
