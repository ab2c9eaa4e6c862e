// SPDX-License-Identifier: Apache-2.0
// Scenario `storm`: all clients lose their connections and come back at once, as after a restart of the target.
// Either the target goes away and comes back (somebody restarts it), or the generator ends all connections itself
// (--by-client). The latency of an arrival counts from the loss.
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/orders.h"

#include <errno.h>

enum { CONNECTIONS = 1000 };

struct storm {
    int64_t connections, await_ns, settle_ns;
    const char *leave;
    struct comeback comeback;
    bool by_client, subscribe, keep_sessions;
};
_Static_assert(sizeof(struct storm) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct storm, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many; 0: 1000"),
    {"by-client", NULL, OPT_FLAG, AT(by_client), NULL, 0, 0, NULL,
     "the generator ends all connections itself (--leave); otherwise the target is awaited to go away and "
     "come back",
     NULL},
    {"await", "D", OPT_DURATION, AT(await_ns), "60s", 1e6, OPTION_FAR, NULL,
     "without --by-client: how long to wait for the loss of all connections", NULL},
    OPTION_LEAVE(AT(leave)),
    OPTION_KEEP_SESSIONS(AT(keep_sessions)),
    OPTIONS_BACKOFF(AT(comeback)),
    OPTION_SUBSCRIBE(AT(subscribe)),
    OPTION_SETTLE(AT(settle_ns)),
    {0},
};

static const struct storm *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check(struct config *config, struct err *err)
{
    const struct storm *own = options_of(config);
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    config->keep_sessions = own->keep_sessions;
    if (!own->by_client && config->watch.count > 0)
        return err_set(
            err, -EINVAL,
            "--watch-pid: the target is to go away, and the process that comes back is another one; "
            "watch it only with --by-client");
    int code = order_check_topic(config, own->subscribe, err);
    return code < 0 ? code : arrivals_check(config, own->leave, &own->comeback, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct storm *own = options_of(config);
    json_object_set_new(json, "by_client", json_boolean(own->by_client));
    json_object_set_new(json, "await_ns", json_integer(own->await_ns));
    json_object_set_new(json, "keep_sessions", json_boolean(own->keep_sessions));
    json_object_set_new(json, "subscribe", json_boolean(own->subscribe));
    arrivals_describe(json, own->leave, &own->comeback);
}

static bool storm(struct run *run, struct arrivals *arrivals)
{
    const struct storm *own = options_of(run->config);
    struct fleet_order order = {
        .arrivals = own->by_client ? FLEET_ARRIVALS_ONCE : FLEET_ARRIVALS_ON_LOSS,
        .subscribe = own->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE,
        .goal = run->config->connections,
        .duration_ns = own->by_client ? 0 : own->await_ns,
        .leave = arrivals_leave(own->leave),
        .wait_first = comeback_waits_first(&own->comeback),
    };
    arrivals_set_backoff(&order, &own->comeback);
    run_phase(run, "storm");
    int64_t there = run->tally.count[TALLY_OPEN];
    bool fine = arrivals_order(run, &order, arrivals);
    if (fine && run->tally.count[TALLY_ARRIVAL_DUE] == 0)
        run_break(run, "no connection was lost within --await: nobody restarted the target (--by-client?)");
    // A client that was lost more than once has as many arrivals.
    int64_t kept = run->tally.count[TALLY_NOT_LOST], lost = there - kept;
    int64_t due = run->tally.count[TALLY_ARRIVAL_DUE];
    if (!own->by_client && lost >= 0 && due > lost)
        run_anomaly(
            run, "lost_again",
            "%lld of the %lld arrivals are of connections that were lost again after they had come back: the "
            "figures are of more than one storm. Was the target restarted more than once?",
            (long long)(due - lost), (long long)due);
    if (fine && kept > 0 && lost > 0)
        run_anomaly(run, "partial_storm",
                    "%lld connections were lost within --await, of %lld that were there: the others lost "
                    "none, and the "
                    "arrivals are those of a smaller storm. Was one of several targets restarted?",
                    (long long)lost, (long long)there);
    return fine && !run_is_broken(run);
}

static void play(struct run *run, struct summary *summary)
{
    const struct storm *own = options_of(run->config);
    arrivals_play(run, summary, own->subscribe, own->settle_ns, storm);
}

const struct scenario scenario_storm = {
    .name = "storm",
    .summary = "all clients lose their connections, and come back at once",
    .measures = SCENARIO_MEASURES_ARRIVALS "cpu.per_arrival_ns",
    .proves = true,
    .limit_of = LOAD_ARRIVALS,
    .options = options,
    .options_bytes = sizeof(struct storm),
    .check = check,
    .describe = describe,
    .play = play,
};
