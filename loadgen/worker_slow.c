// SPDX-License-Identifier: Apache-2.0
// Slow readers: subscribers that stop reading for a part of an order to publish, or read at a rate, and read again. They
// have workers of their own (plan.h: split), so a worker is slow as a whole. What arrives at them is in counts and
// histograms of its own.
#include "loadgen/worker_state.h"

#include <stdlib.h>

bool worker_is_slow(const struct worker *worker, int64_t client)
{
    return worker->slow.first > 0 && worker->place + client >= worker->slow.first;
}

void worker_slow_begin(struct worker *worker)
{
    const struct fleet_order *order = &worker->order;
    struct worker_slow *slow = &worker->slow;
    if (order->pattern.slow == 0)
        return;
    slow->first = pattern_clients(&order->pattern) - order->pattern.slow;
    slow->stage = worker_is_slow(worker, 0) && worker->reception.count > 0 ? SLOW_BEFORE : SLOW_NONE;
    slow->heard_ns = calloc((size_t)worker->reception.count + 1, sizeof *slow->heard_ns);
    if (!slow->heard_ns)
        worker_has_no_memory(worker);
}

static bool reads_again(const struct worker *worker)
{
    return worker->order.slow_until_ns < worker->order.duration_ns;
}

static void read_at(struct worker *worker, int64_t bytes_per_s)
{
    worker->setup->engine->read_at(worker->run, bytes_per_s);
}

int64_t worker_slow_tick(struct worker *worker, int64_t now_ns)
{
    const struct fleet_order *order = &worker->order;
    struct worker_slow *slow = &worker->slow;
    int64_t from_ns = order->at_ns + order->slow_from_ns;
    if (slow->stage == SLOW_BEFORE && now_ns >= from_ns) {
        read_at(worker, order->read_per_s);
        slow->stage = SLOW_NOW;
    }
    if (slow->stage == SLOW_BEFORE)
        return from_ns;
    if (slow->stage != SLOW_NOW || !reads_again(worker))
        return INT64_MAX;
    if (now_ns < order->at_ns + order->slow_until_ns)
        return order->at_ns + order->slow_until_ns;
    read_at(worker, ENGINE_READ_ALL);
    slow->stage = SLOW_AGAIN;
    tally_add(worker->page, TALLY_RECOVERY_DUE, worker->reception.count);
    return INT64_MAX;
}

static void recover(struct worker *worker, int64_t subscriber, const struct engine_event *event)
{
    struct worker_slow *slow = &worker->slow;
    if (slow->stage != SLOW_AGAIN || slow->heard_ns[subscriber] != 0)
        return;
    int64_t again_ns =
        worker->order.at_ns + worker->order.slow_until_ns; // those that never read again are not here
    if (event->payload.intended_ns < again_ns)
        return;
    slow->heard_ns[subscriber] = event->at_ns;
    tally_add(worker->page, TALLY_RECOVERED, 1);
    latency_add(&worker->batch, LATENCY_RECOVERY, event->at_ns - again_ns, event->at_ns);
}

void worker_slow_delivery(struct worker *worker, int64_t subscriber, const struct engine_event *event)
{
    int64_t intended_ns = event->payload.intended_ns;
    recover(worker, subscriber, event);
    worker_count_qos(worker, event);
    if (event->content == PAYLOAD_CORRUPT) {
        worker_count(worker, TALLY_SLOW_CORRUPT, intended_ns);
        return;
    }
    worker_count(worker, TALLY_SLOW_RECEIVED, intended_ns);
    if (!worker_is_warm_up(worker, intended_ns))
        latency_add(&worker->batch, LATENCY_DELIVERY_SLOW, event->at_ns - intended_ns, event->at_ns);
}

bool worker_slow_is_over(const struct worker *worker)
{
    return worker->slow.stage == SLOW_NOW && !reads_again(worker);
}

int64_t worker_slow_reads_ns(const struct worker *worker, int64_t client, int64_t from_ns)
{
    if (!worker_is_slow(worker, client) || worker->slow.stage != SLOW_NOW)
        return from_ns;
    int64_t again_ns = worker->order.at_ns + worker->order.slow_until_ns;
    return !reads_again(worker) ? INT64_MAX : again_ns > from_ns ? again_ns : from_ns;
}

// Those that read again and have nothing new yet. Their age counts, unless their connection was lost.
static void give_up(struct worker *worker, int64_t subscriber, bool halted, int64_t now_ns)
{
    bool there = worker->reception.there[subscriber];
    if (worker->slow.heard_ns[subscriber] != 0)
        return;
    tally_add(worker->page, halted && there ? TALLY_RECOVERY_UNFINISHED : TALLY_RECOVERY_FAILED, 1);
    if (there)
        latency_add_censored(&worker->batch, LATENCY_RECOVERY,
                             now_ns - worker->order.at_ns - worker->order.slow_until_ns, now_ns);
}

void worker_slow_end(struct worker *worker, bool halted)
{
    struct worker_slow *slow = &worker->slow;
    int64_t now_ns = clock_now_ns();
    for (int64_t i = 0; slow->stage == SLOW_AGAIN && i < worker->reception.count; i++)
        give_up(worker, i, halted, now_ns);
    // What was not read counts as missed. Now it is read, so that the connections can end in order.
    if (slow->stage == SLOW_NOW)
        read_at(worker, ENGINE_READ_ALL);
    slow->stage = SLOW_NONE;
    free(slow->heard_ns);
    slow->heard_ns = NULL;
}
