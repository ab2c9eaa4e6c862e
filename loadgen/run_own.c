// SPDX-License-Identifier: Apache-2.0
// What is a run's own: its fleets, and the connections that the census (census.h) is not to take for others'.
#include "loadgen/holders.h"
#include "loadgen/run.h"

int run_fleets(const struct run *run, struct fleet *fleets[RUN_FLEETS_MAX])
{
    int count = 0;
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        if (run->crews[i].fleet)
            fleets[count++] = run->crews[i].fleet;
    if (run->fleet)
        fleets[count++] = run->fleet;
    if (run->probes)
        fleets[count++] = run->probes;
    return count;
}

static struct census_own own_connections(const struct run *run)
{
    const int64_t *clients = run->tally.count, *probes = run->probe_tally.count;
    int64_t begun = clients[TALLY_BEGUN] + probes[TALLY_BEGUN];
    return (struct census_own){.begun = begun,
                               .ended = begun - clients[TALLY_OPEN] - probes[TALLY_OPEN],
                               .passed = clients[TALLY_PORTS_PASSED] + probes[TALLY_PORTS_PASSED],
                               .publishing = clients[TALLY_PUBLISHED] + probes[TALLY_PUBLISHED] > 0};
}

void run_take_census(struct run *run, struct census_reading *reading)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int count = run_fleets(run, fleets);
    struct census_own own = own_connections(run);
    census_take(run->census, fleets, count, &own, reading);
}

void run_pause_census(struct run *run)
{
    struct census_own own = own_connections(run);
    census_pause(run->census, &own);
}

void run_look_at_holders(struct run *run)
{
    if (run->tally.count[TALLY_OPEN] > 0)
        holders_look(&run->owners, &run->plan, run->config->watch_pids, run->config->watch.count,
                     run->tally.count[TALLY_OPEN]);
}

void run_begin_loads(struct run *run)
{
    if (run->crews)
        loads_forget(&run->loads);
    loads_begin(&run->loads, run->config->watch_pids, stops_ns(&run->stops));
}

void run_end_loads(struct run *run, unsigned kinds)
{
    if (kinds != 0)
        loads_end(&run->loads, run->config->watch_pids, kinds, stops_ns(&run->stops),
                  run->phase_hist[LATENCY_LAG]);
}

unsigned run_loads_of(const struct fleet_order *order)
{
    int kind = loads_kind(order);
    return kind < 0 ? 0 : 1U << kind;
}

struct fleet_order run_own_order(const struct run *run, int share, const struct fleet_order *order)
{
    struct fleet_order own = *order;
    const struct pattern *parts = run->ranks ? run->ranks->shares.of[share].parts : NULL;
    if (!parts || order->pattern.kind == PATTERN_PAIRS)
        return own;
    own.pattern = parts[run->ranks->rank];
    if (order->pattern.slow == 0) // nobody is in this order
        own.pattern.slow = 0;
    return own;
}
