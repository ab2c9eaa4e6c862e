// SPDX-License-Identifier: Apache-2.0
// The subscribing part of a worker: clients take turns at adding subscriptions, or at removing them, one filter a
// packet. A change is due at its intended time, and ends with SUBACK or UNSUBACK. A client has one change under
// way at a time: what is due meanwhile is not sent, and is counted. A worker that comes late sends late: an answer has
// at least the time between two changes of a client, whenever the change was sent.
#include "loadgen/worker_state.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 256 }; // turns taken before events are looked at

struct worker_change {   // of a client, under way
    int64_t intended_ns; // 0: there is none
    int64_t sent_ns;
    int64_t turn_ns; // when the client's latest turn was due, taken or not
};

struct worker_changes {
    struct worker_change *under_way; // for each client of this worker
    int64_t under_way_count;
    int64_t turn; // the next
    bool sending;
};

// What the order counts: SUBSCRIBEs, or UNSUBSCRIBEs.
static enum tally_count counted(const struct worker *worker, enum tally_count what)
{
    return worker->order.removes ? what + (TALLY_REMOVE_DUE - TALLY_ADD_DUE) : what;
}

static enum latency_kind kind_of(const struct worker *worker)
{
    return worker->order.removes ? LATENCY_UNSUBSCRIBE : LATENCY_SUBSCRIBE;
}

static struct schedule_turn next_turn(struct worker *worker)
{
    return schedule_turn(&worker->schedule, worker->order.goal, worker->share.first, worker->share.count,
                         worker->changes->turn);
}

// Each filter is another one; with retained messages all are the one that matches them. Wildcards are spread over all filters, "#" and "+" in turn.
static void name_filter(const struct worker *worker, int64_t client, int64_t number, char filter[static 64])
{
    const struct fleet_order *order = &worker->order;
    if (order->retained > 0) {
        worker_retained_filter(worker, filter);
        return;
    }
    int64_t all = client * order->filters + number;
    double before = floor((double)all * order->wildcards),
           after = floor((double)(all + 1) * order->wildcards);
    const char *end = after > before ? (fmod(after, 2) > 0 ? "/#" : "/+") : "";
    snprintf(filter, 64, "poolmark/%s/s/%lld/%lld%s", worker->setup->prefix, (long long)client,
             (long long)number, end);
}

int worker_subscribe_begin(struct worker *worker)
{
    struct worker_changes *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    worker->changes = own;
    own->sending = worker->share.count > 0;
    own->under_way = calloc((size_t)worker->share.count + 1, sizeof *own->under_way);
    return own->under_way ? worker_replay_begin(worker) : -ENOMEM;
}

static int send_change(struct worker *worker, int64_t client, int64_t number)
{
    const struct engine *engine = worker->setup->engine;
    char filter[64];
    name_filter(worker, worker->share.first + client, number, filter);
    return worker->order.removes ? engine->unsubscribe(worker->run, client, filter)
                                 : engine->subscribe(worker->run, client, filter, worker->order.qos);
}

// Whether the client's change before has time left for its answer; `*until_ns` is the end of that time, which is the time
// between two turns of the client.
static bool may_still_end(const struct worker *worker, const struct schedule_turn *turn, int64_t now_ns,
                          int64_t *until_ns)
{
    const struct worker_change *change = &worker->changes->under_way[turn->pair - worker->share.first];
    int64_t from_ns = change->sent_ns > worker->stall_ended_ns ? change->sent_ns : worker->stall_ended_ns;
    *until_ns = from_ns + turn->intended_ns - change->turn_ns;
    return change->intended_ns != 0 && now_ns < *until_ns;
}

static void begin_change(struct worker *worker, const struct schedule_turn *turn, int64_t now_ns)
{
    struct worker_changes *own = worker->changes;
    int64_t client = turn->pair - worker->share.first;
    tally_add(worker->page, counted(worker, TALLY_ADD_DUE), 1);
    latency_add(&worker->batch, LATENCY_LAG, now_ns - turn->intended_ns, now_ns);
    own->under_way[client].turn_ns = turn->intended_ns;
    if (own->under_way[client].intended_ns != 0 || worker->clients[client] != CLIENT_OPEN ||
        send_change(worker, client, turn->message) < 0) {
        tally_add(worker->page, counted(worker, TALLY_ADD_NOT_SENT), 1);
        return;
    }
    own->under_way[client].intended_ns = turn->intended_ns;
    own->under_way[client].sent_ns = now_ns;
    own->under_way_count++;
    worker_replay_start(worker, client, turn->intended_ns);
}

int64_t worker_subscribe_tick(struct worker *worker, int64_t now_ns)
{
    struct worker_changes *own = worker->changes;
    int64_t until_ns;
    worker_load_begin(worker);
    for (int i = 0; own->sending && i < BURST; i++) {
        struct schedule_turn turn = next_turn(worker);
        if (turn.message >= worker->order.filters) {
            own->sending = false;
            worker->deadline_ns = now_ns + worker->order.drain_ns;
        } else if (turn.intended_ns > now_ns) {
            return worker_await_turn(worker, turn.intended_ns, now_ns);
        } else if (may_still_end(worker, &turn, now_ns, &until_ns)) {
            return until_ns;
        } else {
            own->turn++;
            begin_change(worker, &turn, now_ns);
            now_ns = clock_now_ns();
        }
    }
    return own->sending ? now_ns : worker->deadline_ns;
}

static void end_change(struct worker *worker, int64_t client, enum tally_count what)
{
    worker->changes->under_way[client].intended_ns = 0;
    worker->changes->under_way_count--;
    tally_add(worker->page, counted(worker, what), 1);
}

void worker_subscribe_event(struct worker *worker, const struct engine_event *event)
{
    int64_t intended_ns = worker->changes->under_way[event->client].intended_ns;
    if (intended_ns == 0)
        return; // of an order that has ended, where it counts as lost
    if (event->kind == ENGINE_REFUSED) {
        end_change(worker, event->client, TALLY_ADD_FAILED);
        worker_replay_lost(worker, event->client);
        return;
    }
    if ((event->kind == ENGINE_UNSUBSCRIBED) != worker->order.removes)
        return; // as above
    latency_add(&worker->batch, kind_of(worker), event->at_ns - intended_ns, event->at_ns);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_CHANGED_NS))
        tally_set(worker->page, TALLY_LAST_CHANGED_NS, event->at_ns);
    if (!worker->order.removes)
        worker_count_qos(worker, event);
    end_change(worker, event->client, TALLY_ADDED);
}

void worker_subscribe_lost(struct worker *worker, int64_t client)
{
    if (worker->changes->under_way[client].intended_ns != 0)
        end_change(worker, client, TALLY_ADD_FAILED);
    worker_replay_lost(worker, client);
}

bool worker_subscribe_done(struct worker *worker, int64_t now_ns)
{
    const struct worker_changes *own = worker->changes;
    if (own->sending)
        return false;
    if (worker_is_past(worker, worker->deadline_ns, now_ns))
        return true;
    return own->under_way_count == 0 && worker_replay_done(worker) &&
           (!worker->replays || worker->order.removes || worker_has_listened(worker, now_ns));
}

// The order was broken off: turns that were due by now and were not taken count as not sent.
static void count_unsent(struct worker *worker)
{
    int64_t now_ns = clock_now_ns();
    for (;;) {
        struct schedule_turn turn = next_turn(worker);
        if (turn.message >= worker->order.filters || turn.intended_ns > now_ns)
            return;
        worker->changes->turn++;
        tally_add(worker->page, counted(worker, TALLY_ADD_DUE), 1);
        tally_add(worker->page, counted(worker, TALLY_ADD_NOT_SENT), 1);
    }
}

void worker_subscribe_end(struct worker *worker, bool halted)
{
    struct worker_changes *own = worker->changes;
    int64_t now_ns = clock_now_ns();
    if (halted && own->sending)
        count_unsent(worker);
    for (int64_t i = 0; i < worker->share.count; i++) {
        if (own->under_way[i].intended_ns == 0)
            continue;
        latency_add_censored(&worker->batch, kind_of(worker), now_ns - own->under_way[i].intended_ns, now_ns);
        end_change(worker, i, halted ? TALLY_ADD_UNFINISHED : TALLY_ADD_LOST);
    }
    worker_replay_end(worker, halted);
    free(own->under_way);
    free(own);
    worker->changes = NULL;
}
