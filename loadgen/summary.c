// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary.h"

#include "base/clock.h"
#include "loadgen/catalogue.h"
#include "loadgen/kernel_growth.h"
#include "loadgen/memory_notes.h"
#include "loadgen/message_faults.h"
#include "loadgen/receiving.h"
#include "loadgen/scenario.h"
#include "loadgen/summary_limits.h"
#include "loadgen/withheld.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void summary_add(struct summary *summary, const char *name, double value, const char *unit,
                 const char *better)
{
    assert(summary->count < SUMMARY_ROWS_MAX);
    snprintf(summary->rows[summary->count].name, sizeof summary->rows[0].name, "%s", name);
    summary->rows[summary->count].value = value;
    summary->rows[summary->count].unit = unit;
    summary->rows[summary->count].better = better;
    summary->rows[summary->count].why[0] = '\0';
    summary->rows[summary->count].doubt = NULL;
    summary->count++;
}

// Of the last row: a time that the histogram does not know, since a longer one counts as the longest that it holds.
static void cap(struct summary *summary, bool capped)
{
    struct summary_row *row = &summary->rows[summary->count - 1];
    if (!capped)
        return;
    row->value = NAN;
    snprintf(row->why, sizeof row->why, "an hour or more, where histograms end");
}

void summary_add_percentile(struct summary *summary, const char *name, const struct hist *hist,
                            double percent, const char *better)
{
    int64_t value_ns = hist_percentile_known(hist, percent);
    summary_add(summary, name, value_ns >= 0 ? (double)value_ns : NAN, "ns", better);
    if (value_ns < 0)
        snprintf(summary->rows[summary->count - 1].why, sizeof summary->rows[0].why,
                 "of %lld sample%s: it takes %lld", (long long)hist_count(hist),
                 hist_count(hist) == 1 ? "" : "s", (long long)hist_percentile_takes(percent));
    cap(summary, value_ns >= HIST_HIGHEST_NS);
}

static void add_of(struct summary *summary, const char *prefix, const char *what, double value,
                   const char *unit, const char *better)
{
    char name[SUMMARY_NAME_BYTES];
    snprintf(name, sizeof name, "%s.%s", prefix, what);
    summary_add(summary, name, value, unit, better);
}

void summary_add_latency(struct summary *summary, const char *prefix, const struct hist *hist,
                         int64_t censored)
{
    if (hist_count(hist) == 0)
        return;
    static const struct {
        const char *name;
        double percent;
    } percentiles[] = {{"p50", 50}, {"p99", 99}, {"p99_9", 99.9}};
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        char name[SUMMARY_NAME_BYTES];
        snprintf(name, sizeof name, "%s.%s", prefix, percentiles[i].name);
        summary_add_percentile(summary, name, hist, percentiles[i].percent, "lower");
    }
    bool capped = hist_max(hist) >= HIST_HIGHEST_NS;
    add_of(summary, prefix, "max", (double)hist_max(hist), "ns", "lower");
    cap(summary, capped);
    add_of(summary, prefix, "mean", hist_mean(hist), "ns", "lower");
    cap(summary, capped);
    add_of(summary, prefix, "count", (double)hist_count(hist), "1", "none");
    add_of(summary, prefix, "censored", (double)censored, "1", "none");
}

// (b - a) / n, or NaN when one of them was not read.
static double slope(int64_t a, int64_t b, int64_t n)
{
    return a >= 0 && b >= 0 && n > 0 ? (double)(b - a) / (double)n : NAN;
}

void summary_add_verdict(struct summary *summary, const char *name, const char *verdict, const char *why, ...)
{
    va_list arguments;
    assert(summary->verdict_count < SUMMARY_VERDICTS_MAX);
    struct summary_verdict *one = &summary->verdicts[summary->verdict_count++];
    one->name = name;
    one->verdict = verdict;
    va_start(arguments, why);
    vsnprintf(one->why, sizeof one->why, why, arguments);
    va_end(arguments);
}

void summary_add_reading(struct summary *summary, const char *name, const struct sample *sample)
{
    if (summary->reading_count == SUMMARY_READINGS_MAX)
        return;
    summary->readings[summary->reading_count].name = name;
    summary->readings[summary->reading_count].at_ns = sample->at_ns;
    summary->reading_count++;
}

// Why memory did not grow, and advice. A connection takes some hundreds of bytes at least. A few connections
// take less than the memory of a target at rest varies.
static const char *no_growth(int64_t grew_bytes, int64_t connections, int64_t level_bytes)
{
    enum { CONNECTION_BYTES = 256 };
    if (connections * CONNECTION_BYTES <= 2 * level_bytes)
        return "So few connections are lost in that: take more";
    if (grew_bytes < -2 * level_bytes)
        return "The target gave memory back meanwhile: start it anew, and let it settle (--settle)";
    return "A target that has served before keeps memory and uses it again: restart it. One that makes its "
           "objects when it starts has them in memory.start_bytes";
}

// The slope; NaN and an anomaly when `low` and `full` differ by no more than two readings of a target at rest
// may: that slope would be chance. `name` NULL: no anomaly, since another way to count has reported it.
static double grown(struct run *run, const char *name, int64_t low, int64_t full, int64_t connections)
{
    double each = slope(low, full, connections);
    int64_t level = run_level_slack(full);
    if (!isfinite(each) || full - low > 2 * level)
        return each;
    if (name)
        run_anomaly(
            run, "resolution",
            "%s: grew by %lld bytes over %lld connections, and readings of a level target differ by up to "
            "%lld each: no figure. %s",
            name, (long long)(full - low), (long long)connections, (long long)level,
            no_growth(full - low, connections, level));
    return NAN;
}

// A target that had served before uses again what it kept, and the slope from `low` on is too small.
static bool had_served(struct run *run, const struct sample *low)
{
    int64_t kept = curve_kept(&run->curve, low->connections);
    if (kept > 0)
        run_anomaly(
            run, "served_before",
            "memory.per_connection_bytes: memory was flat for the first %lld of %lld connections and grew "
            "then: no figure. A target that has served before keeps memory and uses it again: restart the "
            "target. One that has a reserve of that size has it in memory.start_bytes",
            (long long)kept, (long long)run->curve.points[run->curve.count - 1].connections);
    return kept > 0;
}

static bool takes_option(const struct scenario *scenario, const char *name)
{
    for (const struct opt *row = scenario ? scenario->options : NULL;
         row && (row->name || row->kind == OPT_HEADING); row++)
        if (row->name && strcmp(row->name, name) == 0)
            return true;
    return false;
}

// A figure of which nobody can tell whether the target had served before.
static bool may_have_served(struct run *run, const struct sample *low)
{
    const struct curve *curve = &run->curve;
    const struct scenario *scenario = run->config ? run->config->scenario : NULL;
    if (curve_is_fresh(curve, low->connections))
        return false;
    run_anomaly(
        run, "served_before",
        "memory.per_connection_bytes: it cannot be told whether the target has served before: no figure. By "
        "its CPU time before the run (%.1f ms) and its table of descriptors it can have served %lld "
        "connections at once, and from %lld connections on memory grew too little to show that none of it "
        "was used again: restart the target. If it was fresh, %s%stake %lld connections or more",
        (double)curve->points[0].cpu_ns / 1e6, (long long)curve_served_most(curve),
        (long long)low->connections,
        takes_option(scenario, "fresh-target") ? "say so (--fresh-target), " : "",
        takes_option(scenario, "watch-record") ? "give its record (--watch-record), or " : "",
        (long long)curve_enough(curve));
    return true;
}

// The three ways to count user memory. The first that every reading has is judged.
static const struct {
    const char *name;
    size_t offset;
} kinds[] = {{"private", offsetof(struct sample, target_private_bytes)},
             {"pss", offsetof(struct sample, target_pss_bytes)},
             {"rss", offsetof(struct sample, target_rss_bytes)}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int64_t bytes_of(const struct sample *sample, int kind)
{
    return *(const int64_t *)((const char *)sample + kinds[kind].offset);
}

static bool is_read(int kind, const struct sample *const *samples, int count)
{
    for (int i = 0; i < count; i++)
        if (bytes_of(samples[i], kind) < 0)
            return false;
    return true;
}

static void add_kind(struct summary *summary, const char *what, const char *kind, double value,
                     const char *better)
{
    char name[48];
    snprintf(name, sizeof name, "memory.%s_%s%sbytes", what, kind, kind[0] ? "_" : "");
    summary_add(summary, name, value, "B", better);
}

// Of a target that stood still meanwhile, every judged figure but sizes is of that too.
static bool suffers_from_stops(const struct summary_row *row)
{
    return strcmp(row->better, "none") != 0 && strcmp(row->unit, "B") != 0 &&
           strncmp(row->name, "soak.", strlen("soak.")) != 0;
}

void summary_withhold(struct summary *summary, const struct run *run)
{
    for (int i = 0; i < summary->count; i++) {
        struct summary_row *row = &summary->rows[i];
        const char *anomaly = withheld_by(run->withheld, row->name);
        if (!anomaly)
            anomaly = withheld_part_by(&run->withheld_parts, row->name);
        row->doubt = withheld_part_by(&run->doubted, row->name);
        if (!row->doubt && run->stops.seen && suffers_from_stops(row))
            row->doubt = "target_stopped";
        if (!row->doubt && run->late_receiver && receiving_concerns(row->name, row->unit, row->better))
            row->doubt = "late_receiver";
        if (!anomaly)
            continue;
        row->value = NAN;
        snprintf(row->why, sizeof row->why, "see the anomaly %s", anomaly);
    }
    if (run->record && run->withheld_parts.count > 0)
        record_set(run->record, "summary.withheld", withheld_parts_json(&run->withheld_parts));
}

void summary_add_levels(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *full)
{
    memory_notes_watched(run, start, full);
    const struct sample *const samples[] = {start, full};
    int judged = 0;
    while (judged < KINDS && !is_read(judged, samples, 2))
        judged++;
    if (judged == KINDS)
        return;
    memory_notes_add(run, kinds[judged].name, start, full);
    add_kind(summary, "start", "", (double)bytes_of(start, judged), "lower");
    add_kind(summary, "full", "", (double)bytes_of(full, judged), "lower");
    for (int kind = 0; kind < KINDS; kind++) {
        if (!is_read(kind, samples, 2))
            continue;
        add_kind(summary, "start", kinds[kind].name, (double)bytes_of(start, kind), "none");
        add_kind(summary, "full", kinds[kind].name, (double)bytes_of(full, kind), "none");
    }
}

static void add_user_memory(struct summary *summary, struct run *run, const struct sample *start,
                            const struct sample *low, const struct sample *full)
{
    const struct sample *const samples[] = {start, low, full};
    int64_t more = full->connections - low->connections;
    bool added = false, asked = false;
    summary_add_levels(summary, run, start, full);
    // Of other processes than the target's there is nothing to say about its growth.
    bool judged = run->owners.wrong, served = run->owners.wrong || had_served(run, low);
    for (int kind = 0; kind < KINDS; kind++) {
        if (!is_read(kind, samples, 3))
            continue;
        char name[48];
        snprintf(name, sizeof name, "memory.per_connection_%s_bytes", kinds[kind].name);
        double each =
            served ? NAN : grown(run, judged ? NULL : name, bytes_of(low, kind), bytes_of(full, kind), more);
        if (isfinite(each) && !asked) {
            asked = true;
            served = may_have_served(run, low);
        }
        each = served ? NAN : each;
        if (!added)
            summary_add(summary, "memory.per_connection_bytes", each, "B", "lower");
        summary_add(summary, name, each, "B", "none");
        judged = added = true;
    }
}

void summary_add_memory_of(struct summary *summary, struct run *run, const struct sample *start,
                           const struct sample *tenth, const struct sample *full,
                           const struct cost_part *connects)
{
    const struct sample *low = tenth ? tenth : start;
    int64_t connections = full->connections - start->connections;
    summary_add_reading(summary, "start", start);
    summary_add_reading(summary, "low", low);
    summary_add_reading(summary, "full", full);
    add_user_memory(summary, run, start, low, full);
    double cost_ns = costs_each(run, connects, &costs_of_connections);
    if (full->target_cpu_ns >= 0)
        summary_add(summary, "cpu.per_connection_ns", cost_ns, "ns", "lower");
    if (start->kernel_slab_bytes >= 0 && full->kernel_slab_bytes >= 0)
        summary_add(summary, "kernel.per_connection_bytes",
                    run->ranks ? NAN : kernel_growth(run, start, low, full), "B", "lower");
    summary_add(summary, "kernel.page_table_growth_bytes",
                slope(start->kernel_page_table_bytes, full->kernel_page_table_bytes, 1), "B", "none");
    summary_add(summary, "generator.per_client_bytes", slope(0, full->generator_pss_bytes, connections), "B",
                "none");
    summary_add(summary, "generator.cpu_per_client_ns",
                slope(start->generator_cpu_ns, full->generator_cpu_ns, connections), "ns", "none");
}

void summary_add_memory(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *tenth, const struct sample *full)
{
    struct cost_part connects = costs_between(start, full);
    connects.made = full->connections - start->connections;
    // Clients that had connected and are gone again have cost the target what those that stay do.
    connects.failed = tally_failed(&run->tally) + run->tally.count[TALLY_CONNECT_RETRIES] + full->lost;
    summary_add_memory_of(summary, run, start, tenth, full, &connects);
}

const char *summary_cause(const struct run *run, enum tally_reason reason, char *text, size_t size)
{
    text[0] = '\0';
    bool cut_off = reason == REASON_TCP_REFUSED || reason == REASON_RESET || reason == REASON_CLOSED ||
                   reason == REASON_UNTOLD || reason == REASON_LOST;
    if (cut_off && run->targets.ended > 0) {
        snprintf(text, size, "; ");
        targets_describe(&run->targets, text + 2, size - 2);
    } else if ((cut_off || reason == REASON_TIMEOUT) && stops_describe(&run->stops, text + 2, size - 2)[0]) {
        memcpy(text, "; ", 2);
    }
    return text;
}

// `whose`: "", or "probe " of the clients beside those.
static void note_reasons(struct run *run, const char *whose, const char *what,
                         const int64_t counts[REASON_COUNT])
{
    char cause[400];
    for (int i = 0; run->record && i < REASON_COUNT; i++)
        if (counts[i] != 0)
            record_anomaly(run->record, what, "%lld %sclients %s: %s%s", (long long)counts[i], whose, what,
                           tally_reason_text((enum tally_reason)i),
                           summary_cause(run, (enum tally_reason)i, cause, sizeof cause));
}

// An anomaly when 1 act of 100 is more than a millisecond late: the figures then include the generator's
// delay. With fewer than 100 acts the latest act decides.
static void add_lag(struct summary *summary, struct run *run)
{
    const struct hist *lag = run->total[LATENCY_LAG];
    if (hist_count(lag) == 0)
        return;
    int64_t p99_ns = hist_percentile_known(lag, 99), max_ns = hist_max(lag);
    summary_add_percentile(summary, "schedule.lag_p99", lag, 99, "none");
    summary_add(summary, "schedule.lag_max", (double)max_ns, "ns", "none");
    cap(summary, max_ns >= HIST_HIGHEST_NS);
    if (p99_ns > NS_PER_MS)
        run_anomaly(run, "late",
                    "the generator fell behind its schedule: 1 act of 100 came more than %.3f ms late, "
                    "the worst %.3f ms",
                    (double)p99_ns / 1e6, (double)max_ns / 1e6);
    else if (p99_ns < 0 && max_ns > NS_PER_MS)
        run_anomaly(run, "late",
                    "the generator fell behind its schedule: the worst of %lld acts came %.3f ms late",
                    (long long)hist_count(lag), (double)max_ns / 1e6);
}

static void add_stall(struct run *run)
{
    int64_t stalled_ns = run->tally.count[TALLY_STALLED_NS] + run->probe_tally.count[TALLY_STALLED_NS];
    if (stalled_ns > 0)
        run_anomaly(run, "stalled",
                    "the generator was kept from running for %.3f s, all workers together, while something "
                    "was under way: latencies and rates of that time are its own too",
                    (double)stalled_ns / 1e9);
}

// Only where the engine knows them.
static void add_bytes(struct summary *summary, const struct run *run)
{
    int64_t sent = run->tally.count[TALLY_BYTES_SENT] + run->probe_tally.count[TALLY_BYTES_SENT];
    int64_t received = run->tally.count[TALLY_BYTES_RECEIVED] + run->probe_tally.count[TALLY_BYTES_RECEIVED];
    if (sent == 0)
        return;
    summary_add(summary, "clients.bytes_sent", (double)sent, "B", "none");
    summary_add(summary, "clients.bytes_received", (double)received, "B", "none");
}

int64_t summary_ports_passed(const struct run *run)
{
    return run->tally.count[TALLY_PORTS_PASSED] + run->probe_tally.count[TALLY_PORTS_PASSED];
}

void summary_add_message_faults(struct summary *summary, const struct tally *tally)
{
    for (const struct message_fault *one = message_faults(); one->metric; one++) {
        const struct metric *metric = metric_find(loadgen_catalogue, one->metric);
        if (metric->traits & METRIC_IF_ANY && message_fault_count(one, tally) > 0)
            summary_add(summary, metric->name, (double)message_fault_count(one, tally), metric->unit,
                        metric->better);
    }
}

void summary_add_clients(struct summary *summary, struct run *run)
{
    struct tally *tally = &run->tally;
    int64_t missing = run->config->connections - run->config->later - tally->count[TALLY_CONNECTED] -
                      tally->count[TALLY_CONNECT_UNFINISHED] - tally_failed(tally);
    if (missing > 0)
        tally->failed[REASON_NOT_STARTED] += missing;
    summary_add(summary, "clients.connected", (double)tally->count[TALLY_CONNECTED], "1", "none");
    summary_add(summary, "clients.failed", (double)tally_failed(tally), "1", "lower");
    summary_add(summary, "clients.dropped", (double)tally_dropped(tally), "1", "lower");
    if (tally_other_qos(tally, TALLY_GRANTED_OTHER) > 0)
        summary_add(summary, "clients.qos_changed", (double)tally_other_qos(tally, TALLY_GRANTED_OTHER), "1",
                    "lower");
    if (tally->count[TALLY_SESSION_UNASKED] > 0)
        summary_add(summary, "clients.session_unasked", (double)tally->count[TALLY_SESSION_UNASKED], "1",
                    "lower");
    note_reasons(run, "", "failed", tally->failed);
    note_reasons(run, "", "dropped", tally->dropped);
    note_reasons(run, "probe ", "dropped", run->probe_tally.dropped);
    if (run->plan.ports.way != PORTS_KERNEL)
        summary_add(summary, "network.ports_passed_over", (double)summary_ports_passed(run), "1", "none");
    add_lag(summary, run);
    add_stall(run);
    run->late_receiver = receiving_judge(run);
    add_bytes(summary, run);
    if (!run->record)
        return;
    record_set(run->record, "summary.failed", moment_reasons(tally->failed));
    record_set(run->record, "summary.dropped", moment_reasons(tally->dropped));
    if (run->broken[0])
        record_anomaly(run->record, run->interrupted ? "interrupted" : "broken", "%s", run->broken);
}

static void write_readings(const struct summary *summary, struct record *record)
{
    json_t *json = json_object();
    for (int i = 0; i < summary->reading_count; i++)
        json_object_set_new(json, summary->readings[i].name, json_integer(summary->readings[i].at_ns));
    record_set(record, "readings", json);
}

json_t *summary_verdicts_json(const struct summary *summary)
{
    json_t *json = json_object();
    for (int i = 0; i < summary->verdict_count; i++)
        json_object_set_new(json, summary->verdicts[i].name,
                            json_pack("{s:s, s:s}", "verdict", summary->verdicts[i].verdict, "why",
                                      summary->verdicts[i].why));
    return json;
}

static void write_row(struct record *record, const struct summary_row *row)
{
    if (row->why[0])
        record_metric_unknown(record, row->name, row->why, row->unit, row->better);
    else if (row->doubt && isfinite(row->value))
        record_metric_doubtful(record, row->name, row->value, row->doubt, row->unit, row->better);
    else
        record_metric(record, row->name, row->value, row->unit, row->better);
}

void summary_write(const struct summary *summary, struct record *record)
{
    if (!record)
        return;
    if (summary->reading_count > 0)
        write_readings(summary, record);
    if (summary->verdict_count > 0)
        record_set(record, "summary.verdicts", summary_verdicts_json(summary));
    record_set(record, "summary.percentiles", json_string(SUMMARY_PERCENTILES));
    summary_write_limits(summary, record);
    for (int i = 0; i < summary->count; i++)
        write_row(record, &summary->rows[i]);
}
