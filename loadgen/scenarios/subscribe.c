// SPDX-License-Identifier: Apache-2.0
// Scenario `subscribe`: clients stay, and their subscriptions come and go. Each client adds all of its filters and
// removes them again, one filter a packet, by turns at a rate, and so again. Latency counts from the intended time to
// SUBACK or UNSUBACK. Memory is read without subscriptions, with all of them, and when all are gone.
//
// With --retained the clients first publish so many retained messages. All of them match the one filter that each client
// then adds, and the target sends them because of each SUBSCRIBE: a replay, from the intended time of the SUBSCRIBE to the
// last of them. At the end they are removed.
#include "base/clock.h"
#include "loadgen/costs.h"
#include "loadgen/limits.h"
#include "loadgen/memory_notes.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/summary_growth.h"

#include <errno.h>

enum { CONNECTIONS = 1000, FILTERS = 10, FILTERS_MAX = 10000, RETAINED_MAX = 100000 };
static const int64_t REPLAYED_MAX = INT64_C(1) << 33; // retained messages x clients: a bit each

struct subscribe {
    int64_t connections, filters, retained, repeats, drain_ns, settle_ns;
    double rate_per_s, wildcards;
    struct pace pace;
    struct comeback comeback;
};
_Static_assert(sizeof(struct subscribe) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct subscribe, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections), "how many; 0: 1000"),
    {"filters", "N", OPT_COUNT, AT(filters), "0", 0, FILTERS_MAX, NULL,
     "subscriptions of a client, each to another filter; 0: 10, with --retained 1", NULL},
    {"retained", "N", OPT_COUNT, AT(retained), "0", 0, RETAINED_MAX, NULL,
     "the clients first publish so many retained messages, and their only filter matches all of them: a "
     "SUBSCRIBE then "
     "also awaits these (replay)",
     NULL},
    {"subscribe-rate", "N/s", OPT_RATE, AT(rate_per_s), "2000", 0.001, 1e9, NULL,
     "SUBSCRIBEs, and then UNSUBSCRIBEs, a second, all clients together, open loop", NULL},
    OPTIONS_PACE(AT(pace)),
    OPTIONS_BACKOFF(AT(comeback)),
    {"wildcards", "N", OPT_NUMBER, AT(wildcards), "0.1", 0, 1, NULL,
     "the share of the filters that end in a wildcard, # and + in turn", NULL},
    OPTION_REPEAT(AT(repeats), "how often each client adds all of its filters and removes them"),
    OPTION_DRAIN(AT(drain_ns), "wait for so long for the last answers; what has not come then is lost"),
    OPTION_SETTLE(AT(settle_ns)),
    {0},
};

static const char *const refuses[] = {"topic", NULL};

struct changes {                           // of all orders together
    int64_t took_ns, due_ns;               // from the common instant to the last answer; by the schedule
    int64_t turns_ns;                      // of the last change of each order (order_turn_ns)
    int64_t acts, orders;                  // by the schedule, which each order begins anew
    struct sample start, full, top, after; // no connection; no subscription; all subscriptions; none again
    int64_t standing;                      // subscriptions at `top`
};

static const struct subscribe *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check_retained(const struct config *config, const struct subscribe *own, struct err *err)
{
    if (own->filters > 1)
        return err_set(
            err, -EINVAL,
            "--filters %lld: with --retained each client has one filter, which matches all of them",
            (long long)own->filters);
    if (config->targets.count > 1)
        return err_set(err, -EINVAL,
                       "--retained: %d targets would each have a part of the messages; it takes one",
                       config->targets.count);
    if (own->retained > REPLAYED_MAX / config->connections)
        return err_set(err, -EINVAL, "--retained %lld: for %lld clients %lld is the most that is counted",
                       (long long)own->retained, (long long)config->connections,
                       (long long)(REPLAYED_MAX / config->connections));
    return 0;
}

static int check(struct config *config, struct err *err)
{
    struct subscribe *own = (void *)config->options;
    config->connections = own->connections > 0 ? own->connections : CONNECTIONS;
    int code = own->retained > 0 ? check_retained(config, own, err) : 0;
    if (own->filters == 0)
        own->filters = own->retained > 0 ? 1 : FILTERS;
    if (code == 0)
        code = pace_check(&own->pace, "subscribe-rate", own->rate_per_s,
                          &(struct pace_length){.acts = config->connections * own->filters}, err);
    return code < 0 ? code : comeback_keep(config, &own->comeback, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct subscribe *own = options_of(config);
    json_object_set_new(json, "filters", json_integer(own->filters));
    json_object_set_new(json, "retained", json_integer(own->retained));
    json_object_set_new(json, "subscribe_rate_per_s", json_real(own->rate_per_s));
    pace_describe(json, &own->pace);
    comeback_describe(json, &own->comeback);
    json_object_set_new(json, "wildcards", json_real(own->wildcards));
    json_object_set_new(json, "repeat", json_integer(own->repeats));
    json_object_set_new(json, "qos", json_integer(config->qos));
    json_object_set_new(json, "drain_ns", json_integer(own->drain_ns));
    json_object_set_new(json, "settle_ns", json_integer(own->settle_ns));
}

// All clients add all of their filters, or remove them.
static bool change_all(struct run *run, bool removes, struct changes *changes)
{
    const struct subscribe *own = options_of(run->config);
    struct fleet_order order = {
        .act = FLEET_SUBSCRIBE,
        .goal = run->config->connections,
        .filters = own->filters,
        .wildcards = own->wildcards,
        .removes = removes,
        .retained = own->retained,
        .rate_per_s = own->rate_per_s,
        .shape = pace_shape(&own->pace, run->config->seed, changes->orders),
        .qos = (int)run->config->qos,
        .drain_ns = own->drain_ns,
    };
    const int64_t *count = run->tally.count;
    int64_t before = count[TALLY_ADDED] + count[TALLY_REMOVED];
    int64_t span_ns = pace_span_ns(&order, order.goal * order.filters);
    run_phase(run, removes ? "unsubscribe" : "subscribe");
    bool fine = run_order(run, run->fleet, &order, span_ns + own->drain_ns + 60 * NS_PER_S);
    changes->due_ns += span_ns;
    changes->turns_ns += order_turn_ns(&order, order.goal * order.filters);
    changes->acts += order.goal * order.filters;
    changes->orders++;
    int64_t made = count[TALLY_ADDED] + count[TALLY_REMOVED] - before, last_ns = count[TALLY_LAST_CHANGED_NS];
    if (made > 0 && last_ns > order.at_ns)
        changes->took_ns +=
            order_end_ns(run, last_ns, order.at_ns + span_ns, made == order.goal * order.filters) -
            order.at_ns;
    return fine;
}

// Publishes the retained messages, or removes them. Nothing without --retained.
static bool retain(struct run *run, bool removes)
{
    const struct subscribe *own = options_of(run->config);
    struct fleet_order order = {
        .act = FLEET_RETAIN,
        .goal = run->config->connections,
        .retained = own->retained,
        .removes = removes,
        .drain_ns = own->drain_ns,
    };
    if (own->retained == 0)
        return true;
    int64_t before = run->tally.count[TALLY_RETAINED];
    run_phase(run, "retain");
    if (!run_order(run, run->fleet, &order, own->drain_ns + 600 * NS_PER_S))
        return false;
    int64_t done = run->tally.count[TALLY_RETAINED] - before;
    if (done < own->retained && !removes)
        run_break(run,
                  "%lld of %lld retained messages were acknowledged: without the others no replay is whole",
                  (long long)done, (long long)own->retained);
    return !run_is_broken(run);
}

// `settle_ns` 0: nothing is watched, and nothing is waited for.
static bool flap(struct run *run, int64_t settle_ns, struct changes *changes)
{
    bool fine = true;
    for (int64_t i = 0; fine && i < options_of(run->config)->repeats; i++) {
        fine = change_all(run, false, changes);
        if (i == 0) {
            changes->standing = run->tally.count[TALLY_ADDED];
            fine = fine && run_settle(run, settle_ns, &changes->top);
        }
        fine = fine && change_all(run, true, changes);
    }
    run_phase(run, "after");
    return fine && run_settle(run, settle_ns, &changes->after);
}

// Subscriptions of these clients are among those that were made, and may be gone with the connection.
static void tell_lost(struct run *run, int64_t lost, int64_t standing)
{
    if (lost > 0)
        run_anomaly(run, "subscribers_lost",
                    "memory of a subscription has no figure: %lld clients lost their connection while all "
                    "subscribed, and how many of the %lld subscriptions that were made still stood at the "
                    "reading is not known",
                    (long long)lost, (long long)standing);
}

static void add_memory(struct run *run, struct summary *summary, const struct changes *changes)
{
    const struct sample *start = &changes->start, *full = &changes->full;
    int64_t full_bytes = summary_judged(full, start, full),
            top_bytes = summary_judged(&changes->top, start, full);
    struct sample peak;
    sampler_peak(run->sampler, &peak);
    summary_add_reading(summary, "start", start);
    summary_add_reading(summary, "full", full);
    summary_add_reading(summary, "subscribed", &changes->top);
    summary_add_reading(summary, "after", &changes->after);
    summary_add_levels(summary, run, start, full);
    summary_add(summary, "subscriptions.standing", (double)changes->standing, "1", "none");
    if (full_bytes < 0 || top_bytes < 0)
        return;
    summary_add_bytes(summary, "memory.subscribed_bytes", top_bytes);
    summary_add_bytes(summary, "memory.peak_bytes", summary_judged(&peak, start, full));
    memory_notes_peak(run, &peak);
    summary_add_bytes(summary, "memory.after_bytes", summary_judged(&changes->after, start, full));
    tell_lost(run, changes->top.lost - full->lost, changes->standing);
    summary_add(summary, "memory.per_subscription_bytes",
                summary_growth_each(run, "memory.per_subscription_bytes", full_bytes, top_bytes,
                                    changes->standing, "subscriptions"),
                "B", "lower");
    costs_judge_memory(run, start, full, full->connections - start->connections);
    const int64_t *count = run->tally.count;
    struct cost_part part = costs_between(full, &changes->after);
    part.made = count[TALLY_ADDED] + count[TALLY_REMOVED];
    part.failed = count[TALLY_ADD_FAILED] + count[TALLY_REMOVE_FAILED] + count[TALLY_ADD_LOST] +
                  count[TALLY_REMOVE_LOST] + changes->after.lost - full->lost;
    double cost_ns = costs_each(run, &part, &costs_of_changes);
    if (part.made > 0 && part.cpu_ns >= 0)
        summary_add(summary, "cpu.per_change_ns", cost_ns, "ns", "lower");
}

static void add_limit(struct run *run, struct summary *summary, const struct changes *changes,
                      double asked_per_s, double had_per_s)
{
    const int64_t *count = run->tally.count;
    int64_t due = count[TALLY_ADD_DUE] + count[TALLY_REMOVE_DUE],
            took_ns = changes->took_ns + changes->turns_ns;
    struct limits_acts acts = {.kind = LOAD_CHANGES,
                               .asked_per_s = asked_per_s,
                               .had_per_s = had_per_s,
                               .took_ns = took_ns,
                               .in_time = count[TALLY_ADDED] + count[TALLY_REMOVED] >= changes->acts &&
                                          !order_missed_rate(took_ns, changes->due_ns + changes->turns_ns),
                               .due = due,
                               .not_sent = count[TALLY_ADD_NOT_SENT] + count[TALLY_REMOVE_NOT_SENT]};
    limits_add(run, summary, &acts);
}

static void add_rate(struct run *run, struct summary *summary, const struct changes *changes, int64_t changed)
{
    const struct subscribe *own = options_of(run->config);
    double asked_per_s = own->rate_per_s, seconds = (double)(changes->took_ns + changes->turns_ns) / 1e9;
    if (pace_shape(&own->pace, 0, 0).kind != SCHEDULE_CONSTANT && changes->due_ns > 0)
        asked_per_s = (double)(changes->acts - changes->orders) * 1e9 / (double)changes->due_ns;
    summary_add(summary, "subscriptions.rate_asked", asked_per_s, "1/s", "none");
    if (changes->took_ns <= 0 || changed == 0)
        return;
    double had_per_s = (double)changed / seconds;
    summary_add(summary, "subscriptions.rate", had_per_s, "1/s", "higher");
    summary_add(summary, "subscriptions.seconds", seconds, "s", "lower");
    add_limit(run, summary, changes, asked_per_s, had_per_s);
    if (run_is_broken(run))
        return;
    if (order_missed_rate(changes->took_ns + changes->turns_ns, changes->due_ns + changes->turns_ns))
        run_anomaly(
            run, "rate",
            "%.1f changes of subscriptions a second were had where %.1f were asked for: all rounds together "
            "took %.3f s longer than their schedule",
            had_per_s, asked_per_s, (double)(changes->took_ns - changes->due_ns) / 1e9);
    else
        order_tell_short_schedule(run, "changes of subscriptions", changed, had_per_s, asked_per_s);
}

static void add_changes(struct run *run, struct summary *summary, const struct changes *changes)
{
    const int64_t *count = run->tally.count;
    int64_t added = count[TALLY_ADDED], removed = count[TALLY_REMOVED];
    int64_t not_sent = count[TALLY_ADD_NOT_SENT] + count[TALLY_REMOVE_NOT_SENT];
    int64_t refused = count[TALLY_ADD_FAILED] + count[TALLY_REMOVE_FAILED];
    int64_t lost = count[TALLY_ADD_LOST] + count[TALLY_REMOVE_LOST];
    int64_t unfinished = count[TALLY_ADD_UNFINISHED] + count[TALLY_REMOVE_UNFINISHED];
    if (count[TALLY_ADD_DUE] == 0)
        return;
    summary_add(summary, "subscriptions.added", (double)added, "1", "none");
    summary_add(summary, "subscriptions.removed", (double)removed, "1", "none");
    add_rate(run, summary, changes, added + removed);
    summary_add(summary, "subscriptions.not_sent", (double)not_sent, "1", "lower");
    summary_add(summary, "subscriptions.failed", (double)(refused + lost), "1", "lower");
    summary_add(summary, "subscriptions.unfinished", (double)unfinished, "1", "lower");
    if (not_sent > 0)
        run_anomaly(run, "not_sent",
                    "%lld changes of subscriptions were due and not sent: the client's change before was "
                    "under way, or "
                    "the client was not there",
                    (long long)not_sent);
    if (refused > 0)
        run_anomaly(run, "refused",
                    "%lld changes of subscriptions were refused, or lost with their connection",
                    (long long)refused);
    if (lost > 0)
        run_anomaly(run, "unanswered", "%lld SUBSCRIBEs and UNSUBSCRIBEs had no answer within --drain",
                    (long long)lost);
}

static void add_replays(struct run *run, struct summary *summary)
{
    const int64_t *count = run->tally.count;
    int64_t lost = count[TALLY_REPLAY_MESSAGE_LOST], foreign = count[TALLY_FOREIGN] + count[TALLY_STRANGE];
    if (options_of(run->config)->retained == 0)
        return;
    summary_add(summary, "replay.retained", (double)count[TALLY_RETAINED], "1", "none");
    summary_add(summary, "replay.messages_due", (double)count[TALLY_REPLAY_MESSAGE_DUE], "1", "none");
    summary_add(summary, "replay.messages",
                (double)(count[TALLY_REPLAY_MESSAGE_ARRIVED] + count[TALLY_REPLAY_MESSAGE_CORRUPT]), "1",
                "none");
    summary_add(summary, "replay.messages_lost", (double)lost, "1", "lower");
    summary_add(summary, "messages.duplicates", (double)count[TALLY_DUPLICATES], "1", "lower");
    if (count[TALLY_TOPIC_CHANGED] > 0)
        summary_add(summary, "messages.topic_changed", (double)count[TALLY_TOPIC_CHANGED], "1", "lower");
    if (count[TALLY_RETAIN_CHANGED] > 0)
        summary_add(summary, "messages.retain_changed", (double)count[TALLY_RETAIN_CHANGED], "1", "lower");
    if (lost > 0)
        run_anomaly(run, "lost",
                    "%lld retained messages did not arrive because of the SUBSCRIBE that they match",
                    (long long)lost);
    if (count[TALLY_REPLAY_MESSAGE_CORRUPT] > 0)
        run_anomaly(run, "corrupt", "%lld retained messages arrived with other content than was published",
                    (long long)count[TALLY_REPLAY_MESSAGE_CORRUPT]);
    if (count[TALLY_DUPLICATES] > 0)
        run_anomaly(run, "duplicates", "%lld retained messages arrived a second time for one SUBSCRIBE",
                    (long long)count[TALLY_DUPLICATES]);
    if (foreign > 0)
        run_anomaly(
            run, "foreign",
            "%lld messages arrived that this run did not retain: another generator publishes on the same "
            "topics (--prefix), or the target kept messages of a run before",
            (long long)foreign);
    if (count[TALLY_RETAINED] < count[TALLY_RETAIN_DUE])
        run_anomaly(run, "retained", "%lld messages with RETAIN were not sent or not acknowledged",
                    (long long)(count[TALLY_RETAIN_DUE] - count[TALLY_RETAINED]));
}

static void play(struct run *run, struct summary *summary)
{
    struct changes changes = {0};
    struct connect_time time = {0};
    int64_t settle_ns = run->config->watch.count > 0 ? options_of(run->config)->settle_ns : 0;
    if (run_rest(run) && run_sample(run, &changes.start)) {
        run_phase(run, "connect");
        if (order_connect_to(run, 0, run->config->connections, FLEET_SUBSCRIBE_NONE, &time) &&
            retain(run, false) && run_settle(run, settle_ns, &changes.full)) {
            run->lossy = true;
            if (flap(run, settle_ns, &changes))
                add_memory(run, summary, &changes);
            if (!run_is_broken(run))
                (void)retain(run, true);
            if (run->config->prove && !run_is_broken(run))
                order_prove(run, summary);
        }
    }
    order_add_connect_rate(run, summary, &time);
    add_changes(run, summary, &changes);
    add_replays(run, summary);
    run_disconnect(run);
    arrivals_add_returns(run, summary);
}

const struct scenario scenario_subscribe = {
    .name = "subscribe",
    .summary = "clients add subscriptions and remove them, by turns at a rate",
    .measures = SCENARIO_MEASURES_CONNECTS SCENARIO_MEASURES_RETURNS
    "subscribe.* unsubscribe.* subscriptions.* replay.* messages.duplicates messages.topic_changed "
    "messages.retain_changed memory.subscribed_bytes "
    "memory.per_subscription_bytes memory.peak_bytes memory.after_bytes cpu.per_change_ns",
    .proves = true,
    .limit_of = LOAD_CHANGES,
    .refuses = refuses,
    .why_refused = "clients have filters of their own, poolmark/PREFIX/s/...",
    .options = options,
    .options_bytes = sizeof(struct subscribe),
    .check = check,
    .describe = describe,
    .play = play,
};
