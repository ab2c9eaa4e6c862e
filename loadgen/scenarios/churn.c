// SPDX-License-Identifier: Apache-2.0
// Scenario `churn`: clients are held, and take turns at leaving and coming back, at a rate. The latency of an
// arrival counts from the time at which the client was to be back.
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/orders.h"

enum { CONNECTIONS = 1000 };

struct churn {
    int64_t connections, duration_ns, settle_ns;
    struct turns turns;
};
_Static_assert(sizeof(struct churn) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct churn, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many are held; 0: 1000"),
    OPTIONS_TURNS(AT(turns)),
    OPTION_DURATION(AT(duration_ns), "how long clients take turns"),
    OPTION_SETTLE(AT(settle_ns)),
    {0},
};

static const struct churn *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check(struct config *config, struct err *err)
{
    struct churn *own = (void *)config->options;
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    int code = order_check_topic(config, own->turns.subscribe, err);
    return code < 0 ? code : arrivals_check_turns(config, &own->turns, own->duration_ns, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct churn *own = options_of(config);
    arrivals_describe_turns(json, &own->turns);
    json_object_set_new(json, "duration_ns", json_integer(own->duration_ns));
}

static bool churn(struct run *run, struct arrivals *arrivals)
{
    const struct churn *own = options_of(run->config);
    struct fleet_order order = arrivals_turns(run->config, &own->turns, own->duration_ns);
    run_phase(run, "churn");
    return arrivals_order(run, &order, arrivals);
}

static void play(struct run *run, struct summary *summary)
{
    const struct churn *own = options_of(run->config);
    arrivals_play(run, summary, own->turns.subscribe, own->settle_ns, churn);
}

const struct scenario scenario_churn = {
    .name = "churn",
    .summary = "clients take turns at leaving and coming back, at a rate",
    .measures = SCENARIO_MEASURES_ARRIVALS "cpu.per_arrival_ns",
    .proves = true,
    .limit_of = LOAD_ARRIVALS,
    .options = options,
    .options_bytes = sizeof(struct churn),
    .check = check,
    .describe = describe,
    .play = play,
};
