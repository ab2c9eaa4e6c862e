// SPDX-License-Identifier: Apache-2.0
// The part of subscribing that retained messages add: a SUBSCRIBE has a replay, which is whole when each of them has
// arrived once. One that arrives again counts as a duplicate, and completes nothing.
#include "loadgen/worker_state.h"

#include "base/clock.h"
#include "loadgen/topic_mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct replay {          // of a client
    int64_t intended_ns; // of its SUBSCRIBE; 0: none is under way
    int64_t arrived;
};

struct worker_replays {
    struct replay *list; // for each client of this worker
    uint64_t *seen;      // for each client `words` of bits, one for each message
    uint64_t *topics;    // of each message the number (topic_mark.h); 0: not known yet
    size_t words;
    int64_t under_way_count;
};

int worker_replay_begin(struct worker *worker)
{
    if (worker->order.retained == 0)
        return 0;
    struct worker_replays *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    worker->replays = own;
    size_t clients = (size_t)worker->share.count + 1;
    own->words = ((size_t)worker->order.retained + 63) / 64;
    own->list = calloc(clients, sizeof *own->list);
    own->seen = calloc(clients * own->words, sizeof *own->seen);
    own->topics = calloc((size_t)worker->order.retained, sizeof *own->topics);
    return own->list && own->seen && own->topics ? 0 : -ENOMEM;
}

void worker_replay_start(struct worker *worker, int64_t client, int64_t intended_ns)
{
    struct worker_replays *own = worker->replays;
    if (!own || worker->order.removes)
        return;
    own->list[client] = (struct replay){.intended_ns = intended_ns};
    memset(own->seen + (size_t)client * own->words, 0, own->words * sizeof *own->seen);
    own->under_way_count++;
    tally_add(worker->page, TALLY_REPLAY_DUE, 1);
    tally_add(worker->page, TALLY_REPLAY_MESSAGE_DUE, worker->order.retained);
}

// `missing`: what becomes of the messages that have not arrived.
static void end_replay(struct worker *worker, int64_t client, enum tally_count what, enum tally_count missing)
{
    struct replay *replay = &worker->replays->list[client];
    tally_add(worker->page, what, 1);
    tally_add(worker->page, missing, worker->order.retained - replay->arrived);
    replay->intended_ns = 0;
    worker->replays->under_way_count--;
}

// A message that comes because of a SUBSCRIBE has RETAIN 1 [MQTT-3.3.1-8].
static void count_changed(struct worker *worker, const struct engine_event *event)
{
    uint64_t *topic = &worker->replays->topics[event->payload.pair];
    if (*topic == 0) {
        char name[64];
        worker_retained_topic(worker, event->payload.pair, name);
        *topic = topic_mark(name, strlen(name));
    }
    if (event->topic != *topic)
        tally_add(worker->page, TALLY_TOPIC_CHANGED, 1);
    if (!event->retained)
        tally_add(worker->page, TALLY_RETAIN_CHANGED, 1);
}

void worker_replay_message(struct worker *worker, const struct engine_event *event)
{
    struct worker_replays *own = worker->replays;
    const struct payload *payload = &event->payload;
    bool strange = event->content == PAYLOAD_STRANGE;
    if (!strange && payload->run != worker->setup->run) {
        tally_add(worker->page, TALLY_FOREIGN, 1);
        return;
    }
    if (strange || payload->pair >= worker->order.retained || payload->sequence > 0) {
        tally_add(worker->page, TALLY_STRANGE, 1);
        return;
    }
    count_changed(worker, event);
    struct replay *replay = &own->list[event->client];
    uint64_t *word = own->seen + (size_t)event->client * own->words + payload->pair / 64;
    uint64_t bit = UINT64_C(1) << payload->pair % 64;
    if (event->again || *word & bit) {
        worker_count_duplicate(worker, event);
        return;
    }
    if (replay->intended_ns == 0)
        return; // of a SUBSCRIBE that has ended, where it counts as lost
    *word |= bit;
    replay->arrived++;
    tally_add(worker->page,
              event->content == PAYLOAD_CORRUPT ? TALLY_REPLAY_MESSAGE_CORRUPT : TALLY_REPLAY_MESSAGE_ARRIVED,
              1);
    if (replay->arrived < worker->order.retained)
        return;
    latency_add(&worker->batch, LATENCY_REPLAY, event->at_ns - replay->intended_ns, event->at_ns);
    end_replay(worker, event->client, TALLY_REPLAYED, TALLY_REPLAY_MESSAGE_LOST);
}

void worker_replay_lost(struct worker *worker, int64_t client)
{
    if (worker->replays && worker->replays->list[client].intended_ns != 0)
        end_replay(worker, client, TALLY_REPLAY_FAILED, TALLY_REPLAY_MESSAGE_LOST);
}

bool worker_replay_done(const struct worker *worker)
{
    return !worker->replays || worker->replays->under_way_count == 0;
}

void worker_replay_end(struct worker *worker, bool halted)
{
    struct worker_replays *own = worker->replays;
    int64_t now_ns = clock_now_ns();
    if (!own)
        return;
    for (int64_t i = 0; i < worker->share.count; i++) {
        if (own->list[i].intended_ns == 0)
            continue;
        latency_add_censored(&worker->batch, LATENCY_REPLAY, now_ns - own->list[i].intended_ns, now_ns);
        end_replay(worker, i, halted ? TALLY_REPLAY_UNFINISHED : TALLY_REPLAY_LOST,
                   halted ? TALLY_REPLAY_MESSAGE_UNFINISHED : TALLY_REPLAY_MESSAGE_LOST);
    }
    free(own->list);
    free(own->seen);
    free(own->topics);
    free(own);
    worker->replays = NULL;
}
