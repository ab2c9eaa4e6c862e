// SPDX-License-Identifier: Apache-2.0
// The publishing part of a worker: pair p publishes from client 2p + 1 to client 2p.
#include "loadgen/worker_state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLOOD_WINDOW = 10, // messages of a pair on their way when there is no rate
    BURST = 64,        // messages sent before events are looked at again
};

int worker_publish_begin(struct worker *worker)
{
    int64_t end = worker->share.first + worker->share.count;
    int64_t pairs_end = end / 2 < worker->order.pairs ? end / 2 : worker->order.pairs;
    worker->first_pair = worker->share.first / 2;
    worker->pair_count = pairs_end > worker->first_pair ? pairs_end - worker->first_pair : 0;
    worker->turn = 0;
    worker->sending = worker->pair_count > 0;
    worker->pairs = calloc((size_t)worker->pair_count + 1, sizeof *worker->pairs);
    worker->payload = calloc(1, (size_t)worker->order.payload_bytes);
    return worker->pairs && worker->payload ? 0 : -ENOMEM;
}

static int64_t warm_ns(const struct worker *worker)
{
    return worker->order.at_ns + worker->order.warmup_ns;
}

static bool send_one(struct worker *worker, int64_t number, int64_t intended_ns)
{
    struct worker_pair *pair = &worker->pairs[number - worker->first_pair];
    int64_t publisher = 2 * number + 1 - worker->share.first;
    char topic[64];
    worker_topic(worker, 'p', number, topic);
    int64_t now_ns = clock_now_ns();
    struct payload payload = {
        .pair = (uint32_t)number, .sequence = pair->sent, .intended_ns = intended_ns, .sent_ns = now_ns};
    payload_write(worker->payload, &payload);
    struct engine_message message = {.topic = topic,
                                     .payload = worker->payload,
                                     .payload_bytes = (uint32_t)worker->order.payload_bytes,
                                     .qos = worker->order.qos,
                                     .intended_ns = intended_ns,
                                     .sent_ns = now_ns};
    if (worker->clients[publisher] != CLIENT_OPEN ||
        worker->setup->engine->publish(worker->run, publisher, &message) < 0) {
        tally_add(worker->page, TALLY_NOT_SENT, 1);
        return false;
    }
    pair->sent++;
    tally_add(worker->page, TALLY_PUBLISHED, 1);
    if (intended_ns >= warm_ns(worker))
        latency_add(&worker->batch, LATENCY_LAG, now_ns - intended_ns, now_ns);
    return true;
}

static int64_t stop_sending(struct worker *worker, int64_t now_ns)
{
    worker->sending = false;
    worker->deadline_ns = now_ns + worker->order.drain_ns;
    return worker->deadline_ns;
}

// As fast as messages are delivered: each pair keeps a few on their way. A pair that cannot send waits for
// the end.
static int64_t flood_tick(struct worker *worker, int64_t now_ns)
{
    int64_t end_ns = worker->order.at_ns + worker->order.duration_ns;
    if (now_ns >= end_ns)
        return stop_sending(worker, now_ns);
    for (int64_t i = 0; i < worker->pair_count; i++) {
        struct worker_pair *pair = &worker->pairs[i];
        while (pair->sent - pair->received < FLOOD_WINDOW)
            if (!send_one(worker, worker->first_pair + i, clock_now_ns()))
                break;
    }
    return end_ns < now_ns + 100 * NS_PER_MS ? end_ns : now_ns + 100 * NS_PER_MS;
}

int64_t worker_publish_tick(struct worker *worker, int64_t now_ns)
{
    if (!worker->sending)
        return worker->deadline_ns;
    if (!(worker->order.rate_per_s > 0))
        return flood_tick(worker, now_ns);
    int64_t end_ns = worker->order.at_ns + worker->order.duration_ns;
    for (int i = 0; i < BURST; i++) {
        struct schedule_turn turn = schedule_turn(&worker->schedule, worker->order.pairs, worker->first_pair,
                                                  worker->pair_count, worker->turn);
        if (turn.intended_ns >= end_ns)
            return stop_sending(worker, now_ns);
        if (turn.intended_ns > now_ns)
            return turn.intended_ns;
        worker->turn++;
        send_one(worker, turn.pair, turn.intended_ns);
    }
    return now_ns;
}

static void on_message(struct worker *worker, const struct engine_event *event)
{
    int64_t number = event->payload.pair - worker->first_pair;
    if (!event->ours || !worker->pairs || number < 0 || number >= worker->pair_count ||
        worker->share.first + event->client != 2 * (int64_t)event->payload.pair) {
        tally_add(worker->page, TALLY_STRANGE, 1);
        return;
    }
    struct worker_pair *pair = &worker->pairs[number];
    // Messages of one publisher on one topic arrive in order [MQTT-4.6.0-6]: an older number is one seen
    // already.
    if (event->payload.sequence < pair->expected) {
        tally_add(worker->page, TALLY_DUPLICATES, 1);
        return;
    }
    pair->expected = event->payload.sequence + 1;
    pair->received++;
    tally_add(worker->page, TALLY_RECEIVED, 1);
    if (event->payload.intended_ns < warm_ns(worker))
        return;
    latency_add(&worker->batch, LATENCY_DELIVERY, event->at_ns - event->payload.intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_DELIVERY_UNCORRECTED, event->at_ns - event->payload.sent_ns,
                event->at_ns);
}

void worker_publish_event(struct worker *worker, const struct engine_event *event)
{
    if (event->kind == ENGINE_MESSAGE) {
        on_message(worker, event);
        return;
    }
    int64_t number = (worker->share.first + event->client) / 2 - worker->first_pair;
    if (!worker->pairs || number < 0 || number >= worker->pair_count)
        return;
    worker->pairs[number].acked++;
    tally_add(worker->page, TALLY_ACKED, 1);
    if (event->intended_ns < warm_ns(worker))
        return;
    latency_add(&worker->batch, LATENCY_ACK, event->at_ns - event->intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_ACK_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
}

static void count_outstanding(const struct worker *worker, int64_t *lost, int64_t *unacked)
{
    *lost = *unacked = 0;
    for (int64_t i = 0; i < worker->pair_count; i++) {
        *lost += (int64_t)(worker->pairs[i].sent - worker->pairs[i].received);
        if (worker->order.qos > 0)
            *unacked += (int64_t)(worker->pairs[i].sent - worker->pairs[i].acked);
    }
}

bool worker_publish_done(struct worker *worker, int64_t now_ns)
{
    if (worker->sending)
        return false;
    int64_t lost, unacked;
    count_outstanding(worker, &lost, &unacked);
    return (lost == 0 && unacked == 0) || now_ns >= worker->deadline_ns;
}

void worker_publish_end(struct worker *worker)
{
    int64_t lost, unacked;
    count_outstanding(worker, &lost, &unacked);
    tally_add(worker->page, TALLY_LOST, lost);
    tally_add(worker->page, TALLY_UNACKED, unacked);
    free(worker->pairs);
    free(worker->payload);
    worker->pairs = NULL;
    worker->payload = NULL;
    worker->pair_count = 0;
}
