// SPDX-License-Identifier: Apache-2.0
// Scenario `steps`: connections in rising steps. At each step the target settles, memory is read by part, and
// a set of probes measures delivery. The curves of memory and latency over connections come from here.
//
// steps.csv has a line for each step, with the values of "steps" in run.json. A value that was not read is
// empty in steps.csv and null in run.json. Memory and CPU time are sums over the watched processes. The parts
// are the bytes that the broker's pools own; the rest is user memory beyond them.
#include "base/clock.h"
#include "base/csv.h"
#include "base/units.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/scenarios/pools_file.h"
#include "loadgen/scenarios/record_of.h"
#include "loadgen/scenarios/served.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PROBE_RATE = 500, // messages a second
    PROBE_S = 3,      // at most; less with a shorter --duration
    DRAIN_S = 5,
    GOAL_MAX = 100000000, // as of --connections
    POOLS_WAIT_S = 3,     // the broker writes its pools each second
    STEPS_MAX = SUMMARY_STEPS_MAX,
};

struct goals {
    int64_t list[STEPS_MAX]; // rising
    int count;
};

struct options {
    struct goals goals;
    int64_t hold_ns, settle_ns, duration_ns, probes;
    bool subscribe, spread_pairs, fresh_target;
    struct comeback comeback;
    struct opt_list watch_records;
};
_Static_assert(sizeof(struct options) <= CONFIG_OPTIONS_BYTES, "the options have no room");

static const struct options *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int parse_steps(const char *value, void *place, struct err *err)
{
    struct goals *steps = place;
    *steps = (struct goals){0};
    const char *at = value;
    for (;;) {
        char part[32];
        size_t bytes = strcspn(at, ",");
        if (bytes == 0 || bytes >= sizeof part)
            return err_set(err, -EINVAL, "it is not a list of counts such as 10,100,1k");
        memcpy(part, at, bytes);
        part[bytes] = '\0';
        int64_t goal;
        if (units_parse_count(part, &goal) < 0 || goal < 1 || goal > GOAL_MAX)
            return err_set(err, -EINVAL, "\"%s\" is not a count of at least 1 and at most 100M", part);
        if (steps->count > 0 && goal <= steps->list[steps->count - 1])
            return err_set(err, -EINVAL, "\"%s\" does not rise: steps must be in rising order", part);
        if (steps->count == STEPS_MAX)
            return err_set(err, -EINVAL, "there are more than %d steps", STEPS_MAX);
        steps->list[steps->count++] = goal;
        if (!at[bytes])
            return 0;
        at += bytes + 1;
    }
}

#define AT(field) offsetof(struct options, field)
static const struct opt options[] = {
    {"steps", "LIST", OPT_PARSE, AT(goals), "10,100,1000,10000", 0, 0, NULL, "connections at each step",
     parse_steps},
    OPTION_SETTLE(AT(settle_ns)),
    {"probe", "N", OPT_COUNT, AT(probes), "100", 0, 10000, NULL,
     "clients beside the others that measure delivery at each step (even)", NULL},
    OPTION_DURATION(AT(duration_ns), "how long the probes publish at each step; at most 3 s"),
    OPTION_SPREAD_PAIRS(AT(spread_pairs)),
    OPTION_SUBSCRIBE(AT(subscribe)),
    OPTIONS_BACKOFF(AT(comeback)),
    OPTION_HOLD(AT(hold_ns)),
    OPTION_FRESH_TARGET(AT(fresh_target)),
    OPTION_WATCH_RECORD(AT(watch_records), "steps reads what its pools own"),
    {0},
};

static int check(struct config *config, struct err *err)
{
    const struct options *own = options_of(config);
    if (own->probes % 2 != 0)
        return err_set(err, -EINVAL, "--probe %lld is odd: probes come in pairs", (long long)own->probes);
    config->connections = own->goals.list[own->goals.count - 1];
    config->probes = own->probes;
    config->spread_pairs = own->spread_pairs;
    int code = order_check_topic(config, own->subscribe, err);
    return code < 0 ? code : comeback_keep(config, &own->comeback, err);
}

static int check_run(const struct config *config, struct err *err)
{
    return pools_file_check(&options_of(config)->watch_records, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct options *own = options_of(config);
    json_t *steps = json_array();
    for (int i = 0; i < own->goals.count; i++)
        json_array_append_new(steps, json_integer(own->goals.list[i]));
    json_object_set_new(json, "steps", steps);
    json_object_set_new(json, "settle_ns", json_integer(own->settle_ns));
    json_object_set_new(json, "probes", json_integer(own->probes));
    comeback_describe(json, &own->comeback);
    json_object_set_new(json, "hold_ns", json_integer(own->hold_ns));
    json_object_set_new(json, "subscribe", json_boolean(own->subscribe));
    json_object_set_new(json, "fresh_target", json_boolean(own->fresh_target));
}

enum column {
    COLUMN_AT_NS,
    COLUMN_CONNECTIONS,
    COLUMN_TOOK_NS, // from the start of this step's connects to the last CONNACK
    COLUMN_PSS,
    COLUMN_PRIVATE,
    COLUMN_RSS,
    COLUMN_OBJECTS, // in the order of enum pool_part
    COLUMN_BUFFERS,
    COLUMN_ARENAS,
    COLUMN_MESSAGES,
    COLUMN_REST,
    COLUMN_SLAB,
    COLUMN_TCP,
    COLUMN_PAGE_TABLES,
    COLUMN_PROC,
    COLUMN_CPU,
    COLUMN_CPU_CONNECTS, // of the part in which this step's clients connected and the target settled
    COLUMN_CPU_EACH,     // of this step's connections
    COLUMN_GENERATOR,
    COLUMN_CONNECT_P50,
    COLUMN_CONNECT_P99,
    COLUMN_DELIVERY_P50,
    COLUMN_DELIVERY_P99,
    COLUMN_DELIVERY_P99_9,
    COLUMN_PROBES,         // messages that arrived
    COLUMN_PROBES_MISSING, // messages that did not: in the figures with their age
    COLUMN_COUNT,
};

static const char *const columns[COLUMN_COUNT] = {
    [COLUMN_AT_NS] = "at_ns",
    [COLUMN_CONNECTIONS] = "connections",
    [COLUMN_TOOK_NS] = "took_ns",
    [COLUMN_PSS] = "target_pss_bytes",
    [COLUMN_PRIVATE] = "target_private_bytes",
    [COLUMN_RSS] = "target_rss_bytes",
    [COLUMN_OBJECTS] = "objects_bytes",
    [COLUMN_BUFFERS] = "buffers_bytes",
    [COLUMN_ARENAS] = "arenas_bytes",
    [COLUMN_MESSAGES] = "messages_bytes",
    [COLUMN_REST] = "rest_bytes",
    [COLUMN_SLAB] = "kernel_slab_bytes",
    [COLUMN_TCP] = "kernel_tcp_bytes",
    [COLUMN_PAGE_TABLES] = "kernel_page_table_bytes",
    [COLUMN_PROC] = "kernel_proc_bytes",
    [COLUMN_CPU] = "target_cpu_ns",
    [COLUMN_CPU_CONNECTS] = "connects_cpu_ns",
    [COLUMN_CPU_EACH] = "cpu_per_connection_ns",
    [COLUMN_GENERATOR] = "generator_pss_bytes",
    [COLUMN_CONNECT_P50] = "connect_p50_ns",
    [COLUMN_CONNECT_P99] = "connect_p99_ns",
    [COLUMN_DELIVERY_P50] = "delivery_p50_ns",
    [COLUMN_DELIVERY_P99] = "delivery_p99_ns",
    [COLUMN_DELIVERY_P99_9] = "delivery_p99_9_ns",
    [COLUMN_PROBES] = "probe_messages",
    [COLUMN_PROBES_MISSING] = "probe_messages_missing",
};

struct step {
    int64_t values[COLUMN_COUNT]; // -1: not read
};

struct steps {
    struct run *run;
    struct summary *summary;
    struct csv *csv; // NULL: no record
    json_t *json;
    struct sample start, before, last; // before: at the step before this one
    struct sample settled[STEPS_MAX];  // of each step
    int count;                         // of these
    bool no_pools;                     // no record tells what the target's pools own
    struct connect_time time;          // of all steps
    struct cost_part connects;         // of all steps
};

static void open_files(struct steps *steps)
{
    struct run *run = steps->run;
    if (!run->record)
        return;
    char header[1024] = "", path[4096];
    for (int i = 0; i < COLUMN_COUNT; i++) {
        strncat(header, i ? "," : "", sizeof header - strlen(header) - 1);
        strncat(header, columns[i], sizeof header - strlen(header) - 1);
    }
    struct err err = {0};
    if (csv_open(&steps->csv, record_path(run->record, "steps.csv", path, sizeof path), header, &err) < 0)
        run_break(run, "%s", err.text);
    steps->json = json_array();
}

static double known(int64_t value)
{
    return value >= 0 ? (double)value : NAN;
}

static void write_step(struct steps *steps, const struct step *step)
{
    const int64_t *values = step->values;
    steps->summary->steps[steps->summary->step_count++] = (struct summary_step){
        .connections = values[COLUMN_CONNECTIONS],
        .took_ns = known(values[COLUMN_TOOK_NS]),
        .connect_p99_ns = known(values[COLUMN_CONNECT_P99]),
        .delivery_p50_ns = known(values[COLUMN_DELIVERY_P50]),
        .delivery_p99_ns = known(values[COLUMN_DELIVERY_P99]),
        .bytes = known(values[COLUMN_PRIVATE] >= 0 ? values[COLUMN_PRIVATE] : values[COLUMN_PSS]),
    };
    if (!steps->csv)
        return;
    char line[1024] = "";
    json_t *json = json_object();
    for (int i = 0; i < COLUMN_COUNT; i++) {
        char value[24] = "";
        if (step->values[i] >= 0)
            snprintf(value, sizeof value, "%" PRId64, step->values[i]);
        size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, "%s%s", i ? "," : "", value);
        json_object_set_new(json, columns[i],
                            step->values[i] >= 0 ? json_integer(step->values[i]) : json_null());
    }
    csv_row(steps->csv, "%s", line);
    json_array_append_new(steps->json, json);
    // Save now, so that the results so far are kept whatever happens.
    record_set(steps->run->record, "steps", json_deep_copy(steps->json));
    (void)!record_save(steps->run->record, NULL);
}

// Reads the pools. The readings are from `since_ns` or later; otherwise POOL_PARTS_NONE.
static struct pool_parts read_parts(struct run *run, int64_t since_ns)
{
    const struct opt_list *dirs = &options_of(run->config)->watch_records;
    int64_t limit_ns = clock_now_ns() + POOLS_WAIT_S * NS_PER_S;
    for (;;) {
        struct pool_parts parts = POOL_PARTS_NONE;
        int failed = 0;
        for (int i = 0; i < dirs->count; i++)
            failed += pools_file_add(&parts, dirs->values[i]) < 0;
        if (dirs->count == 0 || (failed == 0 && parts.at_ns >= since_ns))
            return parts;
        if (clock_now_ns() >= limit_ns || !run_hold(run, 100 * NS_PER_MS))
            return POOL_PARTS_NONE;
    }
}

static void fill_memory(struct step *step, const struct sample *sample, const struct pool_parts *parts)
{
    step->values[COLUMN_AT_NS] = sample->at_ns;
    step->values[COLUMN_PSS] = sample->target_pss_bytes;
    step->values[COLUMN_PRIVATE] = sample->target_private_bytes;
    step->values[COLUMN_RSS] = sample->target_rss_bytes;
    step->values[COLUMN_SLAB] = sample->kernel_slab_bytes;
    step->values[COLUMN_TCP] = sample->kernel_tcp_bytes;
    step->values[COLUMN_PAGE_TABLES] = sample->kernel_page_table_bytes;
    step->values[COLUMN_PROC] = sample->kernel_proc_bytes;
    step->values[COLUMN_CPU] = sample->target_cpu_ns;
    step->values[COLUMN_GENERATOR] = sample->generator_pss_bytes;
    int64_t known = 0;
    bool all_known = true;
    for (int part = 0; part < PART_COUNT; part++) {
        all_known = all_known && parts->bytes[part] >= 0;
        step->values[COLUMN_OBJECTS + part] = parts->bytes[part];
        known += parts->bytes[part] > 0 ? parts->bytes[part] : 0;
    }
    // Pools may own more than is resident (memory not touched yet): then there is no rest.
    int64_t user =
        sample->target_private_bytes >= 0 ? sample->target_private_bytes : sample->target_pss_bytes;
    if (parts->at_ns > 0 && all_known && user >= known)
        step->values[COLUMN_REST] = user - known;
}

static bool probe(struct steps *steps, struct step *step)
{
    struct run *run = steps->run;
    if (!run->probes)
        return true;
    int64_t measured_ns = options_of(run->config)->duration_ns < PROBE_S * NS_PER_S
                              ? options_of(run->config)->duration_ns
                              : PROBE_S * NS_PER_S;
    struct fleet_order order = {
        .act = FLEET_PUBLISH,
        .pattern = pattern_pairs(run->config->probes / 2),
        .rate_per_s = PROBE_RATE,
        .warmup_ns = 200 * NS_PER_MS,
        .duration_ns = measured_ns + 200 * NS_PER_MS,
        .drain_ns = DRAIN_S * NS_PER_S,
        .payload_bytes = 64,
    };
    run_phase(run, "probe");
    bool fine = run_order(run, run->probes, &order, order.duration_ns + order.drain_ns + 60 * NS_PER_S);
    const struct hist *delivery = run->phase_hist[LATENCY_DELIVERY];
    step->values[COLUMN_PROBES_MISSING] = run->phase_censored[LATENCY_DELIVERY];
    step->values[COLUMN_PROBES] = hist_count(delivery) - step->values[COLUMN_PROBES_MISSING];
    if (hist_count(delivery) > 0) {
        step->values[COLUMN_DELIVERY_P50] = hist_percentile_known(delivery, 50);
        step->values[COLUMN_DELIVERY_P99] = hist_percentile_known(delivery, 99);
        step->values[COLUMN_DELIVERY_P99_9] = hist_percentile_known(delivery, 99.9);
    }
    return fine;
}

// The CPU time of a step's connects, without the probes of the step before.
static void add_cost(struct steps *steps, struct step *step, int64_t made, int64_t failed)
{
    struct run *run = steps->run;
    struct cost_part part = costs_between(&steps->before, &steps->last);
    char faults[64];
    part.made = made;
    part.failed = failed + steps->last.lost - steps->before.lost;
    costs_add(&steps->connects, &part);
    step->values[COLUMN_CPU_CONNECTS] = part.cpu_ns;
    if (part.cpu_ns < 0 || made <= 0)
        return;
    if (costs_faults(run, &part, faults)[0] == '\0')
        step->values[COLUMN_CPU_EACH] = part.cpu_ns / made;
    else
        run_anomaly(run, "step_cost", "step of %lld connections: CPU time of a connection has no figure: %s",
                    (long long)steps->last.connections, faults);
}

static int64_t failed_connects(const struct run *run)
{
    return tally_failed(&run->tally) + run->tally.count[TALLY_CONNECT_RETRIES];
}

static bool climb(struct steps *steps, int64_t from, int64_t to)
{
    struct run *run = steps->run;
    struct step step;
    for (int i = 0; i < COLUMN_COUNT; i++)
        step.values[i] = -1;
    step.values[COLUMN_CONNECTIONS] = to;
    run_phase(run, "connect");
    struct connect_time time = {0};
    enum fleet_subscribe subscribe =
        options_of(run->config)->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    int64_t made = run->tally.count[TALLY_CONNECTED], failed = failed_connects(run);
    bool fine = order_connect_to(run, from, to, subscribe, &time);
    made = run->tally.count[TALLY_CONNECTED] - made;
    failed = failed_connects(run) - failed;
    steps->time.took_ns += time.took_ns;
    steps->time.due_ns += time.due_ns;
    steps->time.turns_ns += time.turns_ns;
    if (!fine)
        return false;
    const struct hist *connect = run->phase_hist[LATENCY_CONNECT];
    step.values[COLUMN_TOOK_NS] = time.took_ns;
    if (hist_count(connect) > 0) {
        step.values[COLUMN_CONNECT_P50] = hist_percentile_known(connect, 50);
        step.values[COLUMN_CONNECT_P99] = hist_percentile_known(connect, 99);
    }
    run_phase(run, "settle");
    int64_t settled_ns = clock_now_ns();
    if (!run_settle(run, options_of(run->config)->settle_ns, &steps->last))
        return false;
    struct pool_parts parts = steps->no_pools ? POOL_PARTS_NONE : read_parts(run, settled_ns);
    fill_memory(&step, &steps->last, &parts);
    step.values[COLUMN_CONNECTIONS] = run->tally.count[TALLY_OPEN];
    add_cost(steps, &step, made, failed);
    steps->settled[steps->count++] = steps->last;
    fine = probe(steps, &step);
    // The CPU time of the next step counts from after this step's probes.
    fine = run_sample(run, &steps->before) && fine;
    write_step(steps, &step);
    return fine;
}

// The step from which slopes count: the first from which on memory is that of a fresh target, if there is one.
static const struct sample *low_of(const struct steps *steps)
{
    int low = 0;
    while (low < steps->count - 1 && !curve_is_fresh(&steps->run->curve, steps->settled[low].connections))
        low++;
    return low < steps->count - 1 ? &steps->settled[low] : steps->count > 1 ? &steps->settled[0] : NULL;
}

static void play(struct run *run, struct summary *summary)
{
    const struct goals *wanted = &options_of(run->config)->goals;
    struct steps steps = {.run = run, .summary = summary};
    run->wanted = wanted->list[0];
    run->top = run->config->connections;
    open_files(&steps);
    const struct opt_list *records = &options_of(run->config)->watch_records;
    steps.no_pools = records->count == 0 || !record_of_target(run, records);
    int64_t counted = steps.no_pools ? -1 : served_counted(records, run->config->watch.count);
    bool fine = order_connect_probes(run);
    if (fine) {
        run_phase(run, "start");
        fine = run_settle(run, options_of(run->config)->settle_ns, &steps.start);
        served_judge(run, &steps.start, counted, options_of(run->config)->fresh_target);
    }
    steps.before = steps.start;
    for (int i = 0; fine && i < wanted->count; i++) {
        fine = climb(&steps, i ? wanted->list[i - 1] : 0, wanted->list[i]);
        run->lossy = true;
    }
    steps.connects.made = steps.last.connections - steps.start.connections; // as readings have it
    if (fine) {
        summary_add_memory_of(summary, run, &steps.start, low_of(&steps), &steps.last, &steps.connects);
        // What others did while the probes published is in the memory of the steps after it.
        costs_judge_memory(run, &steps.start, &steps.last,
                           steps.connects.made + run->probe_tally.count[TALLY_RECEIVED]);
    }
    if (fine && run->config->prove)
        fine = order_prove(run, summary);
    if (fine && options_of(run->config)->hold_ns > 0) {
        run_phase(run, "hold");
        run_hold(run, options_of(run->config)->hold_ns);
    }
    order_add_connect_rate(run, summary, &steps.time);
    json_decref(steps.json);
    run_disconnect(run);
    arrivals_add_returns(run, summary);
    (void)!csv_close_account(steps.csv, &run->steps_account);
}

const struct scenario scenario_steps = {
    .name = "steps",
    .summary = "connects in rising steps; at each reads memory and measures delivery",
    .measures = SCENARIO_MEASURES_CONNECTS SCENARIO_MEASURES_RETURNS SCENARIO_MEASURES_SLOPES
    "step.* delivery.* delivery_uncorrected.*",
    .proves = true,
    .limit_of = LOAD_CONNECTS,
    .options = options,
    .options_bytes = sizeof(struct options),
    .check = check,
    .check_run = check_run,
    .describe = describe,
    .play = play,
};
