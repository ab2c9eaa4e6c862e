// SPDX-License-Identifier: Apache-2.0
// What the parts of a worker share (worker.c, worker_publish.c); nobody else's.
#ifndef POOLMARK_LOADGEN_WORKER_STATE_H
#define POOLMARK_LOADGEN_WORKER_STATE_H

#include "loadgen/schedule.h"
#include "loadgen/worker.h"

enum worker_client {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_SUBSCRIBING, // open, and a SUBACK is awaited
    CLIENT_OPEN,
    CLIENT_PROVING, // open, and a sign of life is awaited
    CLIENT_CLOSING,
    CLIENT_ENDED, // failed, dropped or closed
};

// A pair's messages, seen from both ends: publisher and subscriber are in the same worker.
struct worker_pair {
    uint64_t sent;     // sequence of the next message
    uint64_t expected; // sequence that should arrive next; what is below has arrived, or is in `missing`
    uint64_t received, acked;
};

struct worker {
    const struct worker_setup *setup;
    struct fleet_worker *fleet;
    struct tally_page *page;
    struct engine_run *run;
    struct plan_share share;
    uint8_t *clients; // enum worker_client each
    struct latency_batch batch;

    struct fleet_order order;
    struct schedule schedule;
    bool busy;           // an order is being carried out
    int64_t next;        // CONNECT, PROVE, CLOSE: the next client to begin with
    int64_t goal;        // where to end
    int64_t pending;     // begun and not ended
    int64_t deadline_ns; // PROVE, CLOSE: when to give up; PUBLISH: when the drain ends; 0: not yet known
    int64_t cpu_read_ns;

    struct worker_pair *pairs; // PUBLISH: those of this worker
    int64_t first_pair, pair_count;
    int64_t turn; // next of schedule_turn
    uint8_t *payload;
    bool sending; // not yet past the end of the schedule
};

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64]);

// worker_publish.c
int worker_publish_begin(struct worker *worker);
int64_t worker_publish_tick(struct worker *worker, int64_t now_ns); // when to come again
void worker_publish_event(struct worker *worker, const struct engine_event *event);
bool worker_publish_done(struct worker *worker, int64_t now_ns);
void worker_publish_end(struct worker *worker);

#endif
