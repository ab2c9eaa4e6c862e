// SPDX-License-Identifier: Apache-2.0
#include "loadgen/worker_state.h"

#include "loadgen/topic_mark.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPECT_NS (1500 * NS_PER_MS)
#define READ_NS (5 * NS_PER_S)
#define LISTEN_LEAST_NS (200 * NS_PER_MS)
#define LISTEN_MOST_NS NS_PER_S

static void name_topic(const char *prefix, char kind, int64_t number, char topic[static 64])
{
    snprintf(topic, 64, "poolmark/%s/%c%lld", prefix, kind, (long long)number);
}

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64])
{
    name_topic(worker->setup->prefix, kind, number, topic);
}

// The prefix of messages' topics: the publishers'.
static const char *messages_prefix(const struct worker *worker)
{
    return worker->setup->topics_prefix ? worker->setup->topics_prefix : worker->setup->prefix;
}

void worker_message_topic(const struct worker *worker, int64_t publisher, char topic[static 64])
{
    const struct pattern *pattern = &worker->order.pattern;
    if (pattern->kind == PATTERN_FAN_IN)
        snprintf(topic, 64, "poolmark/%s/f/%lld", messages_prefix(worker), (long long)publisher);
    else
        name_topic(messages_prefix(worker), pattern->kind == PATTERN_PAIRS ? 'p' : 't',
                   pattern_topic(pattern, publisher), topic);
}

void worker_filter(const struct worker *worker, int64_t subscriber, char filter[static 64])
{
    const struct pattern *pattern = &worker->order.pattern;
    if (pattern->kind == PATTERN_FAN_IN)
        snprintf(filter, 64, "poolmark/%s/f/+", messages_prefix(worker));
    else
        name_topic(messages_prefix(worker), pattern->kind == PATTERN_PAIRS ? 'p' : 't',
                   pattern_topic(pattern, subscriber), filter);
}

void worker_retained_topic(const struct worker *worker, int64_t number, char topic[static 64])
{
    snprintf(topic, 64, "poolmark/%s/r/%lld", worker->setup->prefix, (long long)number);
}

void worker_retained_filter(const struct worker *worker, char filter[static 64])
{
    snprintf(filter, 64, "poolmark/%s/r/+", worker->setup->prefix);
}

static bool has_topics(const struct identity *identity)
{
    return identity && identity->topic.count > 0;
}

// Whose topics messages have; NULL: those that were not given.
static const struct identity *named(const struct worker *worker)
{
    const struct worker_setup *setup = worker->setup;
    const struct identity *identity = setup->topics ? setup->topics : setup->identity;
    return has_topics(identity) ? identity : NULL;
}

const char *worker_name_messages(struct worker *worker, int64_t publisher)
{
    const struct pattern *pattern = &worker->order.pattern;
    if (!named(worker)) {
        worker_message_topic(worker, publisher, worker->name);
        return worker->name;
    }
    int64_t number = pattern->kind == PATTERN_FAN_IN ? publisher : pattern_topic(pattern, publisher);
    return identity_topic(named(worker), messages_prefix(worker), number,
                          pattern_publisher_client(pattern, publisher), worker->name);
}

const char *worker_name_filter(struct worker *worker, int64_t subscriber)
{
    const struct pattern *pattern = &worker->order.pattern;
    if (!named(worker)) {
        worker_filter(worker, subscriber, worker->name);
        return worker->name;
    }
    if (pattern->kind == PATTERN_FAN_IN)
        return identity_filter(named(worker), messages_prefix(worker), worker->name);
    // The first publisher of a topic has its number.
    return worker_name_messages(worker, pattern_topic(pattern, subscriber));
}

const char *worker_name_own(struct worker *worker, int64_t global)
{
    const struct identity *identity = worker->setup->identity;
    if (has_topics(identity))
        return identity_topic(identity, worker->setup->prefix, global, global, worker->name);
    worker_topic(worker, 'c', global, worker->name);
    return worker->name;
}

const char *worker_wanted_topic(struct worker *worker, int64_t global)
{
    const struct pattern *pattern = &worker->order.pattern;
    switch (worker->order.subscribe) {
    case FLEET_SUBSCRIBE_OWN:
        return worker_name_own(worker, global);
    case FLEET_SUBSCRIBE_PAIR:
        global += worker->place - worker->share.first;
        if (!pattern_is_subscriber(pattern, global))
            return NULL;
        return worker_name_filter(worker, pattern_subscribers_before(pattern, global));
    default:
        return NULL;
    }
}

bool worker_is_warm_up(const struct worker *worker, int64_t intended_ns)
{
    return intended_ns < worker->order.at_ns + worker->order.warmup_ns;
}

void worker_count(struct worker *worker, enum tally_count what, int64_t intended_ns)
{
    tally_add_messages(worker->page, what, 1, worker_is_warm_up(worker, intended_ns));
}

bool worker_had_its_turn(const struct worker *worker, int64_t sent_ns, int64_t before_ended_ns)
{
    return worker->order.rate_per_s <= 0 || before_ended_ns <= sent_ns;
}

enum latency_kind worker_delivery_kind(const struct worker *worker, int64_t intended_ns)
{
    const struct fleet_order *order = &worker->order;
    if (order->pattern.slow == 0 || order->act != FLEET_PUBLISH)
        return LATENCY_DELIVERY;
    int64_t after_ns = intended_ns - order->at_ns;
    return after_ns < order->slow_from_ns    ? LATENCY_DELIVERY_BEFORE
           : after_ns < order->slow_until_ns ? LATENCY_DELIVERY
                                             : LATENCY_DELIVERY_AFTER;
}

// May the message be a retained one that came because the client has subscribed again?
static bool may_be_replayed(const struct worker *worker, const struct engine_event *event)
{
    return worker->subscribed_ns && event->payload.sent_ns < worker->subscribed_ns[event->client];
}

// A message that is published while the subscription is there has RETAIN 0, whatever its publisher said [MQTT-3.3.1-9].
void worker_count_changed(struct worker *worker, const struct engine_event *event, uint64_t *topic,
                          int64_t publisher)
{
    if (*topic == 0) {
        const char *name = worker_name_messages(worker, publisher);
        *topic = topic_mark(name, strlen(name));
    }
    if (event->topic != *topic)
        tally_add(worker->page, TALLY_TOPIC_CHANGED, 1);
    if (event->retained && !may_be_replayed(worker, event))
        tally_add(worker->page, TALLY_RETAIN_CHANGED, 1);
}

void worker_count_qos(struct worker *worker, const struct engine_event *event)
{
    bool message = event->kind == ENGINE_MESSAGE;
    int asked = worker->order.qos - (message ? worker->order.qos_below : 0);
    if (event->qos != asked)
        tally_add(worker->page,
                  tally_of_qos(message ? TALLY_DELIVERED_OTHER : TALLY_GRANTED_OTHER, asked, event->qos), 1);
}

// QoS 1 allows them: on the way to the target, or from it. So does QoS 2 until the PUBREL of the first.
void worker_count_duplicate(struct worker *worker, const struct engine_event *event)
{
    tally_add(worker->page, TALLY_DUPLICATES, 1);
    if (event->qos != 1 && worker->order.qos != 1 && !event->again)
        tally_add(worker->page, TALLY_DUPLICATES_EXCLUDED, 1);
}

void worker_record_delivery(struct worker *worker, const struct engine_event *event, int64_t before_ns)
{
    const struct payload *payload = &event->payload;
    worker_count_qos(worker, event);
    if (event->content == PAYLOAD_CORRUPT) {
        worker_count(worker, TALLY_CORRUPT, payload->intended_ns);
        return;
    }
    worker_count(worker, TALLY_RECEIVED, payload->intended_ns);
    if (worker_is_warm_up(worker, payload->intended_ns))
        return;
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_RECEIVED_NS))
        tally_set(worker->page, TALLY_LAST_RECEIVED_NS, event->at_ns);
    enum latency_kind kind = worker_delivery_kind(worker, payload->intended_ns);
    latency_add(&worker->batch, kind, event->at_ns - payload->intended_ns, event->at_ns);
    if (kind == LATENCY_DELIVERY && worker_had_its_turn(worker, payload->sent_ns, before_ns))
        latency_add(&worker->batch, LATENCY_DELIVERY_UNCORRECTED, event->at_ns - payload->sent_ns,
                    event->at_ns);
}

_Noreturn void worker_has_no_memory(const struct worker *worker)
{
    fleet_worker_complain(worker->fleet, "out of memory");
    _exit(EXIT_FAILED);
}

bool worker_is_open(uint8_t client)
{
    return client == CLIENT_OPEN || client == CLIENT_SUBSCRIBING || client == CLIENT_USELESS ||
           client == CLIENT_PROVING || client == CLIENT_CLOSING || client == CLIENT_RESUBSCRIBING;
}

// After a stall the answers may still be unread in the sockets, so the worker reads first. A deadline counts
// as passed when a whole step after it brought no event; in constant traffic, READ_NS after it.
bool worker_is_past(const struct worker *worker, int64_t deadline_ns, int64_t now_ns)
{
    if (now_ns < deadline_ns)
        return false;
    return (worker->tick_ns >= deadline_ns && !worker->heard) || now_ns >= deadline_ns + READ_NS;
}

// A target may send a message again a moment after all have arrived. A tenth of the time in which they were sent is listened for
// that, within bounds, and no longer than for messages on their way. What slow readers do not read ends no order.
bool worker_has_listened(struct worker *worker, int64_t now_ns)
{
    const struct fleet_order *order = &worker->order;
    int64_t listen_ns = order->duration_ns / 10;
    listen_ns = listen_ns < LISTEN_LEAST_NS ? LISTEN_LEAST_NS : listen_ns;
    listen_ns = listen_ns > LISTEN_MOST_NS ? LISTEN_MOST_NS : listen_ns;
    if (worker->slow.stage != SLOW_NONE)
        return true;
    if (!worker->arrived && worker->deadline_ns > now_ns + listen_ns)
        worker->deadline_ns = now_ns + listen_ns;
    worker->arrived = true;
    return false;
}

// Whether this process was kept from running since `from_ns`: what seems late may be its own doing.
bool worker_stalled_since(const struct worker *worker, int64_t from_ns)
{
    // This may be the first event after a stall.
    int64_t late_ns = worker->next_tick_ns > 0 ? clock_now_ns() - worker->next_tick_ns : 0;
    return worker->stall_ended_ns > from_ns || late_ns >= WORKER_STALL_NS;
}

// A connect that took longer than the time-out has failed, whatever the engine's library says: paho's own
// time-outs are whole seconds and more.
bool worker_came_too_late(const struct worker *worker, const struct engine_event *event)
{
    return event->at_ns - event->started_ns > worker->setup->timeout_ns &&
           !worker_stalled_since(worker, event->started_ns);
}

// A time-out that a stall of the generator may have caused is not counted as the target's.
enum tally_reason worker_failure(const struct worker *worker, const struct engine_event *event)
{
    return event->reason == REASON_TIMEOUT && worker_stalled_since(worker, event->started_ns) ? REASON_STALLED
                                                                                              : event->reason;
}

int64_t worker_await_turn(struct worker *worker, int64_t at_ns, int64_t now_ns)
{
    const struct engine *engine = worker->setup->engine;
    if (!engine->expect)
        return at_ns;
    if (at_ns - now_ns > EXPECT_NS)
        return at_ns - EXPECT_NS;
    engine->expect(worker->run);
    return at_ns;
}
