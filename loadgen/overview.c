// SPDX-License-Identifier: Apache-2.0
#include "loadgen/overview.h"

#include "base/units.h"
#include "loadgen/catalogue.h"
#include "loadgen/engine.h"
#include "loadgen/message_faults.h"
#include "loadgen/scenario.h"

#include <math.h>
#include <string.h>

enum { LABEL = 22, CELL = 12, TEXT_BYTES = 32 };

// NaN when the run has no such figure, or does not know it.
static double figure(const struct overview *overview, const char *name)
{
    const struct summary *summary = overview->summary;
    for (int i = 0; i < summary->count; i++)
        if (strcmp(summary->rows[i].name, name) == 0)
            return summary->rows[i].value;
    return NAN;
}

static char *text_of(double value, const char *unit, char text[static TEXT_BYTES])
{
    if (!isfinite(value))
        snprintf(text, TEXT_BYTES, "-");
    else if (strcmp(unit, "ns") == 0)
        units_format_duration((int64_t)value, text, TEXT_BYTES);
    else if (strcmp(unit, "B") == 0)
        units_format_bytes((int64_t)value, text, TEXT_BYTES);
    else if (strcmp(unit, "1/s") == 0)
        snprintf(text, TEXT_BYTES, "%.1f/s", value);
    else if (strcmp(unit, "s") == 0)
        snprintf(text, TEXT_BYTES, "%.3f s", value);
    else
        snprintf(text, TEXT_BYTES, "%.10g", value);
    return text;
}

static void print_head(const struct overview *overview, FILE *to)
{
    const struct config *config = overview->run->config;
    char took[TEXT_BYTES], others[TEXT_BYTES] = "";
    if (config->targets.count > 1)
        snprintf(others, sizeof others, " and %d more", config->targets.count - 1);
    fprintf(to, "%s, engine %s, against %s%s: %s after %s\n", config->scenario->name, config->engine->name,
            config->targets.values[0], others, overview->status,
            units_format_duration(overview->took_ns, took, sizeof took));
    if (overview->run->broken[0])
        fprintf(to, "ended early: %s\n", overview->run->broken);
}

// --- asked and had -----------------------------------------------------------------------------------------

// A rate that was not asked for is "as fast as it goes".
static void print_pair(FILE *to, const char *label, double asked, double had, const char *unit)
{
    char left[TEXT_BYTES], right[TEXT_BYTES];
    bool free_rate = strcmp(unit, "1/s") == 0 && !(asked > 0);
    fprintf(to, "%-*s%*s%*s\n", LABEL, label, CELL + 2, free_rate ? "unlimited" : text_of(asked, unit, left),
            CELL + 2, text_of(had, unit, right));
}

// Connects a second. A scenario that does not measure it (its connections are a means) has a mean over the time
// from the first connect to the last CONNACK.
static double connect_rate(const struct overview *overview)
{
    const int64_t *count = overview->run->tally.count;
    double rate = figure(overview, "connect.rate");
    int64_t took_ns = count[TALLY_LAST_CONNECTED_NS] - count[TALLY_FIRST_START_NS];
    if (isfinite(rate) || took_ns <= 0 || count[TALLY_CONNECTED] == 0)
        return rate;
    return (double)count[TALLY_CONNECTED] * 1e9 / (double)took_ns;
}

// Of a rate that changes its mean.
static double asked_connects(const struct overview *overview)
{
    double asked = figure(overview, "connect.rate_asked");
    return isfinite(asked) ? asked : overview->run->config->connect_rate_per_s;
}

// A rate, where the run has one.
static void print_rate(const struct overview *overview, FILE *to, const char *label, const char *asked,
                       const char *had)
{
    if (isfinite(figure(overview, had)))
        print_pair(to, label, figure(overview, asked), figure(overview, had), "1/s");
}

// Arrivals, those that are due at once too: how many, how fast, in how long, and the connects that failed before.
static void print_arrivals(const struct overview *overview, FILE *to, const struct tally *tally)
{
    const int64_t *count = tally->count;
    if (count[TALLY_ARRIVAL_DUE] == 0)
        return;
    print_pair(to, "arrivals", (double)count[TALLY_ARRIVAL_DUE], (double)count[TALLY_ARRIVED], "1");
    print_rate(overview, to, "arrivals a second", "arrivals.rate_asked", "arrivals.rate");
    if (isfinite(figure(overview, "arrivals.seconds")))
        print_pair(to, "the arrivals took", NAN, figure(overview, "arrivals.seconds"), "s");
    if (count[TALLY_ARRIVAL_RETRIES] > 0)
        print_pair(to, "tries that failed", NAN, (double)count[TALLY_ARRIVAL_RETRIES], "1");
}

static void print_asked(const struct overview *overview, FILE *to)
{
    const struct run *run = overview->run;
    struct tally tally = run->tally; // with messages and arrivals of the probes
    const int64_t *count = tally.count;
    tally_join_messages(&tally, &run->probe_tally);
    tally_add_arrivals(&tally, &run->probe_tally);
    fprintf(to, "\n%-*s%*s%*s\n", LABEL, "", CELL + 2, "asked", CELL + 2, "had");
    print_pair(to, "connections", (double)(run->config->connections - run->config->later),
               (double)count[TALLY_CONNECTED], "1");
    print_arrivals(overview, to, &tally);
    if (count[TALLY_ADD_DUE] > 0) {
        print_pair(to, "subscribes", (double)count[TALLY_ADD_DUE], (double)count[TALLY_ADDED], "1");
        print_pair(to, "unsubscribes", (double)count[TALLY_REMOVE_DUE], (double)count[TALLY_REMOVED], "1");
        if (count[TALLY_REPLAY_DUE] > 0)
            print_pair(to, "replays", (double)count[TALLY_REPLAY_DUE], (double)count[TALLY_REPLAYED], "1");
        print_pair(to, "of both a second", figure(overview, "subscriptions.rate_asked"),
                   figure(overview, "subscriptions.rate"), "1/s");
    }
    bool one = run->config->crew_count == 0; // of groups each has rates of its own
    if (one)
        print_pair(to, "connects a second", asked_connects(overview), connect_rate(overview), "1/s");
    if (isfinite(figure(overview, "clients.alive")))
        print_pair(to, "signs of life", (double)count[TALLY_PROVE_ASKED], figure(overview, "clients.alive"),
                   "1");
    if (count[TALLY_DUE] == 0)
        return;
    print_pair(to, "messages sent", (double)count[TALLY_DUE], (double)count[TALLY_PUBLISHED], "1");
    print_pair(to, "messages arrived", (double)count[TALLY_DELIVERY_DUE], (double)count[TALLY_RECEIVED], "1");
    if (count[TALLY_SLOW_DUE] > 0)
        print_pair(to, "at slow readers", (double)count[TALLY_SLOW_DUE], (double)count[TALLY_SLOW_RECEIVED],
                   "1");
    if (one)
        print_rate(overview, to, "messages a second", "messages.rate_asked", "messages.rate");
}

// --- latencies ---------------------------------------------------------------------------------------------

static const struct {
    enum latency_kind kind;
    const char *label;
} shown[] = {{LATENCY_CONNECT, "connect"},
             {LATENCY_ARRIVAL, "arrival"},
             {LATENCY_DELIVERY_BEFORE, "delivery before"},
             {LATENCY_DELIVERY, "delivery"},
             {LATENCY_DELIVERY_AFTER, "delivery after"},
             {LATENCY_DELIVERY_SLOW, "at slow readers"},
             {LATENCY_RECOVERY, "recovery"},
             {LATENCY_ACK, "acknowledgement"},
             {LATENCY_SUBSCRIBE, "subscribe"},
             {LATENCY_UNSUBSCRIBE, "unsubscribe"},
             {LATENCY_REPLAY, "replay"},
             {LATENCY_LAG, "generator was late"}};

static void print_latency(FILE *to, const char *label, const struct hist *hist)
{
    static const double percents[] = {50, 90, 99, 99.9};
    char text[TEXT_BYTES];
    fprintf(to, "%-*s", LABEL, label);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        int64_t value_ns = hist_percentile_known(hist, percents[i]);
        bool known = value_ns >= 0 && value_ns < HIST_HIGHEST_NS;
        fprintf(to, "%*s", CELL, text_of(known ? (double)value_ns : NAN, "ns", text));
    }
    double max_ns = hist_max(hist) < HIST_HIGHEST_NS ? (double)hist_max(hist) : NAN;
    fprintf(to, "%*s%*lld\n", CELL, text_of(max_ns, "ns", text), CELL, (long long)hist_count(hist));
}

static void print_latencies(const struct overview *overview, FILE *to)
{
    const struct run *run = overview->run;
    bool headed = false;
    int64_t censored = 0;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const struct hist *hist = run->total[shown[i].kind];
        if (hist_count(hist) == 0)
            continue;
        if (!headed)
            fprintf(to, "\n%-*s%*s%*s%*s%*s%*s%*s\n", LABEL, "", CELL, "p50", CELL, "p90", CELL, "p99", CELL,
                    "p99.9", CELL, "max", CELL, "samples");
        headed = true;
        print_latency(to, shown[i].label, hist);
        censored += run->censored[shown[i].kind];
    }
    if (censored > 0)
        fprintf(to, "%-*s%lld of these had not ended: they count with their age\n", LABEL, "",
                (long long)censored);
}

// Does the row begin the figures of a latency of a group in a phase (GROUP.PHASE.LATENCY.p50)? Uncorrected ones are not
// shown. `label` becomes "GROUP PHASE LATENCY".
static bool begins_latency_of_group(const struct summary_row *row, char label[static SUMMARY_NAME_BYTES])
{
    int dots = 0;
    snprintf(label, SUMMARY_NAME_BYTES, "%s", row->name);
    for (char *at = label; *at; at++)
        if (*at == '.') {
            *at = ' ';
            dots++;
        }
    char *last = strrchr(label, ' ');
    if (dots != 3 || strcmp(last, " p50") != 0 || strstr(label, "_uncorrected "))
        return false;
    *last = '\0';
    return true;
}

static void print_groups(const struct overview *overview, FILE *to)
{
    enum { GROUP_LABEL = 46, P99 = 1, P99_9, MAX, COUNT = 5 }; // rows behind the first: summary_add_latency
    const struct summary *summary = overview->summary;
    bool headed = false;
    for (int i = 0; i + COUNT < summary->count && overview->run->config->crew_count > 0; i++) {
        const struct summary_row *row = &summary->rows[i];
        char label[SUMMARY_NAME_BYTES], text[4][TEXT_BYTES];
        if (!begins_latency_of_group(row, label))
            continue;
        if (!headed)
            fprintf(to, "\n%-*s%*s%*s%*s%*s%*s\n", GROUP_LABEL, "group, phase", CELL, "p50", CELL, "p99",
                    CELL, "p99.9", CELL, "max", CELL, "samples");
        headed = true;
        fprintf(to, "%-*s%*s%*s%*s%*s%*.0f\n", GROUP_LABEL, label, CELL, text_of(row->value, "ns", text[0]),
                CELL, text_of(row[P99].value, "ns", text[1]), CELL, text_of(row[P99_9].value, "ns", text[2]),
                CELL, text_of(row[MAX].value, "ns", text[3]), CELL, row[COUNT].value);
    }
}

// --- steps ------------------------------------------------------------------------------------------------

static void print_steps(const struct overview *overview, FILE *to)
{
    const struct summary *summary = overview->summary;
    char text[TEXT_BYTES];
    if (summary->step_count > 0)
        fprintf(to, "\n%-*s%*s%*s%*s%*s%*s\n", LABEL, "step", CELL, "took", CELL, "connect p99", CELL + 2,
                "delivery p50", CELL + 2, "delivery p99", CELL + 2, "user memory");
    for (int i = 0; i < summary->step_count; i++) {
        const struct summary_step *step = &summary->steps[i];
        fprintf(to, "%-*lld", LABEL, (long long)step->connections);
        fprintf(to, "%*s", CELL, text_of(step->took_ns, "ns", text));
        fprintf(to, "%*s", CELL, text_of(step->connect_p99_ns, "ns", text));
        fprintf(to, "%*s", CELL + 2, text_of(step->delivery_p50_ns, "ns", text));
        fprintf(to, "%*s", CELL + 2, text_of(step->delivery_p99_ns, "ns", text));
        fprintf(to, "%*s\n", CELL + 2, text_of(step->bytes, "B", text));
    }
}

// --- losses ------------------------------------------------------------------------------------------------

static const char *label_once(bool *first, const char *label)
{
    const char *now = *first ? label : "";
    *first = false;
    return now;
}

static void print_reasons(const struct run *run, FILE *to, bool *first, const char *what,
                          const int64_t counts[REASON_COUNT])
{
    char cause[400];
    for (int i = 0; i < REASON_COUNT; i++)
        if (counts[i] != 0)
            fprintf(to, "%-*s%lld clients %s: %s%s\n", LABEL, label_once(first, "lost"), (long long)counts[i],
                    what, tally_reason_text((enum tally_reason)i),
                    summary_cause(run, (enum tally_reason)i, cause, sizeof cause));
}

static bool is_doubtful(const struct summary_row *row)
{
    return row->doubt && isfinite(row->value);
}

// Of the counts of what went wrong, the anomaly by which the first that may be disturbed may be so; NULL: none may.
static const char *doubt_of_faults(const struct summary *summary)
{
    for (int i = 0; i < summary->count; i++) {
        const struct summary_row *row = &summary->rows[i];
        const struct metric *metric = is_doubtful(row) ? metric_find(loadgen_catalogue, row->name) : NULL;
        if (metric && metric->traits & METRIC_FAULT)
            return row->doubt;
    }
    return NULL;
}

static void print_losses(const struct overview *overview, FILE *to)
{
    const struct run *run = overview->run;
    const int64_t *count = run->tally.count;
    static const struct {
        enum tally_count what;
        const char *text;
    } losses[] = {{TALLY_ARRIVAL_NOT_SENT, "arrivals were due and not begun"},
                  {TALLY_ADD_NOT_SENT, "SUBSCRIBEs were due and not sent"},
                  {TALLY_ADD_FAILED, "SUBSCRIBEs were refused, or lost with their connection"},
                  {TALLY_ADD_LOST, "SUBSCRIBEs were not answered"},
                  {TALLY_REMOVE_NOT_SENT, "UNSUBSCRIBEs were due and not sent"},
                  {TALLY_REMOVE_FAILED, "UNSUBSCRIBEs were lost with their connection"},
                  {TALLY_REMOVE_LOST, "UNSUBSCRIBEs were not answered"},
                  {TALLY_REPLAY_MESSAGE_LOST, "retained messages did not arrive"},
                  {TALLY_REPLAY_MESSAGE_CORRUPT, "retained messages had another content than was published"},
                  {TALLY_SILENT, "connections gave no sign of life"}};
    struct tally messages = run->tally;
    bool first = true;
    tally_join_messages(&messages, &run->probe_tally);
    fputc('\n', to);
    print_reasons(run, to, &first, "failed", run->tally.failed);
    print_reasons(run, to, &first, "dropped", run->tally.dropped);
    print_reasons(run, to, &first, "beside them dropped", run->probe_tally.dropped);
    print_reasons(run, to, &first, "did not come back", run->tally.away);
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)
        if (count[losses[i].what] > 0)
            fprintf(to, "%-*s%lld %s\n", LABEL, label_once(&first, "lost"), (long long)count[losses[i].what],
                    losses[i].text);
    for (const struct message_fault *one = message_faults(); one->metric; one++)
        if (message_fault_count(one, &messages) > 0)
            fprintf(to, "%-*s%lld %s\n", LABEL, label_once(&first, "lost"),
                    (long long)message_fault_count(one, &messages), one->text);
    const char *doubt = doubt_of_faults(overview->summary);
    if (first && doubt)
        fprintf(to, "%-*snothing was counted, and the counts are doubtful: anomaly %s\n", LABEL, "lost",
                doubt);
    else if (first)
        fprintf(to, "%-*snothing\n", LABEL, "lost");
}

// --- the rest ----------------------------------------------------------------------------------------------

// Who the limit was. Of a mix those rates alone that were not kept.
static void print_limits(const struct summary *summary, FILE *to)
{
    int kept = 0, told = 0;
    if (summary->limit.why[0])
        fprintf(to, "%-*s%s: %s\n", LABEL, "limit", limit_name(summary->limit.by), summary->limit.why);
    for (int i = 0; i < summary->limit_count; i++) {
        const struct summary_limit *one = &summary->limits[i];
        char label[SUMMARY_NAME_BYTES + 16];
        bool of_group = strchr(one->name, '.') != NULL;
        kept += of_group && one->limit.by == LIMIT_NONE;
        if (one->is_main || (of_group && one->limit.by == LIMIT_NONE))
            continue;
        told++;
        snprintf(label, sizeof label, "limit%s%s", of_group ? "" : " of ", of_group ? "" : one->name);
        fprintf(to, "%-*s%s%s%s: %s\n", LABEL, label, of_group ? one->name : "", of_group ? ": " : "",
                limit_name(one->limit.by), one->limit.why);
    }
    if (kept > 0)
        fprintf(to, "%-*snone: %d %srate%s of groups in phases %s kept\n", LABEL, "limit", kept,
                told > 0 ? "other " : "", kept == 1 ? "" : "s", kept == 1 ? "was" : "were");
}

static void print_target(const struct overview *overview, FILE *to)
{
    static const struct {
        const char *name, *text, *unit;
    } costs[] = {{"memory.full_bytes", "user memory", "B"},
                 {"memory.per_connection_bytes", "a connection", "B"},
                 {"kernel.per_connection_bytes", "of the kernel a connection", "B"},
                 {"cpu.per_connection_ns", "CPU a connection", "ns"},
                 {"memory.per_subscription_bytes", "a subscription", "B"},
                 {"slow.memory_per_reader_bytes", "a slow reader", "B"},
                 {"cpu.per_message_ns", "CPU a message", "ns"}};
    const char *joint = "target";
    char text[TEXT_BYTES];
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        double value = figure(overview, costs[i].name);
        if (!isfinite(value))
            continue;
        fprintf(to, "%-*s%s %s", *joint == ',' ? 2 : LABEL, joint, text_of(value, costs[i].unit, text),
                costs[i].text);
        joint = ",";
    }
    if (*joint == ',')
        fputc('\n', to);
}

// "each client its own (IP_LOCAL_PORT_RANGE), 3 that were taken passed over"
static void print_ports(const struct overview *overview, FILE *to)
{
    const struct run *run = overview->run;
    int64_t passed = summary_ports_passed(run);
    fprintf(to, "%-*s%s", LABEL, "local ports", ports_way_text(run->plan.ports.way));
    if (passed > 0)
        fprintf(to, ", %lld that were taken passed over", (long long)passed);
    fputc('\n', to);
}

// "doubtful              delivery.p50 and 6 more: anomaly late_receiver", a line for each anomaly.
static void print_doubts(const struct overview *overview, FILE *to)
{
    const struct summary *summary = overview->summary;
    bool first = true;
    for (int i = 0; i < summary->count; i++) {
        const char *doubt = is_doubtful(&summary->rows[i]) ? summary->rows[i].doubt : NULL;
        int before = 0, more = 0;
        for (int j = 0; doubt && j < summary->count; j++)
            if (j != i && is_doubtful(&summary->rows[j]) && strcmp(summary->rows[j].doubt, doubt) == 0)
                *(j < i ? &before : &more) += 1;
        if (!doubt || before > 0)
            continue;
        fprintf(to, "%-*s%s", LABEL, label_once(&first, "doubtful"), summary->rows[i].name);
        if (more > 0)
            fprintf(to, " and %d more", more);
        fprintf(to, ": anomaly %s\n", doubt);
    }
}

static void print_all(const struct overview *overview, FILE *to)
{
    const struct summary *summary = overview->summary;
    char text[TEXT_BYTES];
    fputc('\n', to);
    for (int i = 0; i < summary->count; i++) {
        const struct summary_row *row = &summary->rows[i];
        if (row->why[0])
            fprintf(to, "%-34s%16s %s\n", row->name, "not known", row->why);
        else
            fprintf(to, "%-34s%16s%s%s\n", row->name, text_of(row->value, row->unit, text),
                    is_doubtful(row) ? " ? " : "", is_doubtful(row) ? row->doubt : "");
    }
}

void overview_print(const struct overview *overview, FILE *to)
{
    const char *record = overview->run->config->record_dir;
    print_head(overview, to);
    print_asked(overview, to);
    print_latencies(overview, to);
    print_groups(overview, to);
    print_steps(overview, to);
    print_losses(overview, to);
    print_limits(overview->summary, to);
    for (int i = 0; i < overview->summary->verdict_count; i++)
        fprintf(to, "%-*s%s: %s: %s\n", LABEL, i == 0 ? "verdicts" : "", overview->summary->verdicts[i].name,
                overview->summary->verdicts[i].verdict, overview->summary->verdicts[i].why);
    for (int i = 0; i < overview->summary->ceiling_count; i++) {
        const struct ceiling_note *one = &overview->summary->ceilings[i];
        fprintf(to, "%-*s%s: %s\n%-*s  %s\n", LABEL, i == 0 ? "ceiling" : "", one->name, one->text, LABEL, "",
                one->mend);
    }
    print_target(overview, to);
    print_doubts(overview, to);
    print_ports(overview, to);
    if (record)
        fprintf(to, "%-*s%s (poolmark report makes a page of it)\n", LABEL, "record", record);
    else
        fprintf(to, "%-*snone: --record DIR keeps one\n", LABEL, "record");
    if (overview->all)
        print_all(overview, to);
}
