// SPDX-License-Identifier: Apache-2.0
// Scenario `slow`: publishers send to subscribers, some of which stop reading for a while, or read at a rate, and then read
// again. Three times follow each other under one load: before, slow, after. What the others' deliveries suffer is
// seen by delivery_before, delivery and delivery_after; what slow readers cost the target by its memory; what it does
// with them by their missing messages and lost connections; and when they have recovered.
#include "base/clock.h"
#include "loadgen/costs.h"
#include "loadgen/limits.h"
#include "loadgen/payload.h"
#include "loadgen/memory_notes.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/orders.h"
#include "loadgen/summary_growth.h"

#include <errno.h>
#include <math.h>

enum { SUBSCRIBERS = 50, STREAMS_MAX = 16 << 20, READ_RATE_MAX = 1 << 20 };
// The reading of memory with slow readers is so much earlier than their reading again.
#define EARLY_NS (100 * NS_PER_MS)

struct slow {
    int64_t publishers, subscribers, payload_bytes, read_per_s;
    int64_t before_ns, duration_ns, after_ns, drain_ns, settle_ns;
    double rate_per_s, share;
    struct comeback comeback;
};
_Static_assert(sizeof(struct slow) <= CONFIG_OPTIONS_BYTES, "the options have no room");

#define AT(field) offsetof(struct slow, field)
static const struct opt options[] = {
    {"subscribers", "N", OPT_COUNT, AT(subscribers), "0", 0, 1e6, NULL,
     "each gets each message; 0: 50 for slow", NULL},
    {"slow-share", "N", OPT_NUMBER, AT(share), "0.2", 0, 1, NULL,
     "the share of the subscribers that are slow: at least one, and not all", NULL},
    {"read-rate", "BYTES", OPT_BYTES, AT(read_per_s), "0", 0, READ_RATE_MAX, NULL,
     "bytes a second that each slow reader reads; 0: it reads nothing", NULL},
    {"publishers", "N", OPT_COUNT, AT(publishers), "0", 0, 1e6, NULL, "0: 1 (a rank) for slow", NULL},
    {"publish-rate", "N/s", OPT_RATE, AT(rate_per_s), "200", 0, 1e9, NULL,
     "messages a second, all publishers together, open loop; for slow more than 0, 200 by default", NULL},
    {"message-bytes", "BYTES", OPT_BYTES, AT(payload_bytes), "4KiB", 0, 16777216, NULL,
     "of a message: the kernel's buffers hold some MiB for a reader before the target has to", NULL},
    {"before", "D", OPT_DURATION, AT(before_ns), "5s", 1e8, OPTION_FAR, NULL, "first all read, for so long",
     NULL},
    OPTION_DURATION(AT(duration_ns), "then slow readers are slow, for so long"),
    {"after", "D", OPT_DURATION, AT(after_ns), "5s", 0, OPTION_FAR, NULL,
     "then all read again, for so long; 0: slow readers stay slow to the end", NULL},
    OPTIONS_BACKOFF(AT(comeback)),
    OPTION_DRAIN(AT(drain_ns), "at the end wait for so long for messages on their way"),
    OPTION_SETTLE(AT(settle_ns)),
    {0},
};

static const struct slow *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int check_rate(const struct slow *own, struct err *err)
{
    if (!(own->rate_per_s > 0))
        return err_set(err, -EINVAL,
                       "--publish-rate 0: a closed loop would wait for the slow readers: more than 0");
    if (own->payload_bytes < PAYLOAD_MIN_BYTES)
        return err_set(err, -EINVAL,
                       "--message-bytes %lld is less than %d bytes: a message carries its times and number",
                       (long long)own->payload_bytes, PAYLOAD_MIN_BYTES);
    if (own->duration_ns <= 2 * EARLY_NS)
        return err_set(err, -EINVAL, "--duration: slow readers are slow for more than 200 ms");
    return 0;
}

static int check(struct config *config, struct err *err)
{
    const struct slow *own = options_of(config);
    struct pattern *pattern = &config->pattern;
    *pattern = (struct pattern){.kind = PATTERN_FAN_OUT,
                                .publishers = own->publishers > 0      ? own->publishers
                                              : config->rank_count > 1 ? config->rank_count
                                                                       : 1,
                                .subscribers = own->subscribers > 0 ? own->subscribers : SUBSCRIBERS,
                                .topics = 1};
    pattern->apart = llround(own->share * (double)pattern->subscribers);
    pattern->slow = pattern->apart;
    if (pattern->apart < 1 || pattern->apart >= pattern->subscribers)
        return err_set(
            err, -EINVAL,
            "--slow-share %g of %lld subscribers are %lld: it takes one that is slow and one that is not",
            own->share, (long long)pattern->subscribers, (long long)pattern->apart);
    if (pattern_streams(pattern) > STREAMS_MAX)
        return err_set(
            err, -EINVAL,
            "--publishers %lld and --subscribers %lld: %lld pairs of both share messages, %d is the most "
            "that are counted",
            (long long)pattern->publishers, (long long)pattern->subscribers,
            (long long)pattern_streams(pattern), STREAMS_MAX);
    config->connections = pattern_clients(pattern);
    config->split = pattern_first_apart(pattern); // slow readers have processes of their own
    int code = check_rate(own, err);
    return code < 0 ? code : comeback_keep(config, &own->comeback, err);
}

static void describe(const struct config *config, json_t *json)
{
    const struct slow *own = options_of(config);
    json_object_set_new(json, "pattern", json_string(pattern_name(&config->pattern)));
    json_object_set_new(json, "publishers", json_integer(config->pattern.publishers));
    json_object_set_new(json, "subscribers", json_integer(config->pattern.subscribers));
    json_object_set_new(json, "slow_readers", json_integer(config->pattern.apart));
    json_object_set_new(json, "read_bytes_per_s", json_integer(own->read_per_s));
    json_object_set_new(json, "publish_rate_per_s", json_real(own->rate_per_s));
    comeback_describe(json, &own->comeback);
    json_object_set_new(json, "payload_bytes", json_integer(own->payload_bytes));
    json_object_set_new(json, "qos", json_integer(config->qos));
    json_object_set_new(json, "before_ns", json_integer(own->before_ns));
    json_object_set_new(json, "duration_ns", json_integer(own->duration_ns));
    json_object_set_new(json, "after_ns", json_integer(own->after_ns));
    json_object_set_new(json, "drain_ns", json_integer(own->drain_ns));
    json_object_set_new(json, "settle_ns", json_integer(own->settle_ns));
}

enum { MARK_SLOW, MARK_AGAIN, MARK_AFTER, MARKS };

struct slowed {
    struct sample start, full, after; // no connection; all connected; when the load is over
    struct run_mark marks[MARKS];     // readers become slow; just before they read again; they do
    int64_t from_ns, to_ns;           // the schedule of the messages; 0: it has not begun
};

// --- results -----------------------------------------------------------------------------------------------

// Messages a second at readers that were not slow: one that reached half of them is half a message. The time ends later where
// the last of them arrived after the schedule.
static void add_rate(struct run *run, struct summary *summary, const struct slowed *slowed)
{
    const int64_t *count = run->tally.count;
    int64_t to_ns = slowed->to_ns;
    if (run->broken_ns > 0 && run->broken_ns < to_ns)
        to_ns = run->broken_ns;
    if (count[TALLY_LAST_RECEIVED_NS] > to_ns)
        to_ns = count[TALLY_LAST_RECEIVED_NS];
    double seconds = (double)(to_ns - slowed->from_ns) / 1e9;
    if (slowed->from_ns == 0 || seconds <= 0 || count[TALLY_DELIVERY_DUE] == 0)
        return;
    double share = (double)count[TALLY_RECEIVED] / (double)count[TALLY_DELIVERY_DUE];
    summary_add(summary, "messages.seconds", seconds, "s", "none");
    double rate = share * (double)count[TALLY_PUBLISHED] / seconds;
    summary_add(summary, "messages.rate", rate, "1/s", "higher");
    struct limits_acts acts = {.kind = LOAD_MESSAGES,
                               .asked_per_s = options_of(run->config)->rate_per_s,
                               .had_per_s = rate,
                               .took_ns = (int64_t)(seconds * 1e9),
                               .due = count[TALLY_DUE],
                               .not_sent = count[TALLY_NOT_SENT]};
    limits_add(run, summary, &acts);
}

static void add_messages(struct run *run, struct summary *summary, const struct slowed *slowed)
{
    const int64_t *count = run->tally.count;
    if (count[TALLY_DUE] == 0)
        return;
    summary_add(summary, "messages.sent", (double)count[TALLY_PUBLISHED], "1", "none");
    summary_add(summary, "messages.rate_asked", options_of(run->config)->rate_per_s, "1/s", "none");
    add_rate(run, summary, slowed);
    summary_add(summary, "deliveries.expected", (double)count[TALLY_DELIVERY_DUE], "1", "none");
    summary_add(summary, "messages.received", (double)count[TALLY_RECEIVED], "1", "none");
    summary_add(summary, "messages.not_sent", (double)count[TALLY_NOT_SENT], "1", "lower");
    summary_add(summary, "messages.lost", (double)count[TALLY_LOST], "1", "lower");
    summary_add(summary, "messages.unfinished", (double)count[TALLY_UNFINISHED], "1", "lower");
    summary_add(summary, "messages.duplicates", (double)count[TALLY_DUPLICATES], "1", "lower");
    if (run->config->qos > 0)
        summary_add(summary, "messages.unacknowledged", (double)count[TALLY_UNACKED], "1", "lower");
    summary_add_message_faults(summary, &run->tally);
    if (count[TALLY_NOT_SENT] > 0)
        run_anomaly(run, "not_sent", "%lld messages were due and not sent", (long long)count[TALLY_NOT_SENT]);
    if (count[TALLY_LOST] > 0)
        run_anomaly(run, "lost", "%lld deliveries to readers that were not slow did not arrive",
                    (long long)count[TALLY_LOST]);
    if (count[TALLY_UNACKED] > 0)
        run_anomaly(run, "unacknowledged", "%lld messages were not acknowledged",
                    (long long)count[TALLY_UNACKED]);
}

static void add_slow(struct run *run, struct summary *summary)
{
    const int64_t *count = run->tally.count;
    if (count[TALLY_SLOW_DUE] == 0)
        return;
    summary_add(summary, "slow.readers", (double)run->config->pattern.apart, "1", "none");
    summary_add(summary, "slow.closed", (double)tally_slow_closed(&run->tally), "1", "none");
    summary_add(summary, "slow.due", (double)count[TALLY_SLOW_DUE], "1", "none");
    summary_add(summary, "slow.received", (double)count[TALLY_SLOW_RECEIVED], "1", "none");
    summary_add(summary, "slow.missed", (double)count[TALLY_SLOW_MISSED], "1", "none");
    if (count[TALLY_RECOVERY_DUE] > 0)
        summary_add(summary, "slow.not_recovered", (double)count[TALLY_RECOVERY_FAILED], "1", "lower");
    if (run->record)
        record_set(run->record, "summary.slow_closed", moment_reasons(run->tally.slow_closed));
    for (int i = 0; i < REASON_COUNT; i++)
        if (run->tally.slow_closed[i] > 0)
            run_anomaly(run, "slow_closed", "%lld slow readers lost their connection: %s",
                        (long long)run->tally.slow_closed[i], tally_reason_text((enum tally_reason)i));
}

static void add_growth(struct run *run, struct summary *summary, const struct slowed *slowed)
{
    const struct sample *start = &slowed->start, *full = &slowed->full;
    const struct sample *low = &slowed->marks[MARK_SLOW].sample, *high = &slowed->marks[MARK_AGAIN].sample;
    int64_t readers = run->config->pattern.apart;
    if (!slowed->marks[MARK_SLOW].taken || !slowed->marks[MARK_AGAIN].taken)
        return;
    summary_add_reading(summary, "before", low);
    summary_add_reading(summary, "slow", high);
    int64_t low_bytes = summary_judged(low, start, full), high_bytes = summary_judged(high, start, full);
    if (low_bytes >= 0 && high_bytes >= 0 && !run->owners.wrong)
        summary_add(summary, "slow.memory_per_reader_bytes",
                    summary_growth_each(run, "slow.memory_per_reader_bytes", low_bytes, high_bytes, readers,
                                        "slow readers"),
                    "B", "lower");
    if (low->kernel_tcp_bytes >= 0 && high->kernel_tcp_bytes >= 0)
        summary_add(summary, "slow.tcp_per_reader_bytes",
                    (double)(high->kernel_tcp_bytes - low->kernel_tcp_bytes) / (double)readers, "B", "none");
}

static void add_memory(struct run *run, struct summary *summary, const struct slowed *slowed)
{
    const struct sample *start = &slowed->start, *full = &slowed->full;
    struct sample peak;
    sampler_peak(run->sampler, &peak);
    summary_add_reading(summary, "start", start);
    summary_add_reading(summary, "full", full);
    summary_add_levels(summary, run, start, full);
    add_growth(run, summary, slowed);
    if (summary_judged(full, start, full) < 0 || slowed->after.at_ns == 0)
        return;
    summary_add_reading(summary, "after", &slowed->after);
    summary_add_bytes(summary, "memory.peak_bytes", summary_judged(&peak, start, full));
    memory_notes_peak(run, &peak);
    summary_add_bytes(summary, "memory.after_bytes", summary_judged(&slowed->after, start, full));
    costs_judge_memory(run, start, full, full->connections - start->connections);
    // What others did meanwhile is in these readings. Deliveries that slow readers missed are no failure.
    struct cost_part part = costs_between(full, &slowed->after);
    part.made = run->tally.count[TALLY_RECEIVED] + run->tally.count[TALLY_SLOW_RECEIVED];
    (void)costs_each(run, &part, &costs_of_messages);
}

// --- the run -----------------------------------------------------------------------------------------------

static bool publish(struct run *run, struct slowed *slowed)
{
    const struct slow *own = options_of(run->config);
    int64_t again_ns = own->before_ns + own->duration_ns;
    struct fleet_order order = {
        .act = FLEET_PUBLISH,
        .pattern = run->config->pattern,
        .rate_per_s = own->rate_per_s,
        .in_flight = 1,
        .duration_ns = again_ns + own->after_ns,
        .drain_ns = own->drain_ns,
        .slow_from_ns = own->before_ns,
        .slow_until_ns = own->after_ns > 0 ? again_ns : INT64_MAX,
        .read_per_s = own->read_per_s,
        .qos = (int)run->config->qos,
        .payload_bytes = (int)own->payload_bytes,
    };
    slowed->marks[MARK_SLOW] = (struct run_mark){.after_ns = own->before_ns, .phase = "slow"};
    slowed->marks[MARK_AGAIN] = (struct run_mark){.after_ns = again_ns - EARLY_NS};
    slowed->marks[MARK_AFTER] = (struct run_mark){.after_ns = again_ns, .phase = "after"};
    run_phase(run, "before");
    run->marks = slowed->marks;
    run->mark_count = MARKS;
    bool fine = run_order(run, run->fleet, &order, order.duration_ns + order.drain_ns + 60 * NS_PER_S);
    slowed->from_ns = order.at_ns;
    slowed->to_ns = order.at_ns + order.duration_ns;
    run->marks = NULL;
    run->mark_count = 0;
    return fine;
}

static void play(struct run *run, struct summary *summary)
{
    int64_t settle_ns = run->config->watch.count > 0 ? options_of(run->config)->settle_ns : 0;
    struct slowed slowed = {0};
    struct connect_time time = {0};
    bool held = false;
    if (run_sample(run, &slowed.start)) {
        run_phase(run, "connect");
        held = order_connect_to(run, 0, run->config->connections, FLEET_SUBSCRIBE_PAIR, &time) &&
               run_settle(run, settle_ns, &slowed.full);
    }
    if (held) {
        run->lossy = true;
        bool fine = publish(run, &slowed);
        run_phase(run, "after");
        // Slow readers read what is left, and learn then that the target has closed their connection.
        fine = fine && run_hold(run, NS_PER_S) && run_settle(run, settle_ns, &slowed.after);
        add_memory(run, summary, &slowed);
        if (fine && run->config->prove)
            order_prove(run, summary);
    }
    order_add_connect_rate(run, summary, &time);
    run_disconnect(run);
    arrivals_add_returns(run, summary);
    add_messages(run, summary, &slowed);
    add_slow(run, summary);
}

const struct scenario scenario_slow = {
    .name = "slow",
    .summary = "some subscribers stop reading, or read slowly, and read again",
    .measures = SCENARIO_MEASURES_CONNECTS SCENARIO_MEASURES_RETURNS SCENARIO_MEASURES_MESSAGES
    "deliveries.expected delivery_before.* delivery_after.* delivery_slow.* recovery.* slow.* "
    "memory.peak_bytes memory.after_bytes",
    .proves = true,
    .limit_of = LOAD_MESSAGES,
    .options = options,
    .options_bytes = sizeof(struct slow),
    .check = check,
    .describe = describe,
    .play = play,
};
