// SPDX-License-Identifier: Apache-2.0
// The sweeping part of a worker: PROVE and CLOSE go over all clients, a window of them under way at a time.
#include "loadgen/worker_state.h"

enum { PROVE_WINDOW = 200, CLOSE_WINDOW = 500 };

void worker_sweep_proven(struct worker *worker, int64_t client)
{
    if (worker->clients[client] != CLIENT_PROVING)
        return;
    worker->clients[client] = CLIENT_OPEN;
    worker->pending--;
    tally_add(worker->page, TALLY_PROVEN, 1);
}

static int ask_for_life(struct worker *worker, int64_t client)
{
    const struct engine *engine = worker->setup->engine;
    if (engine->caps & ENGINE_CAP_PING)
        return engine->ping(worker->run, client);
    char topic[64];
    uint8_t payload[PAYLOAD_MIN_BYTES] = {0};
    worker_topic(worker, 'l', worker->share.first + client, topic);
    struct engine_message message = {
        .topic = topic, .payload = payload, .payload_bytes = sizeof payload, .qos = 1};
    return engine->publish(worker->run, client, &message);
}

void worker_sweep_begin(struct worker *worker)
{
    worker->next = plan_goal(worker->share, worker->order.before);
    worker->goal =
        worker->order.goal > 0 ? plan_goal(worker->share, worker->order.goal) : worker->share.count;
}

int64_t worker_sweep_tick(struct worker *worker, int64_t now_ns)
{
    bool prove = worker->order.act == FLEET_PROVE;
    if (worker->order.gated && !fleet_worker_admitted(worker->fleet))
        return now_ns + WORKER_IDLE_NS;
    if (worker->deadline_ns == 0)
        worker->deadline_ns = now_ns + worker->order.drain_ns;
    while (worker->next < worker->goal && worker->pending < (prove ? PROVE_WINDOW : CLOSE_WINDOW)) {
        int64_t client = worker->next++;
        uint8_t before = worker->clients[client];
        if (!worker_is_open(before) || (prove && before == CLIENT_RESUBSCRIBING))
            continue;
        worker->clients[client] = prove ? CLIENT_PROVING : CLIENT_CLOSING;
        worker->pending++;
        if (prove)
            tally_add(worker->page, TALLY_PROVE_ASKED, 1);
        int code = prove ? ask_for_life(worker, client)
                         : worker->setup->engine->close_client(worker->run, client, worker->order.leave);
        if (code < 0) { // an event reports its end, or has reported it
            worker->clients[client] = before;
            worker->pending--;
            if (prove)
                tally_add(worker->page, TALLY_PROVE_FAILED, 1);
        }
    }
    return worker->deadline_ns;
}

bool worker_sweep_done(struct worker *worker, int64_t now_ns)
{
    return worker->deadline_ns > 0 && ((worker->next >= worker->goal && worker->pending == 0) ||
                                       worker_is_past(worker, worker->deadline_ns, now_ns));
}

void worker_sweep_end(struct worker *worker, bool halted)
{
    for (int64_t i = 0; worker->order.act == FLEET_PROVE && i < worker->share.count; i++)
        if (worker->clients[i] == CLIENT_PROVING) { // no sign of life: still open, but not proven
            worker->clients[i] = CLIENT_OPEN;
            tally_add(worker->page, halted ? TALLY_PROVE_UNFINISHED : TALLY_SILENT, 1);
        }
}
