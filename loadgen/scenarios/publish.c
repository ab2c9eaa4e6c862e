// SPDX-License-Identifier: Apache-2.0
// Scenario `publish`: pairs of clients, each a publisher and a subscriber, or another pattern (loadgen/pattern.h).
// They send messages at a rate (of all publishers together) or as fast as these are delivered. Further connections
// stay idle.
#include "loadgen/limits.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/orders.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 256 * 1024 };
enum { PAIRS = 100, MANY = 100, FEW = 1, STREAMS_MAX = 16 << 20 };
// Defaults of a pair. At QoS 2 no more than brokers commonly have in flight for a client: mosquitto loses the
// others.
enum { IN_FLIGHT_BYTES = 64 << 10, IN_FLIGHT_LEAST = 10, IN_FLIGHT_MOST = 100, IN_FLIGHT_QOS_2 = 20 };

struct publish {
    struct pattern pattern; // after `check` with its numbers
    int64_t connections, pairs, publishers, subscribers, duration_ns, warmup_ns, drain_ns;
    struct payload_sizes sizes;
    const char *file, *template;
    bool retain;
    int64_t in_flight; // after `check` never 0
    double rate_per_s;
    struct pace pace;
    struct comeback comeback;
    bool spread_pairs;
};
_Static_assert(sizeof(struct publish) <= CONFIG_OPTIONS_BYTES, "the options have no room");

static int parse_sizes(const char *value, void *place, struct err *err)
{
    return payload_sizes_parse(place, value, err);
}

static int parse_pattern(const char *value, void *place, struct err *err)
{
    return pattern_parse(place, value, err);
}

#define AT(field) offsetof(struct publish, field)
static const struct opt options[] = {
    OPTION_CONNECTIONS(AT(connections),
                       "how many; 0: 1000 for connect, those that the pattern needs for publish"),
    {"pattern", "P", OPT_PARSE, AT(pattern), "pairs", 0, 0, NULL,
     "who publishes to whom: pairs; fan-in: many publishers with a topic each, few subscribers that take all "
     "by "
     "a wildcard; fan-out: few publishers, each subscriber gets each message; topics:N: publishers and "
     "subscribers spread over N topics",
     parse_pattern},
    {"pairs", "N", OPT_COUNT, AT(pairs), "0", 0, 5e7, NULL,
     "pattern pairs: publisher and subscriber each; 0: 100", NULL},
    {"publishers", "N", OPT_COUNT, AT(publishers), "0", 0, 1e6, NULL,
     "of the other patterns; 0: 100 for fan-in, 1 (a rank) for fan-out, one a topic", NULL},
    {"subscribers", "N", OPT_COUNT, AT(subscribers), "0", 0, 1e6, NULL,
     "of the other patterns; 0: 1 (a rank) for fan-in, 100 for fan-out, one a topic", NULL},
    OPTION_SPREAD_PAIRS(AT(spread_pairs)),
    {"publish-rate", "N/s", OPT_RATE, AT(rate_per_s), "1000", 0, 1e9, NULL,
     "messages a second, all publishers together, open loop; 0: as fast as they are delivered", NULL},
    OPTIONS_PACE(AT(pace)),
    OPTIONS_BACKOFF(AT(comeback)),
    {"in-flight", "N", OPT_COUNT, AT(in_flight), "0", 0, 1e6, NULL,
     "without a rate: messages of a publisher on their way at most; it sends more when half of them have "
     "arrived (of several subscribers: on the average of them). So the target's queues are bounded, and the "
     "latency is mostly the time in them: messages on "
     "their way, divided by the rate. 0: 100 messages (20 at QoS 2) or 64 KiB, at least 10 messages",
     NULL},
    {"payload", "SIZE", OPT_PARSE, AT(sizes), "64", 0, 0, NULL,
     "bytes of a message, at least 32: times and numbers travel in it. 64, 4KiB; a range 100..2000; "
     "normal:MEAN,DEVIATION; exponential:MEAN",
     parse_sizes},
    {"payload-file", "FILE", OPT_TEXT, AT(file), NULL, 0, 0, NULL,
     "instead: a message is 32 bytes with times and numbers, and then the content of the file", NULL},
    {"payload-template", "FILE", OPT_TEXT, AT(template), NULL, 0, 0, NULL,
     "instead: a message is the content of the file with %UNIQUE% (64 hexadecimal digits, which it needs), "
     "%SEQUENCE%, "
     "%PUBLISHER%, %TIMESTAMP% (or TIMESTAMPMS, -US, -NS) replaced",
     NULL},
    {"retain", NULL, OPT_FLAG, AT(retain), NULL, 0, 0, NULL,
     "messages are to be retained: the last of each topic stays with the target, beyond the run too", NULL},
    OPTION_DURATION(AT(duration_ns), "how long to publish, after the warm-up"),
    {"warmup", "D", OPT_DURATION, AT(warmup_ns), "1s", 0, OPTION_FAR, NULL,
     "publish first for so long, unmeasured", NULL},
    {"drain", "D", OPT_DURATION, AT(drain_ns), "5s", 1e8, OPTION_FAR, NULL,
     "at the end wait for so long for messages on their way; what has not arrived then is lost", NULL},
    {0},
};

static const struct publish *options_of(const struct config *config)
{
    return (const void *)config->options;
}

static int64_t fitting_in_flight(int64_t payload_bytes, int64_t qos)
{
    int64_t fit = IN_FLIGHT_BYTES / payload_bytes, most = qos == 2 ? IN_FLIGHT_QOS_2 : IN_FLIGHT_MOST;
    return fit < IN_FLIGHT_LEAST ? IN_FLIGHT_LEAST : fit > most ? most : fit;
}

static int check_pairs(struct publish *own, struct err *err)
{
    if (own->publishers > 0 || own->subscribers > 0)
        return err_set(err, -EINVAL,
                       "--%s is for the patterns fan-in, fan-out and topics; with pairs give --pairs",
                       own->publishers > 0 ? "publishers" : "subscribers");
    if (own->pairs == 0)
        own->pairs = PAIRS;
    own->pattern = pattern_pairs(own->pairs);
    return 0;
}

// Over several ranks (pattern_parts.h) each has at least one of the fewer side.
static int check_pattern(struct publish *own, int ranks, struct err *err)
{
    int64_t few = FEW > ranks ? FEW : ranks;
    struct pattern *pattern = &own->pattern;
    bool topics = pattern->kind == PATTERN_TOPICS;
    if (own->pairs > 0)
        return err_set(err, -EINVAL,
                       "--pairs %lld is for the pattern pairs; %s takes --publishers and --subscribers",
                       (long long)own->pairs, pattern_name(pattern));
    pattern->publishers = own->publishers > 0               ? own->publishers
                          : topics                          ? pattern->topics
                          : pattern->kind == PATTERN_FAN_IN ? MANY
                                                            : few;
    pattern->subscribers = own->subscribers > 0              ? own->subscribers
                           : topics                          ? pattern->topics
                           : pattern->kind == PATTERN_FAN_IN ? few
                                                             : MANY;
    int64_t fewer = pattern->publishers < pattern->subscribers ? pattern->publishers : pattern->subscribers;
    if (fewer < pattern->topics)
        return err_set(err, -EINVAL, "--%s %lld are too few for %lld topics: each needs one",
                       fewer == pattern->publishers ? "publishers" : "subscribers", (long long)fewer,
                       (long long)pattern->topics);
    int64_t streams = pattern_streams(pattern);
    if (streams > STREAMS_MAX)
        return err_set(err, -EINVAL,
                       "--publishers %lld and --subscribers %lld: %lld pairs of both share "
                       "messages, "
                       "%d is the most that are counted",
                       (long long)pattern->publishers, (long long)pattern->subscribers, (long long)streams,
                       STREAMS_MAX);
    return 0;
}

static int check(struct config *config, struct err *err)
{
    struct publish *own = (void *)config->options;
    int code = payload_form_choose(&config->payload, &own->sizes, own->file, own->template, err);
    if (code < 0)
        return code;
    if (own->in_flight == 0)
        own->in_flight = fitting_in_flight(payload_form_guess(&config->payload), config->qos);
    code = own->pattern.kind == PATTERN_PAIRS ? check_pairs(own, err)
                                              : check_pattern(own, config->rank_count, err);
    if (code == 0)
        code = pace_check(&own->pace, "publish-rate", own->rate_per_s,
                          &(struct pace_length){.ns = own->duration_ns}, err);
    if (code == 0)
        code = comeback_keep(config, &own->comeback, err);
    if (code < 0)
        return code;
    config->pattern = own->pattern;
    config->even = own->pattern.kind == PATTERN_PAIRS;
    config->spread_pairs = own->spread_pairs;
    int64_t needed = pattern_clients(&own->pattern);
    config->connections = own->connections > 0 ? own->connections : needed;
    if (config->connections >= needed)
        return 0;
    if (config->even)
        return err_set(err, -EINVAL, "--connections %lld are too few for %lld pairs, which need %lld",
                       (long long)config->connections, (long long)own->pairs, (long long)needed);
    return err_set(err, -EINVAL,
                   "--connections %lld are too few for %lld publishers and %lld subscribers, which need %lld",
                   (long long)config->connections, (long long)own->pattern.publishers,
                   (long long)own->pattern.subscribers, (long long)needed);
}

// `payload_bytes` beside it is the longest.
static json_t *payload_json(const struct payload_form *form)
{
    static const char *const kinds[] = {
        [PAYLOAD_RANDOM] = "random", [PAYLOAD_FILE] = "file", [PAYLOAD_TEMPLATE] = "template"};
    const char *slash = form->path ? strrchr(form->path, '/') : NULL;
    return json_pack("{s:s,s:s?,s:s?,s:f}", "kind", kinds[form->kind], "sizes",
                     form->kind == PAYLOAD_RANDOM ? payload_sizes_name(&form->sizes) : NULL, "file",
                     slash ? slash + 1 : form->path, "mean_bytes", form->mean);
}

static void describe(const struct config *config, json_t *json)
{
    const struct publish *own = options_of(config);
    json_object_set_new(json, "pattern", json_string(pattern_name(&own->pattern)));
    if (own->pattern.kind == PATTERN_PAIRS) {
        json_object_set_new(json, "pairs", json_integer(own->pairs));
    } else {
        json_object_set_new(json, "publishers", json_integer(own->pattern.publishers));
        json_object_set_new(json, "subscribers", json_integer(own->pattern.subscribers));
        json_object_set_new(json, "topics", json_integer(own->pattern.topics));
    }
    json_object_set_new(json, "publish_rate_per_s", json_real(own->rate_per_s));
    pace_describe(json, &own->pace);
    comeback_describe(json, &own->comeback);
    if (!(own->rate_per_s > 0))
        json_object_set_new(json, "in_flight", json_integer(own->in_flight));
    json_object_set_new(json, "qos", json_integer(config->qos));
    json_object_set_new(json, "spread_pairs", json_boolean(own->spread_pairs));
    json_object_set_new(json, "payload_bytes", json_integer((json_int_t)config->payload.most));
    json_object_set_new(json, "payload", payload_json(&config->payload));
    json_object_set_new(json, "retain", json_boolean(own->retain));
    json_object_set_new(json, "duration_ns", json_integer(own->duration_ns));
    json_object_set_new(json, "warmup_ns", json_integer(own->warmup_ns));
    json_object_set_new(json, "drain_ns", json_integer(own->drain_ns));
}

// Deliveries as messages: a message that arrived at half of its subscribers is half a message.
static double in_messages(const struct run *run, double deliveries)
{
    int64_t due = tally_measured(&run->tally, TALLY_DELIVERY_DUE);
    return due > 0 ? deliveries * (double)tally_measured(&run->tally, TALLY_PUBLISHED) / (double)due : 0;
}

// Adds the rate of measured messages that arrived. The time is from the end of the warm-up to the end of the
// schedule. It ends earlier if the run ended before, and later if the last message arrived after that.
static void add_rate(struct summary *summary, struct run *run, const struct fleet_order *order)
{
    int64_t from_ns = order->at_ns + order->warmup_ns, to_ns = order->at_ns + order->duration_ns;
    if (run->broken_ns > 0 && run->broken_ns < to_ns)
        to_ns = run->broken_ns;
    double asked_per_s = pace_asked_per_s(order, from_ns, to_ns, tally_measured(&run->tally, TALLY_DUE));
    if (run->tally.count[TALLY_LAST_RECEIVED_NS] > to_ns)
        to_ns = run->tally.count[TALLY_LAST_RECEIVED_NS];
    double seconds = (double)(to_ns - from_ns) / 1e9;
    if (seconds <= 0) // the run ended in the warm-up
        return;
    double deliveries = (double)tally_measured(&run->tally, TALLY_RECEIVED);
    double rate = in_messages(run, deliveries) / seconds;
    summary_add(summary, "messages.rate", rate, "1/s", "higher");
    if (order->pattern.kind != PATTERN_PAIRS)
        summary_add(summary, "deliveries.rate", deliveries / seconds, "1/s", "higher");
    summary_add(summary, "messages.seconds", seconds, "s", "none");
    struct limits_acts acts = {.kind = LOAD_MESSAGES,
                               .asked_per_s = asked_per_s,
                               .had_per_s = rate,
                               .took_ns = to_ns - order->at_ns,
                               .due = tally_measured(&run->tally, TALLY_DUE),
                               .not_sent = run->tally.count[TALLY_NOT_SENT]};
    limits_add(run, summary, &acts);
    if (!(order->rate_per_s > 0))
        return;
    summary_add(summary, "messages.rate_asked", asked_per_s, "1/s", "none");
    int64_t due_ns = order->duration_ns - order->warmup_ns;
    if (order_missed_rate(to_ns - from_ns, due_ns))
        run_anomaly(
            run, "rate",
            "%.1f messages a second were had where %.1f were asked for: the last came %.3f s after the end "
            "of the schedule",
            rate, asked_per_s, (double)(to_ns - from_ns - due_ns) / 1e9);
    else if (run->broken_ns == 0)
        order_tell_short_schedule(run, "messages", tally_measured(&run->tally, TALLY_DUE), rate, asked_per_s);
}

static void add_messages(struct summary *summary, struct run *run, const struct fleet_order *order)
{
    const int64_t *count = run->tally.count;
    summary_add(summary, "messages.sent", (double)count[TALLY_PUBLISHED], "1", "none");
    if (order->pattern.kind != PATTERN_PAIRS)
        summary_add(summary, "deliveries.expected", (double)count[TALLY_DELIVERY_DUE], "1", "none");
    summary_add(summary, "messages.received", (double)count[TALLY_RECEIVED], "1", "none");
    summary_add(summary, "messages.not_sent", (double)count[TALLY_NOT_SENT], "1", "lower");
    summary_add(summary, "messages.lost", (double)count[TALLY_LOST], "1", "lower");
    summary_add_message_faults(summary, &run->tally);
    summary_add(summary, "messages.duplicates", (double)count[TALLY_DUPLICATES], "1", "lower");
    if (order->qos > 0)
        summary_add(summary, "messages.unacknowledged", (double)count[TALLY_UNACKED], "1", "lower");
    summary_add(summary, "messages.unfinished", (double)count[TALLY_UNFINISHED], "1", "lower");
    add_rate(summary, run, order);
    static const struct {
        enum tally_count what;
        const char *name, *text;
        bool drained; // judged when the drain was over
    } troubles[] = {
        {TALLY_NOT_SENT, "not_sent",
         "messages were due and not sent: the client was not there, or the library refused", false},
        {TALLY_LOST, "lost", "messages were sent and did not arrive", true},
        {TALLY_UNFINISHED, "unfinished", "messages were on their way when the run ended early", false},
        {TALLY_UNACKED, "unacknowledged", "messages were not acknowledged", true},
        {TALLY_DUPLICATES, "duplicates", "messages arrived a second time", false},
        {TALLY_STRANGE, "strange",
         "messages arrived that are none of ours, or with another header or length than was sent", false},
    };
    char within[48], drain[24];
    snprintf(within, sizeof within, " within %s of the end",
             units_format_duration(order->drain_ns, drain, sizeof drain));
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++)
        if (count[troubles[i].what] > 0)
            run_anomaly(run, troubles[i].name, "%lld %s%s", (long long)count[troubles[i].what],
                        troubles[i].text, troubles[i].drained ? within : "");
}

// A broker that refuses packets of this size just closes the connection.
static void note_payload(struct run *run)
{
    const int64_t *dropped = run->tally.dropped;
    int64_t closed = dropped[REASON_CLOSED] + dropped[REASON_RESET] + dropped[REASON_LOST];
    int64_t bytes = (int64_t)run->config->payload.most;
    char text[24];
    if (bytes < LARGE_BYTES || closed == 0)
        return;
    run_anomaly(
        run, "payload",
        "the target closed %lld connections while messages of %s were published: it may take no packet of "
        "that size (poolmark-broker: --max-packet-size, mosquitto: message_size_limit, max_packet_size)",
        (long long)closed, units_format_bytes(bytes, text, sizeof text));
}

static bool publish(struct run *run, struct summary *summary)
{
    const struct config *config = run->config;
    const struct publish *own = options_of(config);
    struct fleet_order order = {
        .act = FLEET_PUBLISH,
        .pattern = own->pattern,
        .rate_per_s = own->rate_per_s,
        .shape = pace_shape(&own->pace, config->seed, 0),
        .in_flight = own->in_flight,
        .warmup_ns = own->warmup_ns,
        .duration_ns = own->warmup_ns + own->duration_ns,
        .drain_ns = own->drain_ns,
        .qos = (int)config->qos,
        .retain = own->retain,
    };
    order.shape.lead_ns = own->warmup_ns; // the warm-up has the rate with which the measured time begins
    run_phase(run, "publish");
    run->lossy = true;
    bool fine = run_order(run, run->fleet, &order, order.duration_ns + order.drain_ns + 60 * NS_PER_S);
    add_messages(summary, run, &order);
    return fine;
}

// Adds the costs of publishing: from all clients connected to all messages delivered. The rule of costs.h judges
// them by deliveries.
static void add_costs(struct summary *summary, struct run *run, const struct sample *before,
                      const struct sample *after)
{
    int64_t messages = run->tally.count[TALLY_PUBLISHED];
    if (messages == 0)
        return;
    summary_add_reading(summary, "start", before);
    summary_add_reading(summary, "full", after);
    summary_add_levels(summary, run, before, after);
    // A delivery that did not come, came twice, or came to the wrong client, is in the readings and not among the messages.
    const int64_t *count = run->tally.count;
    struct cost_part part = costs_between(before, after);
    part.made = count[TALLY_RECEIVED];
    part.failed = count[TALLY_DELIVERY_DUE] - count[TALLY_RECEIVED] + count[TALLY_DUPLICATES] +
                  count[TALLY_MISDELIVERED];
    part.foreign = count[TALLY_FOREIGN] + count[TALLY_STRANGE];
    (void)costs_each(run, &part, &costs_of_messages);
    if (part.cpu_ns < 0)
        return;
    summary_add(summary, "cpu.per_message_ns", (double)part.cpu_ns / (double)messages, "ns", "lower");
    if (run->config->pattern.kind != PATTERN_PAIRS && part.made > 0)
        summary_add(summary, "cpu.per_delivery_ns", (double)part.cpu_ns / (double)part.made, "ns", "lower");
}

static void play(struct run *run, struct summary *summary)
{
    struct sample before, after;
    struct connect_time time = {0};
    run_phase(run, "connect");
    if (order_connect_to(run, 0, run->config->connections, FLEET_SUBSCRIBE_PAIR, &time) && run_rest(run) &&
        run_sample(run, &before) && publish(run, summary) && run_sample(run, &after)) {
        run_rest(run);
        add_costs(summary, run, &before, &after);
        if (run->config->prove)
            order_prove(run, summary);
    }
    if (run->config->connect_rate_per_s > 0)
        order_add_connect_limit(run, summary, &time);
    run_disconnect(run);
    arrivals_add_returns(run, summary);
    note_payload(run);
}

const struct scenario scenario_publish = {
    .name = "publish",
    .summary = "publishes over pairs, or another pattern, at a rate or as fast as it goes",
    .measures = SCENARIO_MEASURES SCENARIO_MEASURES_RETURNS SCENARIO_MEASURES_MESSAGES
    "deliveries.* cpu.per_message_ns cpu.per_delivery_ns",
    .proves = true,
    .limit_of = LOAD_MESSAGES,
    .options = options,
    .options_bytes = sizeof(struct publish),
    .check = check,
    .describe = describe,
    .play = play,
};
