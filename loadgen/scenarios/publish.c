// SPDX-License-Identifier: Apache-2.0
// Scenario `publish`: pairs of clients, each a publisher and a subscriber; messages at a rate (of all pairs
// together) or as fast as they are delivered. Other connections, when more are asked for, stay idle.
#include "loadgen/scenario.h"

#include "base/clock.h"

enum { DRAIN_S = 5 };

// Measured messages that arrived, for each second that there was: from the first that counts to the end of
// the schedule, or of the run when that came before it, or to the last arrival when that came after it.
static void add_rate(struct summary *summary, const struct run *run, const struct fleet_order *order)
{
    int64_t from_ns = order->at_ns + order->warmup_ns, to_ns = order->at_ns + order->duration_ns;
    if (run->broken_ns > 0 && run->broken_ns < to_ns)
        to_ns = run->broken_ns;
    if (run->tally.count[TALLY_LAST_RECEIVED_NS] > to_ns)
        to_ns = run->tally.count[TALLY_LAST_RECEIVED_NS];
    double seconds = (double)(to_ns - from_ns) / 1e9;
    if (seconds <= 0) // ended in the warm-up
        return;
    summary_add(summary, "messages.rate", (double)tally_measured(&run->tally, TALLY_RECEIVED) / seconds,
                "1/s", "higher");
    summary_add(summary, "messages.seconds", seconds, "s", "none");
    if (order->rate_per_s > 0)
        summary_add(summary, "messages.rate_asked", order->rate_per_s, "1/s", "none");
}

static void add_messages(struct summary *summary, struct run *run, const struct fleet_order *order)
{
    const int64_t *count = run->tally.count;
    summary_add(summary, "messages.sent", (double)count[TALLY_PUBLISHED], "1", "none");
    summary_add(summary, "messages.received", (double)count[TALLY_RECEIVED], "1", "none");
    summary_add(summary, "messages.not_sent", (double)count[TALLY_NOT_SENT], "1", "lower");
    summary_add(summary, "messages.lost", (double)count[TALLY_LOST], "1", "lower");
    summary_add(summary, "messages.duplicates", (double)count[TALLY_DUPLICATES], "1", "lower");
    if (order->qos > 0)
        summary_add(summary, "messages.unacknowledged", (double)count[TALLY_UNACKED], "1", "lower");
    summary_add(summary, "messages.unfinished", (double)count[TALLY_UNFINISHED], "1", "lower");
    add_rate(summary, run, order);
    static const struct {
        enum tally_count what;
        const char *name, *text;
    } troubles[] = {
        {TALLY_NOT_SENT, "not_sent",
         "messages were due and not sent: the client was not there, or the library refused"},
        {TALLY_LOST, "lost", "messages were sent and did not arrive within 5 s of the end"},
        {TALLY_UNFINISHED, "unfinished", "messages were on their way when the run ended early"},
        {TALLY_UNACKED, "unacknowledged", "messages were not acknowledged within 5 s of the end"},
        {TALLY_DUPLICATES, "duplicates", "messages arrived a second time"},
        {TALLY_STRANGE, "strange", "messages arrived that are none of ours"},
    };
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++)
        if (count[troubles[i].what] > 0)
            run_anomaly(run, troubles[i].name, "%lld %s", (long long)count[troubles[i].what],
                        troubles[i].text);
}

static bool publish(struct run *run, struct summary *summary)
{
    const struct config *config = run->config;
    struct fleet_order order = {
        .act = FLEET_PUBLISH,
        .pairs = config->pairs,
        .rate_per_s = config->publish_rate_per_s,
        .warmup_ns = config->warmup_ns,
        .duration_ns = config->warmup_ns + config->duration_ns,
        .drain_ns = DRAIN_S * NS_PER_S,
        .qos = (int)config->qos,
        .payload_bytes = (int)config->payload_bytes,
    };
    run_phase(run, "publish");
    run->lossy = true;
    bool fine = run_order(run, run->fleet, &order, order.duration_ns + order.drain_ns + 60 * NS_PER_S);
    add_messages(summary, run, &order);
    return fine;
}

// What publishing cost: from all connected to all delivered.
static void add_costs(struct summary *summary, struct run *run, const struct sample *before,
                      const struct sample *after)
{
    int64_t messages = run->tally.count[TALLY_PUBLISHED];
    if (messages == 0)
        return;
    summary_add_reading(summary, "start", before);
    summary_add_reading(summary, "full", after);
    summary_add_levels(summary, run, before, after);
    if (before->target_cpu_ns < 0 || after->target_cpu_ns < 0)
        return;
    summary_add(summary, "cpu.per_message_ns",
                (double)(after->target_cpu_ns - before->target_cpu_ns) / (double)messages, "ns", "lower");
}

static void play(struct run *run, struct summary *summary)
{
    struct sample before, after;
    int64_t took_ns = 0;
    run_phase(run, "connect");
    if (scenario_connect_to(run, 0, run->config->connections, FLEET_SUBSCRIBE_PAIR, &took_ns) &&
        run_sample(run, &before) && publish(run, summary) && run_sample(run, &after)) {
        add_costs(summary, run, &before, &after);
        if (run->config->prove)
            scenario_prove(run, summary);
    }
    run_disconnect(run);
}

const struct scenario scenario_publish = {.name = "publish", .play = play};
