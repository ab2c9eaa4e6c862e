// SPDX-License-Identifier: Apache-2.0
// Scenario `connect`: so many connections, at a rate or as fast as it goes, held for a while.
//
// When a target is watched, a pause at a tenth of the connections gives the lower point of the memory slope:
// the start is no good for that, since the first connections make the target allocate what it keeps for all.
#include "loadgen/scenario.h"

#include "base/clock.h"

enum { SLOPE_CONNECTIONS_MIN = 100 };

static bool connect_all(struct run *run, struct sample samples[3], bool *has_tenth, bool *has_full,
                        int64_t *took_ns)
{
    const struct config *config = run->config;
    enum fleet_subscribe subscribe = config->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    int64_t before = 0;
    run_phase(run, "connect");
    if (config->watch.count > 0 && config->connections >= SLOPE_CONNECTIONS_MIN) {
        before = config->connections / 10;
        if (!scenario_connect_to(run, 0, before, subscribe, took_ns))
            return false;
        if (!run_settle(run, config->settle_ns, &samples[1]))
            return false;
        *has_tenth = true;
    }
    if (!scenario_connect_to(run, before, config->connections, subscribe, took_ns))
        return false;
    run_phase(run, "hold");
    *has_full = run_settle(run, config->watch.count > 0 ? config->settle_ns : 0, &samples[2]);
    return *has_full;
}

static void play(struct run *run, struct summary *summary)
{
    struct sample samples[3]; // at the start, at a tenth, with all
    bool has_tenth = false, has_full = false;
    int64_t took_ns = 0;
    if (run_sample(run, &samples[0]) && connect_all(run, samples, &has_tenth, &has_full, &took_ns)) {
        run->lossy = true;
        run_hold(run, run->config->hold_ns);
        if (run->config->prove && !run_is_broken(run))
            scenario_prove(run, summary);
    }
    int64_t connected = run->tally.count[TALLY_CONNECTED];
    if (took_ns > 0) {
        summary_add(summary, "connect.rate", (double)connected * 1e9 / (double)took_ns, "1/s", "higher");
        summary_add(summary, "connect.seconds", (double)took_ns / 1e9, "s", "lower");
    }
    if (has_full)
        summary_add_memory(summary, run, &samples[0], has_tenth ? &samples[1] : NULL, &samples[2]);
    run_disconnect(run);
}

const struct scenario scenario_connect = {.name = "connect", .play = play};
