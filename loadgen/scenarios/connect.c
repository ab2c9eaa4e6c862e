// SPDX-License-Identifier: Apache-2.0
// Scenario `connect`: so many connections, at a rate or as fast as possible, held for a while.
//
// When a target is watched, a pause at a tenth of the connections gives the lower point of the memory slope.
// The start is not usable for that: the first connections make the target allocate memory that serves all. A
// target that may have served more than a tenth before gets another pause, past those (curve.h).
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/scenarios/pools_file.h"
#include "loadgen/scenarios/record_of.h"
#include "loadgen/scenarios/served.h"

enum { SLOPE_CONNECTIONS_MIN = 100, CONNECTIONS = 1000 };

struct connect {
    int64_t connections, hold_ns, settle_ns;
    bool subscribe, fresh_target;
    struct pace pace;
    struct comeback comeback;
    struct opt_list watch_records;
};
_Static_assert(sizeof(struct connect) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct connect, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many; 0: 1000 for connect, two a pair for publish"),
    OPTIONS_PACE(AT(pace)),
    OPTIONS_BACKOFF(AT(comeback)),
    OPTION_HOLD(AT(hold_ns)),
    OPTION_SUBSCRIBE(AT(subscribe)),
    OPTION_SETTLE(AT(settle_ns)),
    OPTION_FRESH_TARGET(AT(fresh_target)),
    OPTION_WATCH_RECORD(AT(watch_records), "whether it has served before (connect, steps), what its pools "
                                           "own (steps), and how full they were (soak)"),
    {0},
};

static const struct connect *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check(struct config *config, struct err *err)
{
    struct connect *own = (void *)config->options;
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    int code = pace_check(&own->pace, "rate", config->connect_rate_per_s,
                          &(struct pace_length){.acts = config->connections}, err);
    if (code == 0)
        code = order_check_topic(config, own->subscribe, err);
    return code < 0 ? code : comeback_keep(config, &own->comeback, err);
}

static int check_run(const struct config *config, struct err *err)
{
    return pools_file_check(&options_of(config)->watch_records, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct connect *own = options_of(config);
    pace_describe(json, &own->pace);
    comeback_describe(json, &own->comeback);
    json_object_set_new(json, "hold_ns", json_integer(own->hold_ns));
    json_object_set_new(json, "subscribe", json_boolean(own->subscribe));
    json_object_set_new(json, "fresh_target", json_boolean(own->fresh_target));
}

// Connects up to the lower point, `*before` of the clients. Gives its sample.
static bool connect_low(struct run *run, int64_t *before, enum fleet_subscribe subscribe,
                        struct connect_time *time, struct sample *low)
{
    int64_t settle_ns = options_of(run->config)->settle_ns, wanted = run->config->connections / 10;
    run->top = run->config->connections; // the views say that the ones wanted now are a part
    for (int pause = 0; pause < 2 && wanted > *before; pause++) {
        if (!order_connect_to(run, *before, wanted, subscribe, time) || !run_settle(run, settle_ns, low))
            return false;
        *before = wanted;
        wanted = curve_low(&run->curve, wanted, run->config->connections);
    }
    return true;
}

static bool connect_all(struct run *run, struct sample samples[3], bool *has_low, bool *has_full,
                        struct connect_time *time)
{
    const struct config *config = run->config;
    const struct connect *own = options_of(config);
    enum fleet_subscribe subscribe = own->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    int64_t before = 0;
    run_phase(run, "connect");
    if (config->watch.count > 0 && config->connections >= SLOPE_CONNECTIONS_MIN) {
        if (!connect_low(run, &before, subscribe, time, &samples[1]))
            return false;
        *has_low = true;
    }
    run->top = 0;
    if (!order_connect_to(run, before, config->connections, subscribe, time))
        return false;
    run_phase(run, "hold");
    *has_full = run_settle(run, config->watch.count > 0 ? own->settle_ns : 0, &samples[2]);
    return *has_full;
}

// The reading before the first client, and what is known of clients before the run.
static bool read_start(struct run *run, struct sample *start)
{
    const struct connect *own = options_of(run->config);
    bool its = record_of_target(run, &own->watch_records);
    int64_t counted = its ? served_counted(&own->watch_records, run->config->watch.count) : -1;
    if (!run_rest(run) || !run_sample(run, start))
        return false;
    served_judge(run, start, counted, own->fresh_target);
    return true;
}

static void play(struct run *run, struct summary *summary)
{
    struct sample samples[3]; // at the start, at the lower point of slopes, with all
    bool has_low = false, has_full = false;
    struct connect_time time = {.pace = &options_of(run->config)->pace};
    if (read_start(run, &samples[0]) && connect_all(run, samples, &has_low, &has_full, &time)) {
        run->lossy = true;
        run_hold(run, options_of(run->config)->hold_ns);
        if (run->config->prove && !run_is_broken(run))
            order_prove(run, summary);
    }
    order_add_connect_rate(run, summary, &time);
    if (has_full)
        summary_add_memory(summary, run, &samples[0], has_low ? &samples[1] : NULL, &samples[2]);
    run_disconnect(run);
    arrivals_add_returns(run, summary);
}

const struct scenario scenario_connect = {
    .name = "connect",
    .summary = "connects so many clients, at a rate or as fast as it goes, and holds them",
    .measures = SCENARIO_MEASURES_CONNECTS SCENARIO_MEASURES_RETURNS SCENARIO_MEASURES_SLOPES,
    .proves = true,
    .limit_of = LOAD_CONNECTS,
    .options = options,
    .options_bytes = sizeof(struct connect),
    .check = check,
    .check_run = check_run,
    .describe = describe,
    .play = play,
};
