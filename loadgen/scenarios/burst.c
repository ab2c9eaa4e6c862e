// SPDX-License-Identifier: Apache-2.0
// Scenario `burst`: calm, storm, calm. Some clients are held; others come at once, stay for a while, and leave;
// and so again. The target's pools have to expand for them, and what they keep afterwards is seen.
//
// arrivals.csv has a line for each client of each burst. With the target's events.csv they tell which arrivals
// came while a pool expanded (scripts/python/poolmark/records/measures.py).
#include "base/clock.h"
#include "base/csv.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/orders.h"

#include <errno.h>
#include <inttypes.h>

enum { CONNECTIONS = 1000 };

struct burst {
    int64_t connections, more, repeats, hold_ns, calm_ns, settle_ns;
    double rate_per_s;
    struct pace pace;
    const char *leave;
    struct comeback comeback;
    bool subscribe;
};
_Static_assert(sizeof(struct burst) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct burst, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many are held; 0: 1000"),
    {"burst", "N", OPT_COUNT, AT(more), "5000", 1, 1e9, NULL, "further clients that come in each burst",
     NULL},
    {"burst-rate", "N/s", OPT_RATE, AT(rate_per_s), "0", 0, 1e9, NULL,
     "clients of a burst that come a second, open loop; 0: all are due at its beginning", NULL},
    OPTIONS_PACE(AT(pace)),
    OPTION_REPEAT(AT(repeats), "how many bursts"),
    {"stay", "D", OPT_DURATION, AT(hold_ns), "2s", 0, OPTION_FAR, NULL,
     "how long the clients of a burst stay", NULL},
    {"calm", "D", OPT_DURATION, AT(calm_ns), "2s", 0, OPTION_FAR, NULL,
     "how long it is calm after each burst", NULL},
    OPTION_LEAVE(AT(leave)),
    OPTIONS_BACKOFF(AT(comeback)),
    OPTION_SUBSCRIBE(AT(subscribe)),
    OPTION_SETTLE(AT(settle_ns)),
    {0},
};

static const struct burst *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check(struct config *config, struct err *err)
{
    struct burst *own = (void *)config->options;
    config->connections = (own->connections > 0 ? own->connections : CONNECTIONS) + own->more;
    config->later = own->more;
    config->arrival_times = true;
    if (arrivals_leave(own->leave) == LEAVE_MIX)
        return err_set(err, -EINVAL, "--leave mix: the clients of a burst leave together, in one way");
    int code =
        pace_check(&own->pace, "burst-rate", own->rate_per_s, &(struct pace_length){.acts = own->more}, err);
    if (code == 0)
        code = order_check_topic(config, own->subscribe, err);
    return code < 0 ? code : arrivals_check(config, own->leave, &own->comeback, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct burst *own = options_of(config);
    json_object_set_new(json, "burst", json_integer(own->more));
    json_object_set_new(json, "arrival_rate_per_s", json_real(own->rate_per_s));
    pace_describe(json, &own->pace);
    json_object_set_new(json, "repeat", json_integer(own->repeats));
    json_object_set_new(json, "stay_ns", json_integer(own->hold_ns));
    json_object_set_new(json, "calm_ns", json_integer(own->calm_ns));
    json_object_set_new(json, "subscribe", json_boolean(own->subscribe));
    arrivals_describe(json, own->leave, &own->comeback);
}

static struct csv *open_file(struct run *run)
{
    struct csv *csv = NULL;
    char path[4096];
    struct err err = {0};
    if (run->record && csv_open(&csv, record_path(run->record, "arrivals.csv", path, sizeof path),
                                "burst,client,target,intended_ns,started_ns,connected_ns", &err) < 0)
        run_break(run, "%s", err.text);
    return csv;
}

// Writes the arrivals of a burst, and forgets them.
static void write_burst(struct run *run, struct csv *csv, int burst)
{
    struct arrival_time *times = run->setup.arrival_times;
    int64_t first = run->config->connections - run->config->later;
    for (int64_t i = 0; csv && times && i < run->config->later; i++) {
        if (times[i].ended_ns == 0)
            continue;
        csv_row(csv, "%d,%" PRId64 ",%d,%" PRId64 ",%" PRId64 ",%" PRId64, burst, first + i,
                (int)(plan_route(&run->plan, first + i).target - run->plan.targets), times[i].intended_ns,
                times[i].started_ns, times[i].ended_ns);
        times[i] = (struct arrival_time){0};
    }
}

static bool leave(struct run *run)
{
    const struct burst *own = options_of(run->config);
    struct fleet_order order = {.act = FLEET_CLOSE,
                                .before = run->config->connections - run->config->later,
                                .goal = run->config->connections,
                                .leave = arrivals_leave(own->leave),
                                .drain_ns = 30 * NS_PER_S};
    run_phase(run, "leave");
    return run_order(run, run->fleet, &order, 600 * NS_PER_S);
}

// One burst. `after` gets a reading when it is calm again.
static bool storm(struct run *run, struct csv *csv, int number, struct arrivals *arrivals,
                  struct sample *after)
{
    const struct burst *own = options_of(run->config);
    int64_t settle_ns = run->config->watch.count > 0 ? own->settle_ns : 0;
    struct fleet_order order = {
        .arrivals = FLEET_ARRIVALS_ONCE,
        .subscribe = own->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE,
        .before = run->config->connections - run->config->later,
        .goal = run->config->connections,
        .rate_per_s = own->rate_per_s,
        .shape = pace_shape(&own->pace, run->config->seed, number),
    };
    arrivals_set_backoff(&order, &own->comeback);
    run_phase(run, "burst");
    run->wanted = run->config->connections;
    bool fine = arrivals_order(run, &order, arrivals);
    write_burst(run, csv, number);
    struct sample peak;
    fine = fine && run_sample(run, &peak) && run_hold(run, own->hold_ns) && leave(run);
    run_phase(run, "calm");
    run->wanted = order.before;
    return fine && run_hold(run, own->calm_ns) && run_settle(run, settle_ns, after);
}

static void play(struct run *run, struct summary *summary)
{
    const struct burst *own = options_of(run->config);
    struct sample start, full, after;
    struct connect_time time = {0};
    struct arrivals arrivals = {0};
    struct csv *csv = open_file(run);
    enum fleet_subscribe subscribe = own->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    bool fine = run_rest(run) && run_sample(run, &start);
    run_phase(run, "connect");
    fine = fine &&
           order_connect_to(run, 0, run->config->connections - run->config->later, subscribe, &time) &&
           run_settle(run, run->config->watch.count > 0 ? own->settle_ns : 0, &full);
    bool seen = fine;
    for (int i = 0; fine && i < own->repeats; i++)
        fine = storm(run, csv, i + 1, &arrivals, &after);
    if (seen && fine)
        arrivals_add_memory(run, summary, &start, &full, &after);
    if (fine && run->config->prove)
        order_prove(run, summary);
    order_add_connect_rate(run, summary, &time);
    arrivals_add(run, summary, &arrivals);
    run_disconnect(run);
    (void)!csv_close_account(csv, &run->arrivals_account);
}

const struct scenario scenario_burst = {
    .name = "burst",
    .summary = "holds some clients; again and again many more come at once, stay, and leave",
    .measures = SCENARIO_MEASURES_ARRIVALS "cpu.per_arrival_ns",
    .proves = true,
    .limit_of = LOAD_ARRIVALS,
    .options = options,
    .options_bytes = sizeof(struct burst),
    .check = check,
    .describe = describe,
    .play = play,
};
