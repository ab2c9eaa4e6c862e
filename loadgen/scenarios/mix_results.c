// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/mix_results.h"

#include "base/clock.h"
#include "loadgen/limits.h"
#include "loadgen/memory_notes.h"
#include "loadgen/run_books.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/summary_growth.h"

#include <math.h>
#include <stdio.h>

struct part { // a group in a phase
    struct run *run;
    struct summary *summary;
    const struct mix *mix;
    const struct mix_phase *phase;
    const struct mix_phase_result *result;
    int group;
    const struct crew *crew;
    struct tally tally; // of the phase
    char prefix[2 * CREW_NAME_BYTES + 2];
};

static void add(const struct part *part, const char *metric, double value, const char *unit,
                const char *better)
{
    char name[SUMMARY_NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", part->prefix, metric);
    summary_add(part->summary, name, value, unit, better);
}

static void add_count(const struct part *part, const char *metric, int64_t value, const char *better)
{
    add(part, metric, (double)value, "1", better);
}

static void tell(const struct part *part, const char *what, int64_t count, const char *text)
{
    if (count > 0)
        run_anomaly(part->run, what, "%s in phase %s: %lld %s", part->mix->crews[part->group].name,
                    part->phase->name, (long long)count, text);
}

// --- what was due ------------------------------------------------------------------------------------------

// The publish act whose messages the group sends or gets in this phase; NULL: there is none.
static const struct mix_act *publish_of(const struct part *part)
{
    const struct mix_group *group = &part->mix->groups[part->group];
    int publishers = mix_reads(group) ? group->source : part->group;
    const struct mix_act *act = mix_act_of(part->phase, publishers);
    return act && act->what == DO_PUBLISH ? act : NULL;
}

// A message is counted as due where it is sent, and as arrived where it arrives. In the account of a group of publishers it
// is sent, in that of subscribers due.
static void share_deliveries(struct part *part)
{
    const struct mix_group *group = &part->mix->groups[part->group];
    int64_t *count = part->tally.count;
    if (group->role == ROLE_PUBLISHER)
        count[TALLY_DELIVERY_DUE] = count[TALLY_SLOW_DUE] = 0;
    if (mix_reads(group) && publish_of(part))
        count[group->role == ROLE_SLOW_READER ? TALLY_SLOW_DUE : TALLY_DELIVERY_DUE] =
            crew_due(part->crew) + ranks_due(part->run->ranks, part->group);
    if (run_settles(part->run))
        tally_settle(&part->tally);
}

static int64_t connects_due(const struct part *part)
{
    const struct mix_act *act = mix_act_of(part->phase, part->group);
    return act && act->what == DO_CONNECT && !act->arrives ? act->goal - act->before : 0;
}

// --- figures -----------------------------------------------------------------------------------------------

// As order_connect_to counts it.
static int64_t connects_took_ns(const struct part *part, int64_t due)
{
    const struct mix_act *act = mix_act_of(part->phase, part->group);
    struct fleet_order order = {.at_ns = part->result->at_ns,
                                .rate_per_s = act->rate_per_s,
                                .shape = mix_act_shape(part->mix, part->phase, act)};
    int64_t last_ns = part->tally.count[TALLY_LAST_CONNECTED_NS],
            scheduled_ns = order.at_ns + pace_span_ns(&order, due);
    if (last_ns <= order.at_ns)
        return 0;
    bool whole = part->tally.count[TALLY_CONNECTED] == due;
    return order_end_ns(part->run, last_ns, scheduled_ns, whole) - order.at_ns + order_turn_ns(&order, due);
}

static void add_clients(const struct part *part)
{
    const struct tally *tally = &part->tally;
    int64_t due = connects_due(part), failed = tally_failed(tally), dropped = tally_dropped(tally);
    int64_t took_ns = due > 0 ? connects_took_ns(part, due) : 0;
    if (due > 0) {
        add_count(part, "clients.connected", tally->count[TALLY_CONNECTED], "none");
        add_count(part, "clients.failed", failed, "lower");
    }
    if (due > 0 && took_ns > 0 && tally->count[TALLY_CONNECTED] > 0)
        add(part, "connect.rate", (double)tally->count[TALLY_CONNECTED] * 1e9 / (double)took_ns, "1/s",
            "higher");
    add_count(part, "clients.dropped", dropped, "lower");
}

static void add_arrivals(const struct part *part)
{
    const int64_t *count = part->tally.count;
    if (count[TALLY_ARRIVAL_DUE] == 0)
        return;
    add_count(part, "arrivals.count", count[TALLY_ARRIVED], "none");
    add_count(part, "arrivals.retries", count[TALLY_ARRIVAL_RETRIES], "none");
    add_count(part, "arrivals.resumed", count[TALLY_RESUMED], "none");
    add_count(part, "arrivals.not_sent", count[TALLY_ARRIVAL_NOT_SENT], "lower");
    add_count(part, "arrivals.failed", tally_away(&part->tally), "lower");
    add_count(part, "arrivals.unfinished", count[TALLY_ARRIVAL_UNFINISHED], "lower");
    tell(part, "not_sent", count[TALLY_ARRIVAL_NOT_SENT],
         "arrivals were due while the client's arrival before was under way");
    tell(part, "sessions_lost", count[TALLY_SESSION_LOST], "arrivals: " ARRIVALS_SESSION_LOST);
    for (int i = 0; i < REASON_COUNT; i++)
        if (part->tally.away[i] > 0)
            run_anomaly(part->run, "away", "%s in phase %s: %lld clients did not come (back): %s",
                        part->mix->crews[part->group].name, part->phase->name, (long long)part->tally.away[i],
                        tally_reason_text((enum tally_reason)i));
}

static void add_changes(const struct part *part)
{
    const int64_t *count = part->tally.count;
    int64_t not_sent = count[TALLY_ADD_NOT_SENT] + count[TALLY_REMOVE_NOT_SENT];
    int64_t failed = count[TALLY_ADD_FAILED] + count[TALLY_REMOVE_FAILED] + count[TALLY_ADD_LOST] +
                     count[TALLY_REMOVE_LOST];
    if (count[TALLY_ADD_DUE] + count[TALLY_REMOVE_DUE] == 0)
        return;
    add_count(part, "subscriptions.added", count[TALLY_ADDED], "none");
    add_count(part, "subscriptions.removed", count[TALLY_REMOVED], "none");
    add_count(part, "subscriptions.not_sent", not_sent, "lower");
    add_count(part, "subscriptions.failed", failed, "lower");
    tell(part, "not_sent", not_sent, "changes of subscriptions were due and not sent");
    tell(part, "unanswered", failed, "changes of subscriptions were refused, lost, or not answered");
}

// The end of the phase's schedule, or of the run.
static int64_t scheduled_to_ns(const struct part *part)
{
    int64_t to_ns = part->result->at_ns + part->phase->keys.duration_ns;
    return part->run->broken_ns > 0 && part->run->broken_ns < to_ns ? part->run->broken_ns : to_ns;
}

static double seconds_of(const struct part *part)
{
    int64_t to_ns = scheduled_to_ns(part);
    if (part->tally.count[TALLY_LAST_RECEIVED_NS] > to_ns)
        to_ns = part->tally.count[TALLY_LAST_RECEIVED_NS];
    return (double)(to_ns - part->result->at_ns) / 1e9;
}

static void add_sent(const struct part *part, const struct mix_act *act)
{
    const int64_t *count = part->tally.count;
    struct fleet_order order = {.at_ns = part->result->at_ns,
                                .rate_per_s = act->rate_per_s,
                                .shape = mix_act_shape(part->mix, part->phase, act)};
    if (act->rate_per_s > 0)
        add(part, "messages.rate_asked",
            pace_asked_per_s(&order, order.at_ns, scheduled_to_ns(part), count[TALLY_DUE]), "1/s", "none");
    add_count(part, "messages.sent", count[TALLY_PUBLISHED], "none");
    add_count(part, "messages.not_sent", count[TALLY_NOT_SENT], "lower");
    if (count[TALLY_ACK_DUE] > 0)
        add_count(part, "messages.unacknowledged", count[TALLY_UNACKED], "lower");
    tell(part, "not_sent", count[TALLY_NOT_SENT],
         "messages were due and not sent: the client was not there, or the library refused");
    tell(part, "unacknowledged", count[TALLY_UNACKED], "messages were not acknowledged");
}

static void add_received(const struct part *part)
{
    const int64_t *count = part->tally.count;
    double seconds = seconds_of(part);
    add_count(part, "deliveries.expected", count[TALLY_DELIVERY_DUE], "none");
    add_count(part, "messages.received", count[TALLY_RECEIVED], "none");
    if (seconds > 0)
        add(part, "deliveries.rate", (double)count[TALLY_RECEIVED] / seconds, "1/s", "higher");
    add_count(part, "messages.lost", count[TALLY_LOST], "lower");
    add_count(part, "messages.duplicates", count[TALLY_DUPLICATES], "lower");
    add_count(part, "messages.unfinished", count[TALLY_UNFINISHED], "lower");
    tell(part, "lost", count[TALLY_LOST], "deliveries did not arrive");
    tell(part, "unfinished", count[TALLY_UNFINISHED],
         "deliveries were on their way when the run ended early");
}

static void add_slow(const struct part *part)
{
    const int64_t *count = part->tally.count;
    add_count(part, "slow.due", count[TALLY_SLOW_DUE], "none");
    add_count(part, "slow.received", count[TALLY_SLOW_RECEIVED], "none");
    add_count(part, "slow.missed", count[TALLY_SLOW_MISSED], "none");
    add_count(part, "slow.closed", tally_slow_closed(&part->tally), "none");
    if (count[TALLY_RECOVERY_DUE] > 0)
        add_count(part, "slow.not_recovered", count[TALLY_RECOVERY_FAILED], "lower");
    tell(part, "slow_closed", tally_slow_closed(&part->tally), "slow readers lost their connection");
}

static void add_messages(const struct part *part)
{
    enum mix_role role = part->mix->groups[part->group].role;
    const struct mix_act *act = publish_of(part);
    const int64_t *count = part->tally.count;
    if (act && (role == ROLE_PUBLISHER || role == ROLE_PAIRS))
        add_sent(part, act);
    if (act && (role == ROLE_SUBSCRIBER || role == ROLE_PAIRS))
        add_received(part);
    if (act && role == ROLE_SLOW_READER)
        add_slow(part);
    tell(part, "duplicates", count[TALLY_DUPLICATES], "messages arrived a second time");
    tell(part, "strange", count[TALLY_STRANGE],
         "messages arrived that are none of ours, or with another header or length than was sent");
}

// --- who limited their rates -------------------------------------------------------------------------------

static struct fleet_order schedule_of(const struct part *part, const struct mix_act *act)
{
    return (struct fleet_order){.at_ns = part->result->at_ns,
                                .rate_per_s = act->rate_per_s,
                                .shape = mix_act_shape(part->mix, part->phase, act)};
}

// Of so many acts that are each due once, made by `last_ns`; `made` of them.
static void judge_acts(const struct part *part, enum load_kind kind, int64_t acts, int64_t made,
                       int64_t last_ns, int64_t not_sent, bool waits)
{
    const struct mix_act *act = mix_act_of(part->phase, part->group);
    struct fleet_order order = schedule_of(part, act);
    int64_t from_ns = order.at_ns + (kind == LOAD_ARRIVALS ? act->values.away_ns : 0);
    int64_t span_ns = pace_span_ns(&order, acts), turn_ns = order_turn_ns(&order, acts);
    if (last_ns <= from_ns || made == 0)
        return;
    int64_t took_ns = order_end_ns(part->run, last_ns, from_ns + span_ns, made >= acts) - from_ns + turn_ns;
    struct limits_acts judged = {.kind = kind,
                                 .asked_per_s = span_ns > 0 ? (double)(acts - 1) * 1e9 / (double)span_ns
                                                            : act->rate_per_s,
                                 .had_per_s = (double)made * 1e9 / (double)took_ns,
                                 .took_ns = took_ns,
                                 .in_time = made >= acts && !order_missed_rate(took_ns, span_ns + turn_ns),
                                 .waits = waits,
                                 .due = acts,
                                 .not_sent = not_sent};
    struct limits_part of = {part->prefix, &part->tally, part->crew->hist[LATENCY_LAG]};
    limits_add_part(part->run, part->summary, &judged, &of);
}

// Clients that take turns for the whole phase.
static void judge_turns(const struct part *part, const struct mix_act *act)
{
    const int64_t *count = part->tally.count;
    struct fleet_order order = schedule_of(part, act);
    int64_t from_ns = order.at_ns + act->values.away_ns, to_ns = scheduled_to_ns(part) + act->values.away_ns;
    int64_t due = count[TALLY_ARRIVAL_DUE], arrived = count[TALLY_ARRIVED];
    int64_t took_ns = order_end_ns(part->run, count[TALLY_LAST_ARRIVED_NS], to_ns, arrived >= due) - from_ns;
    if (arrived == 0 || took_ns <= 0)
        return;
    struct limits_acts judged = {.kind = LOAD_ARRIVALS,
                                 .asked_per_s =
                                     pace_asked_per_s(&order, order.at_ns, scheduled_to_ns(part), due),
                                 .had_per_s = (double)arrived * 1e9 / (double)took_ns,
                                 .took_ns = took_ns,
                                 .in_time = arrived >= due && !order_missed_rate(took_ns, to_ns - from_ns),
                                 .due = due,
                                 .not_sent = count[TALLY_ARRIVAL_NOT_SENT]};
    struct limits_part of = {part->prefix, &part->tally, part->crew->hist[LATENCY_LAG]};
    limits_add_part(part->run, part->summary, &judged, &of);
}

// The busier of both groups' workers.
static void join_loads(struct tally *tally, const struct tally *other)
{
    const enum tally_count ran = tally_of_load(LOAD_MESSAGES, LOAD_RAN_PPM),
                           waited = tally_of_load(LOAD_MESSAGES, LOAD_WAITED_PPM),
                           stalled = tally_of_load(LOAD_MESSAGES, LOAD_STALLED_PPM);
    if (other->count[ran] + other->count[waited] > tally->count[ran] + tally->count[waited]) {
        tally->count[ran] = other->count[ran];
        tally->count[waited] = other->count[waited];
    }
    if (other->count[stalled] > tally->count[stalled])
        tally->count[stalled] = other->count[stalled];
}

// What became of the messages of a group: deliveries at its readers that are not slow, and the latest of them. Readers
// are busy with them too.
static void add_deliveries(const struct part *part, struct tally *tally, int64_t *due, int64_t *received,
                           int64_t *last_ns)
{
    for (int i = 0; i < part->mix->group_count; i++) {
        const struct mix_group *group = &part->mix->groups[i];
        struct part reader = {.run = part->run, .mix = part->mix, .phase = part->phase, .group = i};
        reader.crew = &part->run->crews[i];
        if (group->role != ROLE_SUBSCRIBER || group->source != part->group)
            continue;
        crew_phase_tally(reader.crew, &reader.tally);
        share_deliveries(&reader);
        join_loads(tally, &reader.tally);
        *due += reader.tally.count[TALLY_DELIVERY_DUE];
        *received += reader.tally.count[TALLY_RECEIVED];
        if (reader.tally.count[TALLY_LAST_RECEIVED_NS] > *last_ns)
            *last_ns = reader.tally.count[TALLY_LAST_RECEIVED_NS];
    }
}

static void judge_messages(const struct part *part, const struct mix_act *act)
{
    struct tally tally = part->tally;
    const int64_t *count = part->tally.count;
    struct fleet_order order = schedule_of(part, act);
    int64_t due = count[TALLY_DELIVERY_DUE], received = count[TALLY_RECEIVED], to_ns = scheduled_to_ns(part),
            last_ns = count[TALLY_LAST_RECEIVED_NS];
    if (part->mix->groups[part->group].role == ROLE_PUBLISHER)
        add_deliveries(part, &tally, &due, &received, &last_ns);
    double share = due > 0 ? (double)received / (double)due : 1; // nobody is there who would read them
    double asked_per_s = pace_asked_per_s(&order, order.at_ns, to_ns, count[TALLY_DUE]);
    int64_t took_ns = (last_ns > to_ns ? last_ns : to_ns) - order.at_ns;
    if (took_ns <= 0)
        return;
    struct limits_acts judged = {.kind = LOAD_MESSAGES,
                                 .asked_per_s = asked_per_s,
                                 .had_per_s = share * (double)count[TALLY_PUBLISHED] * 1e9 / (double)took_ns,
                                 .took_ns = took_ns,
                                 .due = count[TALLY_DUE],
                                 .not_sent = count[TALLY_NOT_SENT]};
    struct limits_part of = {part->prefix, &tally, part->crew->hist[LATENCY_LAG]};
    limits_add_part(part->run, part->summary, &judged, &of);
}

// An act of which nothing was made, and readers, have none.
static void add_limits(const struct part *part)
{
    const struct mix_act *act = mix_act_of(part->phase, part->group);
    const int64_t *count = part->tally.count;
    bool waits = count[TALLY_ARRIVAL_RETRIES] + count[TALLY_CONNECT_RETRIES] > 0;
    int64_t clients = act ? act->goal - act->before : 0;
    if (!act)
        return;
    switch (act->what) {
    case DO_CONNECT:
        if (act->arrives)
            judge_acts(part, LOAD_ARRIVALS, clients, count[TALLY_ARRIVED], count[TALLY_LAST_ARRIVED_NS],
                       count[TALLY_ARRIVAL_NOT_SENT], waits);
        else
            judge_acts(part, LOAD_CONNECTS, clients, count[TALLY_CONNECTED], count[TALLY_LAST_CONNECTED_NS],
                       0, waits);
        return;
    case DO_STORM:
        judge_acts(part, LOAD_ARRIVALS, clients, count[TALLY_ARRIVED], count[TALLY_LAST_ARRIVED_NS],
                   count[TALLY_ARRIVAL_NOT_SENT], waits || comeback_waits_first(&act->values.comeback));
        return;
    case DO_CHURN:
        judge_turns(part, act);
        return;
    case DO_SUBSCRIBE:
    case DO_UNSUBSCRIBE:
        judge_acts(part, LOAD_CHANGES, clients * act->values.filters,
                   count[TALLY_ADDED] + count[TALLY_REMOVED], count[TALLY_LAST_CHANGED_NS],
                   count[TALLY_ADD_NOT_SENT] + count[TALLY_REMOVE_NOT_SENT], false);
        return;
    case DO_PUBLISH:
        judge_messages(part, act);
        return;
    default:
        return;
    }
}

static void add_latencies(const struct part *part)
{
    for (int kind = 0; kind < LATENCY_LAG; kind++) {
        char prefix[SUMMARY_NAME_BYTES];
        snprintf(prefix, sizeof prefix, "%s%s", part->prefix, latency_name((enum latency_kind)kind));
        summary_add_latency(part->summary, prefix, part->crew->hist[kind], part->crew->censored[kind]);
    }
}

void mix_results_add_phase(struct run *run, struct summary *summary, const struct mix *mix, int phase,
                           struct mix_phase_result *result)
{
    for (int i = 0; i < mix->group_count; i++) {
        struct part part = {.run = run,
                            .summary = summary,
                            .mix = mix,
                            .phase = &mix->phases[phase],
                            .result = result,
                            .group = i,
                            .crew = &run->crews[i]};
        snprintf(part.prefix, sizeof part.prefix, "%s.%s.", mix->crews[i].name, mix->phases[phase].name);
        crew_phase_tally(part.crew, &part.tally);
        share_deliveries(&part);
        struct books_of account = {part.prefix, &part.tally, part.crew->hist, part.crew->censored};
        run_books_of(run, &account, connects_due(&part));
        add_clients(&part);
        add_arrivals(&part);
        add_changes(&part);
        add_messages(&part);
        add_limits(&part);
        add_latencies(&part);
        mix_others_add(run, mix, i, &part.tally, result, mix->phases[phase].name);
    }
}

// --- of the run --------------------------------------------------------------------------------------------

static void add_sums(struct run *run, struct summary *summary)
{
    const int64_t *count = run->tally.count;
    const struct {
        bool there;
        const char *name;
        int64_t value;
        const char *better;
    } sums[] = {
        {count[TALLY_DUE] > 0, "messages.sent", count[TALLY_PUBLISHED], "none"},
        {count[TALLY_DUE] > 0, "deliveries.expected", count[TALLY_DELIVERY_DUE], "none"},
        {count[TALLY_DUE] > 0, "messages.received", count[TALLY_RECEIVED], "none"},
        {count[TALLY_DUE] > 0, "messages.not_sent", count[TALLY_NOT_SENT], "lower"},
        {count[TALLY_DUE] > 0, "messages.lost", count[TALLY_LOST], "lower"},
        {count[TALLY_DUE] > 0, "messages.duplicates", count[TALLY_DUPLICATES], "lower"},
        {count[TALLY_ACK_DUE] > 0, "messages.unacknowledged", count[TALLY_UNACKED], "lower"},
        {count[TALLY_DUE] > 0, "messages.unfinished", count[TALLY_UNFINISHED], "lower"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.count", count[TALLY_ARRIVED], "none"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.retries", count[TALLY_ARRIVAL_RETRIES], "none"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.resumed", count[TALLY_RESUMED], "none"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.not_sent", count[TALLY_ARRIVAL_NOT_SENT], "lower"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.failed", tally_away(&run->tally), "lower"},
        {count[TALLY_ARRIVAL_DUE] > 0, "arrivals.unfinished", count[TALLY_ARRIVAL_UNFINISHED], "lower"},
    };
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        if (sums[i].there)
            summary_add(summary, sums[i].name, (double)sums[i].value, "1", sums[i].better);
    summary_add_message_faults(summary, &run->tally);
}

static void add_of_phase(struct summary *summary, const char *phase, const char *metric, double value,
                         const char *unit, const char *better)
{
    char name[SUMMARY_NAME_BYTES];
    snprintf(name, sizeof name, "phase.%s.%s", phase, metric);
    summary_add(summary, name, value, unit, better);
}

// Memory at the start, after the first phase and after the last; of each phase what there was at its end.
static void add_memory(struct run *run, struct summary *summary, const struct mix *mix,
                       const struct sample *start, const struct mix_phase_result results[], int count)
{
    const struct sample *full = &results[0].sample, *after = &results[count - 1].sample, *before = start;
    struct sample peak;
    bool read = start->at_ns != 0 && full->at_ns != 0;
    if (read) {
        summary_add_reading(summary, "start", start);
        summary_add_reading(summary, "full", full);
        summary_add_levels(summary, run, start, full);
    }
    bool judged = read && !run->owners.wrong && summary_judged(full, start, full) >= 0;
    if (judged && after->at_ns != 0) {
        sampler_peak(run->sampler, &peak);
        summary_add_reading(summary, "after", after);
        summary_add_bytes(summary, "memory.peak_bytes", summary_judged(&peak, start, full));
        memory_notes_peak(run, &peak);
        summary_add_bytes(summary, "memory.after_bytes", summary_judged(after, start, full));
    }
    for (int i = 0; i < count; i++) {
        const struct mix_phase_result *result = &results[i];
        const char *name = mix->phases[i].name;
        add_of_phase(summary, name, "seconds", (double)(result->ended_ns - result->at_ns) / 1e9, "s", "none");
        add_of_phase(summary, name, "connections", (double)result->connections, "1", "none");
        if (!judged || result->sample.at_ns == 0)
            continue;
        int64_t bytes = summary_judged(&result->sample, start, full); // -1: it could not be read
        add_of_phase(summary, name, "memory_bytes", bytes >= 0 ? (double)bytes : NAN, "B", "lower");
        if (result->sample.target_cpu_ns >= 0 && before->target_cpu_ns >= 0)
            add_of_phase(summary, name, "cpu_seconds",
                         (double)(result->sample.target_cpu_ns - before->target_cpu_ns) / 1e9, "s", "lower");
        before = &result->sample;
    }
}

void mix_results_add_run(struct run *run, struct summary *summary, const struct mix *mix,
                         const struct sample *start, const struct mix_phase_result results[], int count)
{
    add_sums(run, summary);
    if (count == 0)
        return;
    add_memory(run, summary, mix, start, results, count);
    mix_others_judge(run, mix, start, results, count);
}
