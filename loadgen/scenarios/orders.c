// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/orders.h"

#include "base/clock.h"
#include "loadgen/limits.h"

#include <errno.h>
#include <math.h>

int64_t order_end_ns(const struct run *run, int64_t last_ns, int64_t scheduled_ns, bool whole)
{
    int64_t until_ns = run->broken_ns > 0 && run->broken_ns < scheduled_ns ? run->broken_ns : scheduled_ns;
    return whole || last_ns > until_ns ? last_ns : until_ns;
}

int64_t order_turn_ns(const struct fleet_order *order, int64_t acts)
{
    if (!(order->rate_per_s > 0))
        return 0;
    return acts > 1 ? pace_span_ns(order, acts) / (acts - 1) : (int64_t)(1e9 / order->rate_per_s);
}

int order_check_topic(const struct config *config, bool subscribe, struct err *err)
{
    if (!config->identity.topic_asked || subscribe)
        return 0;
    return err_set(err, -EINVAL,
                   "--topic: without --subscribe these clients use no topic; give both, or none");
}

bool order_connect_to(struct run *run, int64_t before, int64_t goal, enum fleet_subscribe subscribe,
                      struct connect_time *time)
{
    const struct config *config = run->config;
    struct fleet_order order = {
        .act = FLEET_CONNECT,
        .subscribe = subscribe,
        .gated = !(config->connect_rate_per_s > 0),
        .goal = goal,
        .before = before,
        .rate_per_s = config->connect_rate_per_s,
        .pattern = config->pattern,
        .qos = (int)config->qos,
    };
    if (time->pace)
        order.shape = pace_shape(time->pace, config->seed, 0);
    order.shape.first = time->acts;
    run->wanted = goal;
    // Every connect ends by itself. This limit only keeps a run from waiting for ever if one does not.
    int64_t due_ns = pace_span_ns(&order, goal - before);
    int64_t limit_ns = due_ns + config->give_up_ns + 4 * config->timeout_ns + 600 * NS_PER_S;
    int64_t connected = run->tally.count[TALLY_CONNECTED];
    bool fine = run_order(run, run->fleet, &order, limit_ns);
    connected = run->tally.count[TALLY_CONNECTED] - connected;
    int64_t last_ns = run->tally.count[TALLY_LAST_CONNECTED_NS];
    time->due_ns += due_ns;
    time->turns_ns += order_turn_ns(&order, goal - before);
    time->acts += goal - before;
    time->orders++;
    if (last_ns > order.at_ns && order.at_ns > 0)
        time->took_ns +=
            order_end_ns(run, last_ns, order.at_ns + due_ns, connected == goal - before) - order.at_ns;
    // Without a connected client there is nothing to hold, publish or measure.
    if (fine && run->tally.count[TALLY_OPEN] == 0)
        run_break(run, "no client is connected: %s", tally_reason_text(tally_main_reason(&run->tally)));
    return !run_is_broken(run);
}

enum { FEW_ACTS = 20 }; // of so many, one more or less is 5 %
static const double SHORT_SHARE = 0.1;

bool order_missed_rate(int64_t took_ns, int64_t due_ns)
{
    return took_ns > due_ns + due_ns / 20 + NS_PER_S / 10;
}

void order_tell_short_schedule(struct run *run, const char *what, int64_t acts, double had_per_s,
                               double asked_per_s)
{
    if (acts < FEW_ACTS && fabs(had_per_s - asked_per_s) > asked_per_s * SHORT_SHARE)
        run_anomaly(
            run, "rate",
            "%.4g %s a second were had where %.4g were asked for: the schedule is short and has %lld in all",
            had_per_s, what, asked_per_s, (long long)acts);
}

// Of a rate that changes: as the connects were due, counted from the first of each order to its last.
static double asked_connects_per_s(const struct run *run, const struct connect_time *time)
{
    bool constant = !time->pace || pace_shape(time->pace, 0, 0).kind == SCHEDULE_CONSTANT;
    if (constant || time->due_ns == 0)
        return run->config->connect_rate_per_s;
    return (double)(time->acts - time->orders) * 1e9 / (double)time->due_ns;
}

void order_add_connect_limit(struct run *run, struct summary *summary, const struct connect_time *time)
{
    const int64_t *count = run->tally.count;
    int64_t wanted = run->config->connections - run->config->later, took_ns = time->took_ns + time->turns_ns;
    if (time->took_ns <= 0)
        return;
    struct limits_acts acts = {.kind = LOAD_CONNECTS,
                               .asked_per_s = asked_connects_per_s(run, time),
                               .had_per_s = (double)count[TALLY_CONNECTED] * 1e9 / (double)took_ns,
                               .took_ns = took_ns,
                               .in_time = count[TALLY_CONNECTED] >= wanted &&
                                          !order_missed_rate(took_ns, time->due_ns + time->turns_ns),
                               .waits = count[TALLY_CONNECT_RETRIES] > 0,
                               .due = wanted};
    limits_add(run, summary, &acts);
}

void order_add_connect_rate(struct run *run, struct summary *summary, const struct connect_time *time)
{
    int64_t connected = run->tally.count[TALLY_CONNECTED];
    double asked = asked_connects_per_s(run, time);
    if (asked > 0)
        summary_add(summary, "connect.rate_asked", asked, "1/s", "none");
    if (time->took_ns <= 0)
        return;
    double seconds = (double)(time->took_ns + time->turns_ns) / 1e9, rate = (double)connected / seconds;
    summary_add(summary, "connect.rate", rate, "1/s", "higher");
    summary_add(summary, "connect.seconds", seconds, "s", "lower");
    if (asked > 0 && order_missed_rate(time->took_ns + time->turns_ns, time->due_ns + time->turns_ns))
        run_anomaly(
            run, "rate",
            "%.1f connects a second were had where %.1f were asked for: the last came %.3f s after it was "
            "due",
            rate, asked, (double)(time->took_ns - time->due_ns) / 1e9);
    else if (asked > 0)
        order_tell_short_schedule(run, "connects", connected, rate, asked);
    order_add_connect_limit(run, summary, time);
}

bool order_prove(struct run *run, struct summary *summary)
{
    run_phase(run, "prove");
    const int64_t *count = run->tally.count;
    int64_t before = count[TALLY_PROVEN], asked = count[TALLY_PROVE_ASKED];
    struct fleet_order order = {.act = FLEET_PROVE, .gated = true, .drain_ns = 60 * NS_PER_S};
    bool fine = run_order(run, run->fleet, &order, 600 * NS_PER_S);
    int64_t alive = count[TALLY_PROVEN] - before;
    summary_add(summary, "clients.alive", (double)alive, "1", "higher");
    // A client that came back meanwhile was not asked.
    asked = count[TALLY_PROVE_ASKED] - asked;
    int64_t open = count[TALLY_OPEN] < asked ? count[TALLY_OPEN] : asked;
    if (alive < open)
        run_anomaly(run, "silent", "%lld of %lld connections gave no sign of life", (long long)(open - alive),
                    (long long)open);
    return fine;
}

bool order_connect_probes(struct run *run)
{
    if (!run->probes)
        return true;
    struct fleet_order order = {.act = FLEET_CONNECT,
                                .subscribe = FLEET_SUBSCRIBE_PAIR,
                                .goal = run->config->probes,
                                .pattern = pattern_pairs(run->config->probes / 2),
                                .qos = (int)run->config->qos};
    run_phase(run, "probes");
    if (!run_order(run, run->probes, &order, 2 * run->config->timeout_ns))
        return false;
    struct tally tally = {0};
    fleet_sum(run->probes, &tally);
    if (tally.count[TALLY_OPEN] < run->config->probes)
        run_break(run, "only %lld of %lld probes connected: %s", (long long)tally.count[TALLY_OPEN],
                  (long long)run->config->probes, tally_reason_text(tally_main_reason(&tally)));
    return !run_is_broken(run);
}
