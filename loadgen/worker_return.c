// SPDX-License-Identifier: Apache-2.0
// The returning part of a worker: clients that try again by themselves, whatever order is being carried out. A client whose first
// connect fails goes on trying, and its order waits for it (worker_connect.c). A client that loses its connection comes back: that is an
// arrival, due at the loss, which ends with a CONNACK or when it is given up, and it subscribes again to what it was to receive.
// Orders in which clients leave and come back have a back-off of their own (worker_arrive.c); a run has one of the two.
#include "loadgen/worker_state.h"

#include "base/clock.h"
#include "loadgen/due_heap.h"

#include <errno.h>
#include <stdlib.h>

struct returning { // a client that is under way
    int64_t
        from_ns; // since when it tries: its loss, or the beginning of its first connect; 0: it is not under way
    int32_t waits;            // of the back-off
    bool first;               // it has not been connected yet
    enum tally_reason reason; // of its last try; REASON_NONE: there was none
};

struct worker_returns {
    struct returning *clients; // all of this worker's
    struct due_heap due;       // those that wait
    struct fleet_order order;  // by which clients connect, and so what they subscribe to
    bool over;                 // the run ends: nobody comes back any more
};

int worker_return_open(struct worker *worker)
{
    if (worker->setup->backoff.first_ns == 0)
        return 0;
    struct worker_returns *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    worker->returns = own;
    own->clients = calloc((size_t)worker->share.count + 1, sizeof *own->clients);
    worker->subscribed_ns = calloc((size_t)worker->share.count + 1, sizeof *worker->subscribed_ns);
    return own->clients && worker->subscribed_ns ? due_heap_open(&own->due, worker->share.count + 1)
                                                 : -ENOMEM;
}

void worker_return_follow(struct worker *worker)
{
    if (worker->returns)
        worker->returns->order = worker->order;
}

bool worker_return_is_back(const struct worker *worker, int64_t client)
{
    const struct worker_returns *own = worker->returns;
    return own && own->clients[client].from_ns != 0 && !own->clients[client].first;
}

// --- tries -------------------------------------------------------------------------------------------------

static void wait_until(struct worker *worker, int64_t client, int64_t at_ns)
{
    worker->clients[client] = CLIENT_WAITING;
    due_heap_put(&worker->returns->due, at_ns, client);
}

static void back_off(struct worker *worker, int64_t client, int64_t from_ns)
{
    struct returning *one = &worker->returns->clients[client];
    uint64_t seed = chance_bits(worker->setup->seed, (uint64_t)(worker->share.first + client));
    uint64_t random = chance_bits(seed, (uint64_t)one->from_ns + (uint64_t)one->waits);
    wait_until(worker, client, from_ns + backoff_wait_ns(&worker->setup->backoff, one->waits++, random));
}

// A try has failed. False: it was the last.
static bool tries_again(struct worker *worker, int64_t client, enum tally_reason reason, int64_t now_ns)
{
    struct returning *one = &worker->returns->clients[client];
    if (worker->returns->over || now_ns >= one->from_ns + worker->setup->give_up_ns)
        return false;
    one->reason = reason;
    back_off(worker, client, now_ns);
    return true;
}

static void add_censored(struct worker *worker, int64_t client, int64_t now_ns)
{
    int64_t from_ns = worker->returns->clients[client].from_ns,
            begun_ns = worker->setup->engine->begun_ns(worker->run, client);
    latency_add_censored(&worker->batch, LATENCY_ARRIVAL, now_ns > from_ns ? now_ns - from_ns : 0, now_ns);
    latency_add_censored(&worker->batch, LATENCY_ARRIVAL_UNCORRECTED,
                         begun_ns >= from_ns ? now_ns - begun_ns : 0, now_ns);
}

static void on_failed(struct worker *worker, int64_t client, enum tally_reason reason, int64_t now_ns)
{
    struct returning *one = &worker->returns->clients[client];
    worker->clients[client] = CLIENT_ENDED;
    if (tries_again(worker, client, reason, now_ns))
        return;
    if (one->first) {
        tally_fail(worker->page, reason);
        worker->pending--;
    } else {
        tally_stay_away(worker->page, reason);
        if (reason == REASON_TIMEOUT)
            add_censored(worker, client, now_ns);
    }
    one->from_ns = 0;
}

static void begin_connect(struct worker *worker, int64_t client, int64_t now_ns)
{
    struct returning *one = &worker->returns->clients[client];
    if (one->first)
        tally_add(worker->page, TALLY_CONNECT_RETRIES, 1);
    else if (one->reason != REASON_NONE)
        tally_add(worker->page, TALLY_ARRIVAL_RETRIES, 1);
    tally_add(worker->page, TALLY_BEGUN, 1);
    worker->clients[client] = CLIENT_CONNECTING;
    int code = worker->setup->engine->connect(worker->run, client);
    if (code < 0)
        on_failed(worker, client, tally_reason_of_errno(code), now_ns);
}

int64_t worker_return_tick(struct worker *worker, int64_t now_ns)
{
    int64_t client;
    if (!worker->returns)
        return INT64_MAX;
    while (due_heap_take(&worker->returns->due, now_ns, &client))
        begin_connect(worker, client, now_ns);
    return due_heap_first_ns(&worker->returns->due);
}

// --- first connects ----------------------------------------------------------------------------------------

bool worker_return_retries(struct worker *worker, int64_t client, enum tally_reason reason, int64_t begun_ns,
                           int64_t now_ns)
{
    if (!worker->returns)
        return false;
    struct returning *one = &worker->returns->clients[client];
    if (one->from_ns == 0)
        *one = (struct returning){.from_ns = begun_ns, .first = true};
    if (tries_again(worker, client, reason, now_ns))
        return true;
    one->from_ns = 0;
    return false;
}

int64_t worker_return_begun_ns(struct worker *worker, int64_t client, int64_t started_ns)
{
    if (!worker->returns || worker->returns->clients[client].from_ns == 0)
        return started_ns;
    int64_t from_ns = worker->returns->clients[client].from_ns;
    worker->returns->clients[client].from_ns = 0;
    return from_ns;
}

// --- clients that were connected ---------------------------------------------------------------------------

bool worker_return_lost(struct worker *worker, const struct engine_event *event)
{
    struct worker_returns *own = worker->returns;
    uint8_t state = worker->clients[event->client];
    if (!own || own->over || event->kind != ENGINE_DROPPED || state == CLIENT_CLOSING ||
        state == CLIENT_USELESS)
        return false;
    // An application that does not read does not learn of the loss before it reads again.
    int64_t from_ns = worker_slow_reads_ns(worker, event->client, event->at_ns);
    if (from_ns == INT64_MAX)
        return false;
    own->clients[event->client] = (struct returning){.from_ns = from_ns};
    tally_add(worker->page, TALLY_ARRIVAL_DUE, 1);
    int64_t first_ns = tally_get(worker->page, TALLY_FIRST_ARRIVAL_NS);
    if (first_ns == 0 || from_ns < first_ns)
        tally_set(worker->page, TALLY_FIRST_ARRIVAL_NS, from_ns);
    if (worker->setup->waits_first)
        back_off(worker, event->client, from_ns);
    else
        wait_until(worker, event->client, from_ns);
    return true;
}

// Subscribes to what the order said by which it once connected. The order that is carried out is another one.
static void subscribe_again(struct worker *worker, int64_t client)
{
    struct fleet_order under_way = worker->order;
    worker->order = worker->returns->order;
    const char *topic = worker_wanted_topic(worker, worker->share.first + client);
    int qos = worker->order.qos;
    worker->order = under_way;
    if (!topic) {
        worker_publish_returned(worker, client);
        return;
    }
    tally_add(worker->page, TALLY_SUBSCRIBE_ASKED, 1);
    worker->clients[client] = CLIENT_RESUBSCRIBING;
    worker->subscribed_ns[client] = INT64_MAX;
    int code = worker->setup->engine->subscribe(worker->run, client, topic, qos);
    if (code == 0)
        return;
    tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
    tally_drop(worker->page, tally_reason_of_errno(code));
    worker->clients[client] = CLIENT_USELESS;
}

static void on_connected(struct worker *worker, const struct engine_event *event)
{
    struct returning *one = &worker->returns->clients[event->client];
    latency_add(&worker->batch, LATENCY_ARRIVAL, event->at_ns - one->from_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_ARRIVAL_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
    tally_add(worker->page, TALLY_ARRIVED, 1);
    tally_add(worker->page, TALLY_OPEN, 1);
    if (event->session_present)
        tally_add(worker->page, TALLY_RESUMED, 1);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_ARRIVED_NS))
        tally_set(worker->page, TALLY_LAST_ARRIVED_NS, event->at_ns);
    one->from_ns = 0;
    worker->clients[event->client] = CLIENT_OPEN;
    if (event->session_present)
        worker_publish_returned(worker, event->client);
    else
        subscribe_again(worker, event->client);
}

bool worker_return_event(struct worker *worker, const struct engine_event *event)
{
    if (!worker_return_is_back(worker, event->client))
        return false;
    if (event->kind == ENGINE_CONNECTED)
        on_connected(worker, event);
    else
        on_failed(worker, event->client, worker_failure(worker, event), event->at_ns);
    return true;
}

bool worker_return_answered(struct worker *worker, const struct engine_event *event)
{
    if (worker->clients[event->client] != CLIENT_RESUBSCRIBING)
        return false;
    if (event->kind != ENGINE_SUBSCRIBED) {
        worker->clients[event->client] = CLIENT_USELESS;
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
        tally_drop(worker->page, REASON_SUBSCRIBE_REFUSED);
        return true;
    }
    int asked = worker->returns->order.qos;
    worker->clients[event->client] = CLIENT_OPEN;
    worker->subscribed_ns[event->client] = event->at_ns;
    tally_add(worker->page, TALLY_SUBSCRIBED, 1);
    if (event->qos != asked)
        tally_add(worker->page, tally_of_qos(TALLY_GRANTED_OTHER, asked, event->qos), 1);
    worker_publish_returned(worker, event->client);
    return true;
}

// --- the end -----------------------------------------------------------------------------------------------

void worker_return_stop(struct worker *worker, bool halted)
{
    struct worker_returns *own = worker->returns;
    int64_t now_ns = clock_now_ns();
    if (!own || own->over)
        return;
    own->over = true;
    due_heap_close(&own->due);
    own->due = (struct due_heap){0};
    for (int64_t i = 0; i < worker->share.count; i++) {
        struct returning *one = &own->clients[i];
        if (worker->clients[i] == CLIENT_RESUBSCRIBING) {
            worker->clients[i] = CLIENT_OPEN;
            tally_add(worker->page, halted ? TALLY_SUBSCRIBE_UNFINISHED : TALLY_SUBSCRIBE_LOST, 1);
        }
        if (!worker_return_is_back(worker, i))
            continue; // a first connect is of its order
        if (!halted && one->reason != REASON_NONE)
            tally_stay_away(worker->page, one->reason);
        else
            tally_add(worker->page, TALLY_ARRIVAL_UNFINISHED, 1);
        add_censored(worker, i, now_ns);
        one->from_ns = 0;
        worker->clients[i] = CLIENT_ENDED; // the last event of its connect is of no order any more
    }
}
