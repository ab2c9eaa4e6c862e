// SPDX-License-Identifier: Apache-2.0
// The connecting part of a worker: connects by schedule or through the gate, and the subscriptions that
// follow.
#include "loadgen/worker_state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

// The intended time of the client's connect; `begun_ns` when there is no schedule.
static int64_t connect_intended_ns(struct worker *worker, int64_t client, int64_t begun_ns)
{
    if (!(worker->order.rate_per_s > 0))
        return begun_ns;
    if (worker->intended_ns)
        return worker->intended_ns[client];
    return schedule_at(&worker->schedule, worker->share.first + client - worker->order.before);
}

// A connect that has not ended: its age goes into the histograms.
static void add_censored_connect(struct worker *worker, int64_t client, int64_t begun_ns, int64_t now_ns)
{
    int64_t intended_ns = connect_intended_ns(worker, client, begun_ns);
    latency_add_censored(&worker->batch, LATENCY_CONNECT, now_ns - intended_ns, now_ns);
    latency_add_censored(&worker->batch, LATENCY_CONNECT_UNCORRECTED, begun_ns > 0 ? now_ns - begun_ns : 0,
                         now_ns);
}

void worker_connect_subscribe(struct worker *worker, int64_t client, bool session_present)
{
    const char *topic = session_present ? NULL : worker_wanted_topic(worker, worker->share.first + client);
    worker->clients[client] = CLIENT_OPEN;
    worker->pending--;
    if (!topic)
        return;
    tally_add(worker->page, TALLY_SUBSCRIBE_ASKED, 1);
    int code = worker->setup->engine->subscribe(worker->run, client, topic, worker->order.qos);
    if (code < 0) { // connected, but useless for this run
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
        tally_drop(worker->page, tally_reason_of_errno(code));
        worker->clients[client] = CLIENT_USELESS;
        return;
    }
    worker->clients[client] = CLIENT_SUBSCRIBING;
    worker->pending++;
    worker->subscribing++;
    worker->subscribe_ns = clock_now_ns();
}

static void fail(struct worker *worker, const struct engine_event *event, enum tally_reason reason);

// True: it was one, and is closed.
static bool came_too_late(struct worker *worker, const struct engine_event *event)
{
    if (!worker_came_too_late(worker, event))
        return false;
    (void)worker_return_begun_ns(worker, event->client, event->started_ns);
    fail(worker, event, REASON_TIMEOUT);
    worker->clients[event->client] = CLIENT_ENDED;
    (void)!worker->setup->engine->close_client(worker->run, event->client,
                                               LEAVE_DISCONNECT); // -errno: it has ended
    return true;
}

static void on_connected(struct worker *worker, const struct engine_event *event)
{
    if (came_too_late(worker, event))
        return;
    int64_t begun_ns = worker_return_begun_ns(worker, event->client, event->started_ns);
    int64_t intended_ns = connect_intended_ns(worker, event->client, begun_ns);
    latency_add(&worker->batch, LATENCY_CONNECT, event->at_ns - intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_CONNECT_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
    tally_add(worker->page, TALLY_CONNECTED, 1);
    tally_add(worker->page, TALLY_OPEN, 1);
    int64_t first_ns = tally_get(worker->page, TALLY_FIRST_START_NS);
    if (first_ns == 0 || event->started_ns < first_ns)
        tally_set(worker->page, TALLY_FIRST_START_NS, event->started_ns);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_CONNECTED_NS))
        tally_set(worker->page, TALLY_LAST_CONNECTED_NS, event->at_ns);

    worker_connect_subscribe(worker, event->client, false);
}

static void fail(struct worker *worker, const struct engine_event *event, enum tally_reason reason)
{
    tally_fail(worker->page, reason);
    if (reason == REASON_TIMEOUT)
        add_censored_connect(worker, event->client, event->started_ns, event->at_ns);
    worker->pending--;
}

static void on_failed(struct worker *worker, const struct engine_event *event)
{
    enum tally_reason reason = worker_failure(worker, event);
    if (!worker_return_retries(worker, event->client, reason, event->started_ns, event->at_ns))
        fail(worker, event, reason);
}

static void on_subscribed(struct worker *worker, const struct engine_event *event)
{
    uint8_t *client = &worker->clients[event->client];
    if (*client != CLIENT_SUBSCRIBING)
        return;
    worker->pending--;
    worker->subscribing--;
    if (event->kind == ENGINE_SUBSCRIBED) {
        *client = CLIENT_OPEN;
        tally_add(worker->page, TALLY_SUBSCRIBED, 1);
        worker_count_qos(worker, event);
        return;
    }
    *client = CLIENT_USELESS;
    tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
    tally_drop(worker->page, REASON_SUBSCRIBE_REFUSED);
}

void worker_connect_event(struct worker *worker, const struct engine_event *event)
{
    if (event->kind == ENGINE_CONNECTED)
        on_connected(worker, event);
    else if (event->kind == ENGINE_FAILED)
        on_failed(worker, event);
    else
        on_subscribed(worker, event);
}

int worker_connect_begin(struct worker *worker)
{
    worker->goal = plan_goal(worker->share, worker->order.goal);
    worker->next = plan_goal(worker->share, worker->order.before);
    worker_return_follow(worker);
    free(worker->intended_ns);
    worker->intended_ns = NULL;
    if (worker->order.shape.kind != SCHEDULE_POISSON)
        return 0;
    worker->intended_ns = calloc((size_t)worker->share.count + 1, sizeof *worker->intended_ns);
    return worker->intended_ns ? 0 : -ENOMEM;
}

// The engine could not begin it.
static void refuse(struct worker *worker, int64_t client, enum tally_reason reason, int64_t now_ns)
{
    worker->clients[client] = CLIENT_ENDED;
    if (worker_return_retries(worker, client, reason, now_ns, now_ns))
        return;
    worker->pending--;
    tally_fail(worker->page, reason);
}

// Begins every connect that is due. Returns the time of the next one.
int64_t worker_connect_tick(struct worker *worker, int64_t now_ns)
{
    if (worker->order.gated && !fleet_worker_admitted(worker->fleet))
        return now_ns + WORKER_IDLE_NS;
    worker_load_begin(worker);
    while (worker->next < worker->goal) {
        int64_t act = worker->share.first + worker->next - worker->order.before;
        int64_t intended_ns = schedule_at(&worker->schedule, act);
        if (intended_ns > now_ns)
            return worker_await_turn(worker, intended_ns, now_ns);
        if (worker->order.rate_per_s > 0)
            latency_add(&worker->batch, LATENCY_LAG, now_ns - intended_ns, now_ns);
        int64_t client = worker->next++;
        if (worker->intended_ns)
            worker->intended_ns[client] = intended_ns;
        tally_add(worker->page, TALLY_STARTED, 1);
        tally_add(worker->page, TALLY_BEGUN, 1);
        worker->clients[client] = CLIENT_CONNECTING;
        worker->pending++;
        int code = worker->setup->engine->connect(worker->run, client);
        if (code < 0)
            refuse(worker, client, tally_reason_of_errno(code), now_ns);
        if (worker->order.rate_per_s > 0)
            now_ns = clock_now_ns();
    }
    return now_ns + WORKER_IDLE_NS;
}

// Gives up clients that have no SUBACK in time: they are connected, but useless for this run.
static void give_up_subscribing(struct worker *worker, enum tally_count counted_as, bool drop)
{
    for (int64_t i = 0; i < worker->share.count; i++) {
        if (worker->clients[i] != CLIENT_SUBSCRIBING)
            continue;
        worker->clients[i] = drop ? CLIENT_USELESS : CLIENT_OPEN;
        worker->pending--;
        worker->subscribing--;
        tally_add(worker->page, counted_as, 1);
        if (drop)
            tally_drop(worker->page, REASON_TIMEOUT);
    }
}

void worker_connect_give_up_subscribes(struct worker *worker, bool halted)
{
    give_up_subscribing(worker, halted ? TALLY_SUBSCRIBE_UNFINISHED : TALLY_SUBSCRIBE_LOST, !halted);
}

void worker_connect_forget_subscribes(struct worker *worker, int64_t now_ns)
{
    if (worker->subscribing > 0 && worker->pending == worker->subscribing &&
        worker_is_past(worker, worker->subscribe_ns + worker->setup->timeout_ns, now_ns))
        worker_connect_give_up_subscribes(worker, false);
}

bool worker_connect_done(struct worker *worker, int64_t now_ns)
{
    worker_connect_forget_subscribes(worker, now_ns);
    return worker->next >= worker->goal && worker->pending == 0;
}

// The order was broken off. A connect under way counts with its age. A connect that the engine has not begun
// counts as not started, unless it was due by a schedule.
void worker_connect_halt(struct worker *worker, int64_t now_ns)
{
    for (int64_t i = 0; i < worker->share.count; i++) {
        bool under_way = worker->clients[i] == CLIENT_CONNECTING || worker->clients[i] == CLIENT_WAITING;
        if (!under_way || worker_return_is_back(worker, i))
            continue;
        worker->clients[i] = CLIENT_ENDED;
        int64_t begun_ns = worker->setup->engine->begun_ns(worker->run, i);
        if (begun_ns == 0 && !(worker->order.rate_per_s > 0))
            continue;
        tally_add(worker->page, TALLY_CONNECT_UNFINISHED, 1);
        add_censored_connect(worker, i, begun_ns, now_ns);
    }
    worker_connect_give_up_subscribes(worker, true);
}
