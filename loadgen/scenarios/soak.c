// SPDX-License-Identifier: Apache-2.0
// Scenario `soak`: hours of a modest load. Clients are held and take turns at leaving and coming back; beside them pairs
// publish, from a process of their own. The run ends with verdicts: does the target's memory grow (loadgen/trend.h),
// and would the three thresholds of a monitoring table have rung: a pool above 90 % of its maximum, memory that grows
// by more than 20 % an hour, reuse below 50 %.
#include "base/clock.h"
#include "loadgen/costs.h"
#include "loadgen/limits.h"
#include "loadgen/memory_notes.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/scenarios/pool_use.h"
#include "loadgen/scenarios/pools_file.h"
#include "loadgen/scenarios/record_of.h"
#include "loadgen/summary_growth.h"
#include "loadgen/trend.h"
#include "loadgen/withheld.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { CONNECTIONS = 1000, PAIRS = 10, PAYLOAD_BYTES = 64 };
static const double FULL_PERCENT = 90, GROWTH_PERCENT_PER_H = 20, REUSE_PERCENT = 50;

struct soak {
    int64_t connections, pairs, duration_ns, drain_ns, settle_ns;
    double publish_rate_per_s;
    struct turns turns;
    struct opt_list watch_records;
};
_Static_assert(sizeof(struct soak) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct soak, field)
static const struct opt options[] = {
    {"duration", "D", OPT_DURATION, AT(duration_ns), "1h", 1e6, OPTION_FAR, NULL,
     "how long, 1h for soak: a run of minutes is mostly too short to tell", NULL},
    OPTION_CONNECTIONS(AT(connections), "how many are held; 0: 1000"),
    OPTIONS_TURNS(AT(turns)),
    {"pairs", "N", OPT_COUNT, AT(pairs), "0", 0, 5e7, NULL, "pairs of further clients that publish; 0: 10",
     NULL},
    {"publish-rate", "N/s", OPT_RATE, AT(publish_rate_per_s), "1000", 0, 1e9, NULL,
     "messages of 64 bytes a second, all pairs together, open loop", NULL},
    OPTION_DRAIN(AT(drain_ns), "at the end wait for so long for messages on their way"),
    OPTION_SETTLE(AT(settle_ns)),
    OPTION_WATCH_RECORD(AT(watch_records),
                        "soak judges how full its pools were, and how many gets they served"),
    {0},
};

struct soaked {
    struct sample start, full, after; // no connection; all held; when the load is over
    struct arrivals arrivals;
    struct fleet_order publish;
    struct connect_time time;
    bool held; // `full` was read
};

static const struct soak *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int64_t pairs_of(const struct soak *own)
{
    return own->pairs > 0 ? own->pairs : PAIRS;
}

static int check(struct config *config, struct err *err)
{
    struct soak *own = (void *)config->options;
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    config->probes = 2 * pairs_of(own);
    if (!(own->publish_rate_per_s > 0))
        return err_set(err, -EINVAL, "--publish-rate 0: a soak keeps a modest rate: more than 0");
    int code = order_check_topic(config, own->turns.subscribe, err);
    return code < 0 ? code : arrivals_check_turns(config, &own->turns, own->duration_ns, err);
}

static int check_run(const struct config *config, struct err *err)
{
    return pools_file_check(&options_of(config)->watch_records, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct soak *own = options_of(config);
    arrivals_describe_turns(json, &own->turns);
    json_object_set_new(json, "duration_ns", json_integer(own->duration_ns));
    json_object_set_new(json, "pairs", json_integer(pairs_of(own)));
    json_object_set_new(json, "publish_rate_per_s", json_real(own->publish_rate_per_s));
    json_object_set_new(json, "payload_bytes", json_integer(PAYLOAD_BYTES));
    json_object_set_new(json, "qos", json_integer(config->qos));
    json_object_set_new(json, "drain_ns", json_integer(own->drain_ns));
    json_object_set_new(json, "settle_ns", json_integer(own->settle_ns));
}

// --- what was loaded ---------------------------------------------------------------------------------------

static void add_messages(struct run *run, struct summary *summary, const struct soaked *soaked)
{
    const int64_t *count = run->probe_tally.count;
    int64_t from_ns = soaked->publish.at_ns, to_ns = from_ns + soaked->publish.duration_ns;
    if (count[TALLY_DUE] == 0)
        return;
    if (run->broken_ns > 0 && run->broken_ns < to_ns)
        to_ns = run->broken_ns;
    if (count[TALLY_LAST_RECEIVED_NS] > to_ns)
        to_ns = count[TALLY_LAST_RECEIVED_NS];
    double seconds = (double)(to_ns - from_ns) / 1e9;
    summary_add(summary, "messages.sent", (double)count[TALLY_PUBLISHED], "1", "none");
    summary_add(summary, "messages.received", (double)count[TALLY_RECEIVED], "1", "none");
    summary_add(summary, "messages.not_sent", (double)count[TALLY_NOT_SENT], "1", "lower");
    summary_add(summary, "messages.lost", (double)count[TALLY_LOST], "1", "lower");
    summary_add(summary, "messages.unfinished", (double)count[TALLY_UNFINISHED], "1", "lower");
    summary_add(summary, "messages.duplicates", (double)count[TALLY_DUPLICATES], "1", "lower");
    if (run->config->qos > 0)
        summary_add(summary, "messages.unacknowledged", (double)count[TALLY_UNACKED], "1", "lower");
    summary_add_message_faults(summary, &run->probe_tally);
    summary_add(summary, "messages.rate_asked", soaked->publish.rate_per_s, "1/s", "none");
    if (seconds <= 0)
        return;
    summary_add(summary, "messages.seconds", seconds, "s", "none");
    summary_add(summary, "messages.rate", (double)count[TALLY_RECEIVED] / seconds, "1/s", "higher");
    struct limits_acts acts = {.kind = LOAD_MESSAGES,
                               .asked_per_s = soaked->publish.rate_per_s,
                               .had_per_s = (double)count[TALLY_RECEIVED] / seconds,
                               .took_ns = (int64_t)(seconds * 1e9),
                               .probes = true,
                               .due = count[TALLY_DUE],
                               .not_sent = count[TALLY_NOT_SENT]};
    limits_add(run, summary, &acts);
    if (count[TALLY_LOST] > 0)
        run_anomaly(run, "lost", "%lld messages were sent and did not arrive", (long long)count[TALLY_LOST]);
    if (count[TALLY_NOT_SENT] > 0)
        run_anomaly(run, "not_sent", "%lld messages were due and not sent", (long long)count[TALLY_NOT_SENT]);
    if (count[TALLY_UNACKED] > 0)
        run_anomaly(run, "unacknowledged", "%lld messages were not acknowledged",
                    (long long)count[TALLY_UNACKED]);
}

// What others did meanwhile is in the readings, and in their trend: also of a soak that was ended early. With the target
// all connections end.
static void judge_others(struct run *run, const struct soaked *soaked)
{
    struct sample last = soaked->after;
    costs_judge_memory(run, &soaked->start, &soaked->full,
                       soaked->full.connections - soaked->start.connections);
    if (last.at_ns == 0 && run->targets.ended > 0)
        return;
    if (last.at_ns == 0) {
        sampler_last(run->sampler, &last);
        last.target_descriptors = -1; // of clients on their way too
        run_take_census(run, &last.census);
    }
    struct cost_part part = costs_between(&soaked->full, &last);
    part.made = run->tally.count[TALLY_ARRIVED] + run->probe_tally.count[TALLY_RECEIVED];
    (void)costs_each(run, &part, &costs_of_arrivals);
}

static void add_memory(struct run *run, struct summary *summary, const struct soaked *soaked)
{
    const struct sample *start = &soaked->start, *full = &soaked->full;
    struct sample peak;
    sampler_peak(run->sampler, &peak);
    summary_add_reading(summary, "start", start);
    summary_add_reading(summary, "full", full);
    summary_add_levels(summary, run, start, full);
    if (summary_judged(full, start, full) < 0)
        return;
    summary_add_bytes(summary, "memory.peak_bytes", summary_judged(&peak, start, full));
    memory_notes_peak(run, &peak);
    judge_others(run, soaked);
    if (soaked->after.at_ns == 0) // the run ended before
        return;
    summary_add_reading(summary, "after", &soaked->after);
    summary_add_bytes(summary, "memory.after_bytes", summary_judged(&soaked->after, start, full));
}

// --- verdicts ----------------------------------------------------------------------------------------------

// The readings of memory while the load ran, counted as memory.full_bytes is; those without that are left out.
static size_t take_points(struct run *run, const struct soaked *soaked, struct trend_point **points)
{
    struct sampler_kept *kept;
    size_t count = sampler_take_kept(run->sampler, &kept), found = 0;
    *points = calloc(count + 1, sizeof **points);
    for (size_t i = 0; *points && i < count; i++) {
        struct sample one = {.target_private_bytes = kept[i].private_bytes,
                             .target_pss_bytes = kept[i].pss_bytes,
                             .target_rss_bytes = kept[i].rss_bytes};
        int64_t bytes = summary_judged(&one, &soaked->start, &soaked->full);
        if (bytes >= 0)
            (*points)[found++] = (struct trend_point){.at_ns = kept[i].at_ns, .bytes = bytes};
    }
    free(kept);
    return found;
}

static void judge_growth(struct summary *summary, const struct trend *trend)
{
    int exceeds = trend_exceeds(trend, GROWTH_PERCENT_PER_H);
    const char *verdict = exceeds > 0    ? "rings"
                          : exceeds == 0 ? "silent"
                                         : trend_verdict_name(TREND_TOO_SHORT);
    if (isnan(trend->low))
        summary_add_verdict(summary, "memory_above_20_percent_an_hour", verdict,
                            "the growth has no interval");
    else
        summary_add_verdict(summary, "memory_above_20_percent_an_hour", verdict,
                            "memory grows by %.3g %% an hour (%.3g to %.3g)",
                            100 * trend->slope / trend->level_bytes, 100 * trend->low / trend->level_bytes,
                            100 * trend->high / trend->level_bytes);
}

static void judge_memory(struct run *run, struct summary *summary, const struct soaked *soaked)
{
    struct trend trend;
    struct trend_point *points;
    size_t count = take_points(run, soaked, &points);
    char text[300];
    bool others = run->withheld & withheld_bit("other_clients");
    bool replaced = run->execs.changed > 0;
    if (run->config->watch.count == 0 || run->owners.wrong || others || replaced) {
        summary_add_verdict(summary, "memory", "not measured", "%s",
                            run->owners.wrong ? "the watched processes are not the target, or not all of it"
                            : replaced
                                ? "a watched process executed another program (anomaly target_replaced)"
                            : others ? "others loaded the target meanwhile (anomaly other_clients)"
                                     : "no process of the target is watched (--watch-pid)");
        free(points);
        return;
    }
    trend_judge(&trend, points, count);
    free(points);
    summary_add(summary, "soak.memory_readings", (double)trend.readings, "1", "none");
    summary_add(summary, "soak.memory_level_bytes", trend.level_bytes, "B", "none");
    summary_add(summary, "soak.memory_slope", trend.slope, "B/h", "lower");
    summary_add(summary, "soak.memory_slope_low", trend.low, "B/h", "none");
    summary_add(summary, "soak.memory_slope_high", trend.high, "B/h", "none");
    summary_add(summary, "soak.memory_growth", 100 * trend.slope / trend.level_bytes, "%/h", "lower");
    bool doubted = withheld_part_by(&run->doubted, "cpu.per_arrival_ns") != NULL; // by others
    summary_add_verdict(summary, "memory", trend_verdict_name(trend.verdict), "%s%s",
                        trend_text(&trend, text, sizeof text),
                        doubted ? "; beside connections of others (anomaly other_connections)" : "");
    judge_growth(summary, &trend);
}

static void judge_pools(struct run *run, struct summary *summary, const struct soaked *soaked)
{
    const struct opt_list *records = &options_of(run->config)->watch_records;
    int64_t from_ns = soaked->publish.at_ns, to_ns = from_ns + soaked->publish.duration_ns;
    struct pool_use use = {0};
    struct err err = {0};
    if (run->broken_ns > 0 && run->broken_ns < to_ns)
        to_ns = run->broken_ns;
    if (!record_of_target(run, records))
        err_set(&err, -EINVAL, "the record that is watched is another broker's (anomaly not_its_record)");
    for (int i = 0; i < records->count && !err.text[0]; i++)
        if (pool_use_add(&use, records->values[i], from_ns, to_ns, &err) < 0)
            run_anomaly(run, "pools", "--watch-record: %s", err.text);
    if (err.text[0] || use.unknown)
        use = (struct pool_use){.unknown = true};
    static const char none[] = "not measured";
    const char *why = err.text[0]          ? err.text
                      : use.unknown        ? "a pool keeps no statistics"
                      : records->count > 0 ? "no pool has a maximum"
                                           : "no record of a broker is watched (--watch-record)";
    double fullest = 100 * use.fullest_share,
           reuse = use.gets > 0 ? 100 * (double)use.hits / (double)use.gets : NAN;
    if (use.bounded > 0) {
        summary_add(summary, "soak.pool_fullness", fullest, "%", "lower");
        summary_add_verdict(summary, "pool_above_90_percent", fullest > FULL_PERCENT ? "rings" : "silent",
                            "pool %s had %.1f %% of its maximum in use", use.fullest, fullest);
    } else {
        summary_add_verdict(summary, "pool_above_90_percent", none, "%s", why);
    }
    if (use.gets > 0) {
        summary_add(summary, "soak.reuse", reuse, "%", "higher");
        summary_add_verdict(summary, "reuse_below_50_percent", reuse < REUSE_PERCENT ? "rings" : "silent",
                            "%.1f %% of %lld gets were served from owned memory", reuse, (long long)use.gets);
    } else {
        summary_add_verdict(summary, "reuse_below_50_percent", none, "%s",
                            records->count > 0 && !use.unknown ? "the pools had no gets" : why);
    }
}

// --- the run -----------------------------------------------------------------------------------------------

static bool load(struct run *run, struct soaked *soaked)
{
    const struct soak *own = options_of(run->config);
    struct fleet_order order = arrivals_turns(run->config, &own->turns, own->duration_ns);
    soaked->publish = (struct fleet_order){
        .act = FLEET_PUBLISH,
        .pattern = pattern_pairs(pairs_of(own)),
        .rate_per_s = own->publish_rate_per_s,
        .duration_ns = own->duration_ns,
        .drain_ns = own->drain_ns,
        .qos = (int)run->config->qos,
        .payload_bytes = PAYLOAD_BYTES,
    };
    soaked->arrivals.beside = &soaked->publish;
    sampler_keep(run->sampler, "soak");
    run_phase(run, "soak");
    bool fine = arrivals_order(run, &order, &soaked->arrivals);
    run_phase(run, "after");
    return fine;
}

static void play(struct run *run, struct summary *summary)
{
    const struct soak *own = options_of(run->config);
    int64_t settle_ns = run->config->watch.count > 0 ? own->settle_ns : 0;
    enum fleet_subscribe what = own->turns.subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    struct soaked soaked = {0};
    if (run_sample(run, &soaked.start) && order_connect_probes(run)) {
        run_phase(run, "connect");
        soaked.held = order_connect_to(run, 0, run->config->connections, what, &soaked.time) &&
                      run_settle(run, settle_ns, &soaked.full);
    }
    if (soaked.held) {
        bool fine = load(run, &soaked) && run_settle(run, settle_ns, &soaked.after);
        // A soak that was ended early is judged by what there is.
        add_memory(run, summary, &soaked);
        judge_memory(run, summary, &soaked);
        judge_pools(run, summary, &soaked);
        add_messages(run, summary, &soaked);
        if (fine && run->config->prove)
            order_prove(run, summary);
    }
    order_add_connect_rate(run, summary, &soaked.time);
    arrivals_add(run, summary, &soaked.arrivals);
    run_disconnect(run);
}

const struct scenario scenario_soak = {
    .name = "soak",
    .summary = "hours of modest load, with a verdict: does the target's memory grow?",
    .measures = SCENARIO_MEASURES_ARRIVALS SCENARIO_MEASURES_MESSAGES
    "soak.memory_slope* soak.memory_growth soak.memory_level_bytes soak.memory_readings "
    "soak.pool_fullness soak.reuse",
    .proves = true,
    .limit_of = LOAD_ARRIVALS,
    .options = options,
    .options_bytes = sizeof(struct soak),
    .check = check,
    .check_run = check_run,
    .describe = describe,
    .play = play,
};
