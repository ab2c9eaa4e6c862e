// SPDX-License-Identifier: Apache-2.0
// Scenario `mix`: groups of clients, each with a life of its own, in phases that all of them share. A file says which
// (mix_plan.h). Each group is a crew (loadgen/crew.h): what it does in a phase is the order that another scenario gives to
// all of its clients, so connects, messages, arrivals and changes of subscriptions are those of connect, publish, churn,
// storm, subscribe and slow.
#include "base/clock.h"
#include "loadgen/engine.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/mix_results.h"

#include <errno.h>
#include <string.h>

struct mix_options {
    const char *file;
    bool spread_pairs;
    struct mix *mix; // by check; freed by release
};
_Static_assert(sizeof(struct mix_options) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct mix_options, field)
static const struct opt options[] = {
    {"mix", "FILE", OPT_TEXT, AT(file), NULL, 0, 0, NULL,
     "the groups and phases, in the plain form that scripts/poolmark mix makes of a TOML file (docs/mix.md)",
     NULL},
    OPTION_SPREAD_PAIRS(AT(spread_pairs)),
    {0},
};

static struct mix_options *options_of(const struct config *config)
{
    return (void *)(uintptr_t)config->options;
}

static const struct mix *mix_of(const struct config *config)
{
    return options_of(config)->mix;
}

// What each group says for itself. An option for all of them would be silently ignored.
static const char *const refuses[] = {"qos",
                                      "keep-alive",
                                      "rate",
                                      "workers",
                                      "clients-per-worker",
                                      "client-id",
                                      "start-number",
                                      "username",
                                      "password",
                                      "users",
                                      "clean",
                                      "topic",
                                      "will-topic",
                                      "will-payload",
                                      "will-qos",
                                      "will-retain",
                                      NULL};

static int check(struct config *config, struct err *err)
{
    struct mix_options *own = options_of(config);
    if (!own->file)
        return err_set(err, -EINVAL,
                       "no --mix FILE: which groups and phases? scripts/poolmark mix reads TOML");
    int code = mix_plan_open(&own->mix, own->file, config, own->spread_pairs, err);
    if (code < 0)
        return code;
    for (int i = 0; i < own->mix->group_count; i++) {
        config->connections += own->mix->groups[i].config->connections;
        config->later += own->mix->groups[i].config->later;
    }
    config->crews = own->mix->crews;
    config->crew_count = own->mix->group_count;
    return 0;
}

static int prepare(struct config *config, struct err *err)
{
    int code = mix_plan_prepare(options_of(config)->mix, err);
    return code < 0 ? err_prefix(err, code, "--mix %s", options_of(config)->file) : 0;
}

static void release(struct config *config)
{
    mix_plan_close(options_of(config)->mix);
    options_of(config)->mix = NULL;
}

static void describe(const struct config *config, json_t *json)
{
    json_object_set_new(json, "pattern", json_string("mix"));
    json_object_set_new(json, "later", json_integer(config->later));
    json_object_update_missing_new(json, mix_plan_describe(mix_of(config)));
}

// --- orders ------------------------------------------------------------------------------------------------

struct acts {
    struct crew_act list[CREWS_MAX];
    int count;
    int64_t limit_ns;
};

static enum fleet_subscribe subscribe_of(const struct mix_group *group)
{
    if (group->role != ROLE_IDLE)
        return FLEET_SUBSCRIBE_PAIR;
    return mix_own_of(group)->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
}

static struct fleet_order arrive(const struct mix_act *act, const struct config *config, int64_t duration_ns)
{
    const struct mix_act_values *values = &act->values;
    struct turns turns = {.away_ns = values->away_ns,
                          .rate_per_s = act->rate_per_s,
                          .leave = values->by,
                          .comeback = values->comeback};
    struct fleet_order order = arrivals_turns(config, &turns, duration_ns);
    order.act = FLEET_ARRIVE;
    if (act->what == DO_CHURN)
        return order;
    order.arrivals = FLEET_ARRIVALS_ONCE;
    order.duration_ns = 0;
    order.wait_first = act->what == DO_STORM && comeback_waits_first(&values->comeback);
    return order;
}

static struct fleet_order order_of(const struct mix *mix, const struct mix_phase *phase,
                                   const struct mix_act *act)
{
    const struct mix_group *group = &mix->groups[act->group];
    const struct config *config = group->config;
    struct fleet_order order = {.rate_per_s = act->rate_per_s, .drain_ns = act->values.drain_ns};
    switch (act->what) {
    case DO_CONNECT:
        if (act->arrives)
            order = arrive(act, config, 0);
        else
            order = (struct fleet_order){.act = FLEET_CONNECT, .rate_per_s = act->rate_per_s};
        order.gated = !act->arrives && !(act->rate_per_s > 0);
        break;
    case DO_CHURN:
    case DO_STORM:
        order = arrive(act, config, phase->keys.duration_ns);
        break;
    case DO_SUBSCRIBE:
    case DO_UNSUBSCRIBE:
        order.act = FLEET_SUBSCRIBE;
        order.filters = act->values.filters;
        order.wildcards = act->values.wildcards;
        order.removes = act->what == DO_UNSUBSCRIBE;
        break;
    case DO_LEAVE:
        order.act = FLEET_CLOSE;
        order.leave = arrivals_leave(act->values.by);
        order.drain_ns = 30 * NS_PER_S;
        break;
    case DO_PUBLISH:
    case DO_SLOW: // a part of the publishers' order
    case DO_COUNT:
        order.act = FLEET_PUBLISH;
        order.in_flight = act->values.in_flight;
        order.duration_ns = phase->keys.duration_ns;
        order.retain = mix_own_of(group)->retain;
        break;
    }
    order.subscribe = subscribe_of(group);
    order.before = act->before;
    order.goal = act->goal;
    order.pattern = config->pattern;
    order.qos = (int)config->qos;
    order.seed = (uint64_t)config->seed;
    order.shape = mix_act_shape(mix, phase, act);
    return order;
}

// Every act ends by itself. This limit only keeps a run from waiting for ever if one does not.
static int64_t limit_of(const struct fleet_order *order, int64_t timeout_ns)
{
    int64_t acts = (order->goal - order->before) * (order->act == FLEET_SUBSCRIBE ? order->filters : 1);
    int64_t limit_ns =
        order->duration_ns + order->away_ns + order->drain_ns + 4 * timeout_ns + 600 * NS_PER_S;
    return limit_ns + (order->duration_ns == 0 ? pace_span_ns(order, acts) : 0);
}

static void give(struct acts *acts, struct run *run, int group, const struct fleet_order *order, bool shown)
{
    int64_t limit_ns = limit_of(order, run->config->timeout_ns);
    acts->list[acts->count++] = (struct crew_act){.crew = group, .order = *order, .shown = shown};
    acts->limit_ns = limit_ns > acts->limit_ns ? limit_ns : acts->limit_ns;
}

// The order of subscribers, while their publishers publish by `order`. Of readers that are not slow all deliveries are
// alike, whatever others do.
static struct fleet_order reading(const struct fleet_order *publish, const struct mix_group *group,
                                  const struct mix_act *slow)
{
    struct fleet_order order = *publish;
    if (group->config->qos < publish->qos)
        order.qos_below = publish->qos - (int)group->config->qos;
    if (group->role != ROLE_SLOW_READER) {
        order.pattern.slow = 0;
        return order;
    }
    order.slow_until_ns = INT64_MAX;
    order.slow_from_ns = INT64_MAX / 4; // never
    if (slow) {
        order.slow_from_ns = 0;
        order.slow_until_ns = slow->values.for_ns > 0 ? slow->values.for_ns : INT64_MAX;
        order.read_per_s = slow->values.read_per_s;
    }
    return order;
}

static struct acts acts_of(struct run *run, const struct mix *mix, const struct mix_phase *phase)
{
    struct acts acts = {.count = 0};
    for (int i = 0; i < phase->act_count; i++) {
        const struct mix_act *act = &phase->acts[i];
        if (act->what == DO_SLOW)
            continue;
        struct fleet_order order = order_of(mix, phase, act);
        // Subscribers first: they must know their order when the first message comes.
        for (int reader = 0; act->what == DO_PUBLISH && reader < mix->group_count; reader++) {
            const struct mix_group *group = &mix->groups[reader];
            if (!mix_reads(group) || group->source != act->group)
                continue;
            struct fleet_order read = reading(&order, group, mix_act_of(phase, reader));
            give(&acts, run, reader, &read, false);
        }
        give(&acts, run, act->group, &order, true);
    }
    return acts;
}

// --- the run -----------------------------------------------------------------------------------------------

// Counts the clients that each group is to have when the phase is over. Are there some that stay connected all the time?
// Then the run ends when all connections are lost.
static bool count_wanted(const struct mix_phase *phase, int64_t open[CREWS_MAX], int groups, int64_t *wanted)
{
    int64_t stay = 0;
    *wanted = 0;
    for (int i = 0; i < groups; i++) {
        const struct mix_act *act = mix_act_of(phase, i);
        bool all_go = act && (act->what == DO_CHURN || act->what == DO_STORM);
        if (act && act->what == DO_LEAVE)
            open[i] = act->before;
        stay += all_go ? 0 : open[i];
        if (act && act->what == DO_CONNECT)
            open[i] = act->goal;
        *wanted += open[i];
    }
    return stay > 0;
}

static bool play_phase(struct run *run, struct summary *summary, const struct mix *mix, int number,
                       struct mix_phase_result *result)
{
    const struct mix_phase *phase = &mix->phases[number];
    struct acts acts = acts_of(run, mix, phase);
    run_phase(run, phase->name);
    result->at_ns = clock_now_ns();
    bool fine = acts.count == 0 || run_acts(run, acts.list, acts.count, acts.limit_ns);
    if (acts.count > 0 && acts.list[0].order.at_ns > 0)
        result->at_ns = acts.list[0].order.at_ns;
    int64_t left_ns = result->at_ns + phase->keys.duration_ns - clock_now_ns();
    if (fine && left_ns > 0)
        fine = run_hold(run, left_ns);
    result->ended_ns = clock_now_ns();
    bool settles = phase->keys.settle_ns > 0 && run->config->watch.count > 0;
    if (fine)
        fine = settles ? run_settle(run, phase->keys.settle_ns, &result->sample)
                       : run_sample(run, &result->sample);
    run_collect(run);
    result->connections = run->tally.count[TALLY_OPEN];
    mix_results_add_phase(run, summary, mix, number, result);
    // Without a connected client there is nothing to measure.
    if (fine && run->wanted > 0 && result->connections == 0)
        run_break(run, "no client is connected after phase %s: %s", phase->name,
                  tally_reason_text(tally_main_reason(&run->tally)));
    return fine && !run_is_broken(run);
}

static void play(struct run *run, struct summary *summary)
{
    const struct mix *mix = mix_of(run->config);
    struct mix_phase_result results[MIX_PHASES_MAX] = {0};
    struct sample start = {0};
    int64_t open[CREWS_MAX] = {0};
    int count = 0;
    bool fine = run_rest(run) && run_sample(run, &start);
    while (fine && count < mix->phase_count) {
        run->lossy = count_wanted(&mix->phases[count], open, mix->group_count, &run->wanted);
        fine = play_phase(run, summary, mix, count, &results[count]);
        count++;
    }
    run_disconnect(run);
    mix_results_add_run(run, summary, mix, &start, results, count);
}

const struct scenario scenario_mix = {
    .name = "mix",
    .summary = "groups of clients, each with a life of its own, in phases: a file says which",
    .measures = SCENARIO_MEASURES SCENARIO_MEASURES_MESSAGES
    "GROUP.* phase.* deliveries.expected delivery_slow.* recovery.* arrival.* "
    "arrival_uncorrected.* arrivals.* subscribe.* unsubscribe.* memory.peak_bytes memory.after_bytes",
    .refuses = refuses,
    .why_refused = "of a mix the groups in its file say that",
    .options = options,
    .options_bytes = sizeof(struct mix_options),
    .check = check,
    .prepare = prepare,
    .release = release,
    .describe = describe,
    .describe_keys = mix_keys_describe,
    .play = play,
};
