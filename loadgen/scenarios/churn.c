// SPDX-License-Identifier: Apache-2.0
// Scenario `churn`: clients are held, and take turns at leaving and coming back, at a rate. The latency of an
// arrival counts from the time at which the client was to be back.
#include "loadgen/scenarios/arrivals.h"

#include <errno.h>
#include <string.h>

enum { CONNECTIONS = 1000 };

struct churn {
    int64_t connections, duration_ns, away_ns, settle_ns;
    double rate_per_s;
    const char *leave, *schedule;
    struct comeback comeback;
    bool subscribe, keep_sessions;
};
_Static_assert(sizeof(struct churn) <= CONFIG_OPTIONS_BYTES, "the options have no room");

static const char *const schedules[] = {"constant", "poisson", NULL};

#define AT(field) offsetof(struct churn, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many are held; 0: 1000"),
    {"churn-rate", "N/s", OPT_RATE, AT(rate_per_s), "100", 0.001, 1e9, NULL,
     "clients that leave and come back a second, all together, open loop", NULL},
    {"schedule", "NAME", OPT_CHOICE, AT(schedule), "constant", 0, 0, schedules,
     "when they do: constant (equal intervals) or poisson (random ones, by --seed)", NULL},
    {"away", "D", OPT_DURATION, AT(away_ns), "0", 0, OPTION_FAR, NULL,
     "how long a client stays away before it comes back", NULL},
    OPTION_LEAVE(AT(leave)),
    OPTION_KEEP_SESSIONS(AT(keep_sessions)),
    OPTIONS_BACKOFF(AT(comeback), "0"),
    OPTION_SUBSCRIBE(AT(subscribe)),
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
    const struct churn *own = options_of(config);
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    config->keep_sessions = own->keep_sessions;
    double absent = own->rate_per_s * (double)own->away_ns / 1e9; // clients, on average
    if (absent > (double)config->connections)
        return err_set(err, -EINVAL,
                       "--churn-rate %g and --away: %.0f clients would be away at a time, and there are %lld",
                       own->rate_per_s, absent, (long long)config->connections);
    return arrivals_check(config, own->leave, &own->comeback, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct churn *own = options_of(config);
    json_object_set_new(json, "arrival_rate_per_s", json_real(own->rate_per_s));
    json_object_set_new(json, "schedule", json_string(own->schedule));
    json_object_set_new(json, "away_ns", json_integer(own->away_ns));
    json_object_set_new(json, "keep_sessions", json_boolean(own->keep_sessions));
    json_object_set_new(json, "subscribe", json_boolean(own->subscribe));
    json_object_set_new(json, "duration_ns", json_integer(own->duration_ns));
    arrivals_describe(json, own->leave, &own->comeback);
}

static bool churn(struct run *run, struct arrivals *arrivals)
{
    const struct churn *own = options_of(run->config);
    struct fleet_order order = {
        .arrivals = strcmp(own->schedule, "poisson") == 0 ? FLEET_ARRIVALS_POISSON : FLEET_ARRIVALS_CONSTANT,
        .subscribe = own->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE,
        .goal = run->config->connections,
        .rate_per_s = own->rate_per_s,
        .duration_ns = own->duration_ns,
        .away_ns = own->away_ns,
        .leave = arrivals_leave(own->leave),
    };
    arrivals_set_backoff(&order, &own->comeback);
    run_phase(run, "churn");
    return arrivals_order(run, &order, arrivals);
}

static void play(struct run *run, struct summary *summary)
{
    const struct churn *own = options_of(run->config);
    arrivals_play(run, summary, own->subscribe, own->settle_ns, churn);
}

const struct scenario scenario_churn = {
    .name = "churn",
    .summary = "clients take turns at leaving and coming back, at a rate",
    .options = options,
    .options_bytes = sizeof(struct churn),
    .check = check,
    .describe = describe,
    .play = play,
};
