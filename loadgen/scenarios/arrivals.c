// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/arrivals.h"

#include "base/clock.h"
#include "loadgen/engine.h"
#include "loadgen/limits.h"
#include "loadgen/memory_notes.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/summary_growth.h"

#include <errno.h>
#include <math.h>
#include <string.h>

const char *const option_leaves[] = {
    [LEAVE_DISCONNECT] = "disconnect",
    [LEAVE_FIN] = "fin",
    [LEAVE_RST] = "rst",
    [LEAVE_MIX] = "mix",
    [LEAVE_COUNT] = NULL,
};

enum leave arrivals_leave(const char *choice)
{
    int way = 0;
    while (option_leaves[way] && strcmp(option_leaves[way], choice) != 0)
        way++;
    return way < LEAVE_COUNT ? (enum leave)way : LEAVE_DISCONNECT;
}

int arrivals_check(const struct config *config, const char *leave, const struct comeback *comeback,
                   struct err *err)
{
    if (arrivals_leave(leave) != LEAVE_DISCONNECT && !(config->engine->caps & ENGINE_CAP_CUT))
        return err_set(err, -EINVAL,
                       "--leave %s: engine %s can only send a DISCONNECT; --engine raw can cut connections",
                       leave, config->engine->name);
    return comeback_check(comeback, err);
}

void arrivals_describe(json_t *json, const char *leave, const struct comeback *comeback)
{
    json_object_set_new(json, "leave", json_string(leave));
    comeback_describe(json, comeback);
}

void arrivals_set_backoff(struct fleet_order *order, const struct comeback *comeback)
{
    order->backoff = comeback_backoff(comeback);
    order->drain_ns = comeback->first_ns > 0 ? comeback->give_up_ns : 0;
}

int arrivals_check_turns(struct config *config, struct turns *turns, int64_t duration_ns, struct err *err)
{
    config->keep_sessions = turns->keep_sessions;
    int code = pace_check(&turns->pace, "churn-rate", turns->rate_per_s,
                          &(struct pace_length){.ns = duration_ns}, err);
    if (code < 0)
        return code;
    double most = fmax(turns->rate_per_s, turns->pace.from_per_s);
    double absent = most * (double)turns->away_ns / 1e9; // clients, on average
    if (absent > (double)config->connections)
        return err_set(err, -EINVAL,
                       "--churn-rate %g and --away: %.0f clients would be away at a time, and there are %lld",
                       most, absent, (long long)config->connections);
    return arrivals_check(config, turns->leave, &turns->comeback, err);
}

void arrivals_describe_turns(json_t *json, const struct turns *turns)
{
    json_object_set_new(json, "arrival_rate_per_s", json_real(turns->rate_per_s));
    pace_describe(json, &turns->pace);
    json_object_set_new(json, "away_ns", json_integer(turns->away_ns));
    json_object_set_new(json, "keep_sessions", json_boolean(turns->keep_sessions));
    json_object_set_new(json, "subscribe", json_boolean(turns->subscribe));
    arrivals_describe(json, turns->leave, &turns->comeback);
}

struct fleet_order arrivals_turns(const struct config *config, const struct turns *turns, int64_t duration_ns)
{
    struct fleet_order order = {
        .arrivals = FLEET_ARRIVALS_TURNS,
        .subscribe = turns->subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE,
        .goal = config->connections,
        .rate_per_s = turns->rate_per_s,
        .shape = pace_shape(&turns->pace, config->seed, 0),
        .duration_ns = duration_ns,
        .away_ns = turns->away_ns,
        .leave = arrivals_leave(turns->leave),
    };
    arrivals_set_backoff(&order, &turns->comeback);
    return order;
}

// The rate that an order asked for. One that changes is the mean of all orders: each counts with its time.
static void ask(const struct run *run, const struct fleet_order *order, int64_t due,
                struct arrivals *arrivals)
{
    int64_t acts = order->goal - order->before, span_ns = order->duration_ns;
    double asked_per_s = order->rate_per_s;
    if (order->arrivals == FLEET_ARRIVALS_ONCE) {
        span_ns = pace_span_ns(order, acts);
        asked_per_s = span_ns > 0 ? (double)(acts - 1) * 1e9 / (double)span_ns : asked_per_s;
    } else if (order->arrivals == FLEET_ARRIVALS_TURNS) {
        int64_t end_ns = order->at_ns + span_ns;
        end_ns = run->broken_ns > 0 && run->broken_ns < end_ns ? run->broken_ns : end_ns;
        asked_per_s = pace_asked_per_s(order, order->at_ns, end_ns, due);
    }
    arrivals->asked_acts += asked_per_s * (double)span_ns / 1e9;
    arrivals->asked_ns += span_ns;
    bool changes = order->shape.kind != SCHEDULE_CONSTANT && arrivals->asked_ns > 0;
    arrivals->rate_asked_per_s =
        changes ? arrivals->asked_acts * 1e9 / (double)arrivals->asked_ns : order->rate_per_s;
}

bool arrivals_order(struct run *run, struct fleet_order *order, struct arrivals *arrivals)
{
    order->act = FLEET_ARRIVE;
    order->seed = (uint64_t)run->config->seed;
    order->qos = (int)run->config->qos;
    // Every arrival ends by itself. This limit only keeps a run from waiting for ever if one does not.
    int64_t limit_ns =
        order->duration_ns + order->away_ns + order->drain_ns + 4 * run->config->timeout_ns + 600 * NS_PER_S;
    if (order->arrivals == FLEET_ARRIVALS_ONCE)
        limit_ns += pace_span_ns(order, order->goal - order->before);
    const int64_t *count = run->tally.count;
    int64_t arrived = count[TALLY_ARRIVED], due = count[TALLY_ARRIVAL_DUE];
    bool fine = arrivals->beside ? run_orders(run, order, arrivals->beside, limit_ns)
                                 : run_order(run, run->fleet, order, limit_ns);
    int64_t from_ns = order->at_ns + order->away_ns, last_ns = count[TALLY_LAST_ARRIVED_NS];
    if (order->arrivals == FLEET_ARRIVALS_ON_LOSS)
        from_ns = count[TALLY_FIRST_ARRIVAL_NS];
    arrived = count[TALLY_ARRIVED] - arrived;
    due = count[TALLY_ARRIVAL_DUE] - due;
    ask(run, order, due, arrivals);
    int64_t acts = order->goal - order->before, scheduled_ns = 0, turn_ns = 0;
    if (order->arrivals == FLEET_ARRIVALS_TURNS) {
        scheduled_ns = order->duration_ns;
    } else if (order->arrivals == FLEET_ARRIVALS_ONCE) {
        scheduled_ns = pace_span_ns(order, acts);
        turn_ns = order_turn_ns(order, acts);
    }
    arrivals->due_ns += scheduled_ns + turn_ns;
    arrivals->waits = arrivals->waits || order->wait_first;
    if (arrived > 0 && last_ns > from_ns)
        arrivals->took_ns +=
            order_end_ns(run, last_ns, from_ns + scheduled_ns, arrived == due) - from_ns + turn_ns;
    return fine;
}

static void add_all(struct run *run, struct summary *summary, const struct arrivals *arrivals)
{
    struct tally all = run->tally; // the probes of steps come back too
    tally_add_arrivals(&all, &run->probe_tally);
    const int64_t *count = all.count;
    if (count[TALLY_ARRIVAL_DUE] == 0)
        return;
    summary_add(summary, "arrivals.count", (double)count[TALLY_ARRIVED], "1", "none");
    if (arrivals->took_ns > 0) {
        double seconds = (double)arrivals->took_ns / 1e9;
        summary_add(summary, "arrivals.rate", (double)count[TALLY_ARRIVED] / seconds, "1/s", "higher");
        summary_add(summary, "arrivals.seconds", seconds, "s", "lower");
    }
    if (arrivals->rate_asked_per_s > 0) {
        summary_add(summary, "arrivals.rate_asked", arrivals->rate_asked_per_s, "1/s", "none");
        if (arrivals->took_ns > 0)
            order_tell_short_schedule(run, "arrivals", count[TALLY_ARRIVED],
                                      (double)count[TALLY_ARRIVED] * 1e9 / (double)arrivals->took_ns,
                                      arrivals->rate_asked_per_s);
    }
    summary_add(summary, "arrivals.retries", (double)count[TALLY_ARRIVAL_RETRIES], "1", "none");
    summary_add(summary, "arrivals.resumed", (double)count[TALLY_RESUMED], "1", "none");
    summary_add(summary, "arrivals.not_sent", (double)count[TALLY_ARRIVAL_NOT_SENT], "1", "lower");
    summary_add(summary, "arrivals.failed", (double)tally_away(&all), "1", "lower");
    summary_add(summary, "arrivals.unfinished", (double)count[TALLY_ARRIVAL_UNFINISHED], "1", "lower");
    if (count[TALLY_ARRIVAL_NOT_SENT] > 0)
        run_anomaly(run, "not_sent", "%lld arrivals were due while the client's arrival before was under way",
                    (long long)count[TALLY_ARRIVAL_NOT_SENT]);
    if (count[TALLY_SESSION_LOST] > 0)
        run_anomaly(run, "sessions_lost", "%lld arrivals: " ARRIVALS_SESSION_LOST,
                    (long long)count[TALLY_SESSION_LOST]);
    for (int i = 0; i < REASON_COUNT; i++)
        if (all.away[i] > 0)
            run_anomaly(run, "away", "%lld clients did not come (back): %s", (long long)all.away[i],
                        tally_reason_text((enum tally_reason)i));
}

static void add_limit(struct run *run, struct summary *summary, const struct arrivals *arrivals)
{
    const int64_t *count = run->tally.count;
    if (count[TALLY_ARRIVAL_DUE] == 0 || arrivals->took_ns <= 0)
        return;
    struct limits_acts acts = {.kind = LOAD_ARRIVALS,
                               .asked_per_s = arrivals->rate_asked_per_s,
                               .had_per_s = (double)count[TALLY_ARRIVED] * 1e9 / (double)arrivals->took_ns,
                               .took_ns = arrivals->took_ns,
                               .in_time = count[TALLY_ARRIVED] >= count[TALLY_ARRIVAL_DUE] &&
                                          !order_missed_rate(arrivals->took_ns, arrivals->due_ns),
                               .waits = arrivals->waits || count[TALLY_ARRIVAL_RETRIES] > 0,
                               .due = count[TALLY_ARRIVAL_DUE],
                               .not_sent = count[TALLY_ARRIVAL_NOT_SENT]};
    limits_add(run, summary, &acts);
}

void arrivals_add(struct run *run, struct summary *summary, const struct arrivals *arrivals)
{
    add_all(run, summary, arrivals);
    add_limit(run, summary, arrivals);
}

void arrivals_add_returns(struct run *run, struct summary *summary)
{
    struct tally all = run->tally;
    tally_add_arrivals(&all, &run->probe_tally);
    if (run->config->backoff.first_ns == 0)
        return;
    summary_add(summary, "connect.retries", (double)all.count[TALLY_CONNECT_RETRIES], "1", "none");
    struct arrivals arrivals = {0};
    if (all.count[TALLY_ARRIVED] > 0)
        arrivals.took_ns = all.count[TALLY_LAST_ARRIVED_NS] - all.count[TALLY_FIRST_ARRIVAL_NS];
    add_all(run, summary, &arrivals);
}

void arrivals_add_memory(struct run *run, struct summary *summary, const struct sample *start,
                         const struct sample *full, const struct sample *after)
{
    struct sample peak;
    sampler_peak(run->sampler, &peak);
    summary_add_reading(summary, "start", start);
    summary_add_reading(summary, "full", full);
    summary_add_reading(summary, "after", after);
    summary_add_levels(summary, run, start, full);
    if (summary_judged(after, start, full) >= 0) {
        summary_add_bytes(summary, "memory.peak_bytes", summary_judged(&peak, start, full));
        memory_notes_peak(run, &peak);
        summary_add_bytes(summary, "memory.after_bytes", summary_judged(after, start, full));
    }
    costs_judge_memory(run, start, full, full->connections - start->connections);
    const int64_t *count = run->tally.count;
    struct cost_part part = costs_between(full, after);
    part.made = count[TALLY_ARRIVED];
    // Each retry follows a connect that failed; the last one of a client that stays away has no retry.
    part.failed = count[TALLY_ARRIVAL_RETRIES] + tally_away(&run->tally) + count[TALLY_ARRIVAL_UNFINISHED] +
                  after->lost - full->lost;
    double cost_ns = costs_each(run, &part, &costs_of_arrivals);
    if (part.made > 0 && part.cpu_ns >= 0)
        summary_add(summary, "cpu.per_arrival_ns", cost_ns, "ns", "lower");
}

void arrivals_play(struct run *run, struct summary *summary, bool subscribe, int64_t settle_ns,
                   bool (*act)(struct run *run, struct arrivals *arrivals))
{
    struct sample start, full, after;
    struct connect_time time = {0};
    struct arrivals arrivals = {0};
    enum fleet_subscribe what = subscribe ? FLEET_SUBSCRIBE_OWN : FLEET_SUBSCRIBE_NONE;
    if (run->config->watch.count == 0)
        settle_ns = 0;
    if (run_rest(run) && run_sample(run, &start)) {
        run_phase(run, "connect");
        if (order_connect_to(run, 0, run->config->connections, what, &time) &&
            run_settle(run, settle_ns, &full) && act(run, &arrivals)) {
            run_phase(run, "after");
            if (run_settle(run, settle_ns, &after))
                arrivals_add_memory(run, summary, &start, &full, &after);
            if (run->config->prove && !run_is_broken(run))
                order_prove(run, summary);
        }
    }
    order_add_connect_rate(run, summary, &time);
    arrivals_add(run, summary, &arrivals);
    run_disconnect(run);
}
