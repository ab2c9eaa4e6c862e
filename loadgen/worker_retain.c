// SPDX-License-Identifier: Apache-2.0
// The retaining part of a worker: its clients publish their share of the retained messages at QoS 1, a window of them
// under way at a time, or remove them by empty ones. Message n is of client n modulo all clients of the order.
#include "loadgen/worker_state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 100, PAYLOAD_BYTES = 64 };

struct worker_retains {
    int64_t next;       // the next message of all
    int64_t left;       // of this worker's, not begun
    int64_t *under_way; // for each client of this worker
    int64_t under_way_count;
    struct payload_writer writer;
};

// The client of this worker that publishes a message; -1: one of another worker.
static int64_t client_of(const struct worker *worker, int64_t message)
{
    int64_t client = message % worker->order.goal - worker->share.first;
    return client >= 0 && client < worker->share.count ? client : -1;
}

int worker_retain_begin(struct worker *worker)
{
    struct worker_retains *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    worker->retains = own;
    own->under_way = calloc((size_t)worker->share.count + 1, sizeof *own->under_way);
    if (!own->under_way || payload_writer_open(&own->writer, PAYLOAD_BYTES) < 0)
        return -ENOMEM;
    for (int64_t i = 0; i < worker->order.retained; i++)
        own->left += client_of(worker, i) >= 0;
    tally_add(worker->page, TALLY_RETAIN_DUE, own->left);
    return 0;
}

static int publish(struct worker *worker, int64_t client, int64_t number)
{
    static const uint8_t nothing[1];
    char topic[64];
    worker_retained_topic(worker, number, topic);
    struct engine_message message = {
        .topic = topic, .payload = nothing, .qos = 1, .retain = true, .intended_ns = clock_now_ns()};
    message.sent_ns = message.intended_ns;
    struct payload payload = {.pair = (uint32_t)number,
                              .run = worker->setup->run,
                              .intended_ns = message.intended_ns,
                              .sent_ns = message.sent_ns};
    if (!worker->order.removes) {
        message.payload = payload_write(&worker->retains->writer, PAYLOAD_BYTES, &payload);
        message.payload_bytes = PAYLOAD_BYTES;
    }
    return worker->setup->engine->publish(worker->run, client, &message);
}

int64_t worker_retain_tick(struct worker *worker, int64_t now_ns)
{
    struct worker_retains *own = worker->retains;
    while (own->left > 0 && own->under_way_count < WINDOW) {
        int64_t number = own->next++, client = client_of(worker, number);
        if (client < 0)
            continue;
        own->left--;
        if (worker->clients[client] != CLIENT_OPEN || publish(worker, client, number) < 0) {
            tally_add(worker->page, TALLY_RETAIN_NOT_SENT, 1);
            continue;
        }
        own->under_way[client]++;
        own->under_way_count++;
    }
    if (worker->setup->engine->flush)
        worker->setup->engine->flush(worker->run);
    if (own->left == 0 && worker->deadline_ns == 0)
        worker->deadline_ns = now_ns + worker->order.drain_ns;
    return worker->deadline_ns > 0 ? worker->deadline_ns : now_ns + WORKER_IDLE_NS;
}

static void end_one(struct worker *worker, int64_t client, enum tally_count what)
{
    worker->retains->under_way[client]--;
    worker->retains->under_way_count--;
    tally_add(worker->page, what, 1);
}

void worker_retain_acked(struct worker *worker, const struct engine_event *event)
{
    if (worker->retains->under_way[event->client] > 0 && event->started_ns >= worker->order.at_ns)
        end_one(worker, event->client, TALLY_RETAINED);
}

void worker_retain_lost(struct worker *worker, int64_t client)
{
    while (worker->retains->under_way[client] > 0)
        end_one(worker, client, TALLY_RETAIN_FAILED);
}

bool worker_retain_done(struct worker *worker, int64_t now_ns)
{
    const struct worker_retains *own = worker->retains;
    return own->left == 0 &&
           (own->under_way_count == 0 || worker_is_past(worker, worker->deadline_ns, now_ns));
}

void worker_retain_end(struct worker *worker, bool halted)
{
    struct worker_retains *own = worker->retains;
    tally_add(worker->page, TALLY_RETAIN_NOT_SENT, own->left);
    for (int64_t i = 0; i < worker->share.count; i++)
        while (own->under_way[i] > 0)
            end_one(worker, i, halted ? TALLY_RETAIN_UNFINISHED : TALLY_RETAIN_LOST);
    payload_writer_close(&own->writer);
    free(own->under_way);
    free(own);
    worker->retains = NULL;
}
