// SPDX-License-Identifier: Apache-2.0
#include "loadgen/worker.h"

#include "base/clock.h"
#include "base/host.h"
#include "loadgen/worker_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    PROVE_WINDOW = 200,
    CLOSE_WINDOW = 500,
    CPU_EVERY_NS = 50000000,
};
#define EXPECT_NS (1500 * NS_PER_MS)
#define IDLE_NS (3600 * NS_PER_S) // a signal comes before that

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64])
{
    snprintf(topic, 64, "poolmark/%s/%c%lld", worker->setup->prefix, kind, (long long)number);
}

static bool is_open(uint8_t client)
{
    return client == CLIENT_OPEN || client == CLIENT_SUBSCRIBING || client == CLIENT_PROVING ||
           client == CLIENT_CLOSING;
}

// --- events ------------------------------------------------------------------------------------------------

// What the client subscribes to in this order; false: nothing.
static bool wanted_topic(const struct worker *worker, int64_t global, char topic[static 64])
{
    switch (worker->order.subscribe) {
    case FLEET_SUBSCRIBE_OWN:
        worker_topic(worker, 'c', global, topic);
        return true;
    case FLEET_SUBSCRIBE_PAIR:
        if (global % 2 != 0 || global / 2 >= worker->order.pairs)
            return false;
        worker_topic(worker, 'p', global / 2, topic);
        return true;
    default:
        return false;
    }
}

static void on_connected(struct worker *worker, const struct engine_event *event)
{
    int64_t global = worker->share.first + event->client;
    int64_t intended_ns = event->started_ns;
    if (worker->order.rate_per_s > 0)
        intended_ns = schedule_at(&worker->schedule, global - worker->order.before);
    latency_add(&worker->batch, LATENCY_CONNECT, event->at_ns - intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_CONNECT_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
    tally_add(worker->page, TALLY_CONNECTED, 1);
    tally_add(worker->page, TALLY_OPEN, 1);
    int64_t first_ns = tally_get(worker->page, TALLY_FIRST_START_NS);
    if (first_ns == 0 || event->started_ns < first_ns)
        tally_set(worker->page, TALLY_FIRST_START_NS, event->started_ns);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_CONNECTED_NS))
        tally_set(worker->page, TALLY_LAST_CONNECTED_NS, event->at_ns);

    worker->clients[event->client] = CLIENT_OPEN;
    char topic[64];
    if (wanted_topic(worker, global, topic) &&
        worker->setup->engine->subscribe(worker->run, event->client, topic, worker->order.qos) == 0)
        worker->clients[event->client] = CLIENT_SUBSCRIBING; // still pending
    else
        worker->pending--;
}

static void on_ended(struct worker *worker, const struct engine_event *event)
{
    uint8_t *client = &worker->clients[event->client];
    if (event->kind == ENGINE_FAILED) {
        tally_fail(worker->page, event->reason);
    } else {
        tally_add(worker->page, TALLY_OPEN, -1);
        if (event->kind == ENGINE_CLOSED || *client == CLIENT_CLOSING)
            tally_add(worker->page, TALLY_CLOSED, 1);
        else
            tally_drop(worker->page, event->reason);
    }
    if (*client != CLIENT_OPEN)
        worker->pending--;
    *client = CLIENT_ENDED;
}

static void on_proven(struct worker *worker, int64_t client)
{
    if (worker->clients[client] != CLIENT_PROVING)
        return;
    worker->clients[client] = CLIENT_OPEN;
    worker->pending--;
    tally_add(worker->page, TALLY_PROVEN, 1);
}

static void on_event(void *context, const struct engine_event *event)
{
    struct worker *worker = context;
    uint8_t *client = &worker->clients[event->client];
    switch (event->kind) {
    case ENGINE_CONNECTED:
        on_connected(worker, event);
        break;
    case ENGINE_FAILED:
    case ENGINE_DROPPED:
    case ENGINE_CLOSED:
        on_ended(worker, event);
        break;
    case ENGINE_SUBSCRIBED:
    case ENGINE_REFUSED:
        if (*client != CLIENT_SUBSCRIBING)
            break;
        *client = CLIENT_OPEN;
        worker->pending--;
        if (event->kind == ENGINE_SUBSCRIBED)
            tally_add(worker->page, TALLY_SUBSCRIBED, 1);
        else // connected, and not of the use it was meant for
            tally_drop(worker->page, REASON_SUBSCRIBE_REFUSED);
        break;
    case ENGINE_PONG:
        on_proven(worker, event->client);
        break;
    case ENGINE_ACKED:
        if (*client == CLIENT_PROVING) {
            on_proven(worker, event->client);
            break;
        }
        worker_publish_event(worker, event);
        break;
    case ENGINE_MESSAGE:
        worker_publish_event(worker, event);
        break;
    }
}

// --- orders ------------------------------------------------------------------------------------------------

static void begin_order(struct worker *worker)
{
    worker->busy = true;
    worker->pending = 0;
    worker->deadline_ns = 0;
    worker->schedule =
        (struct schedule){.start_ns = worker->order.at_ns, .rate_per_s = worker->order.rate_per_s};
    switch (worker->order.act) {
    case FLEET_CONNECT:
        worker->goal = plan_goal(worker->share, worker->order.goal);
        worker->next = plan_goal(worker->share, worker->order.before);
        break;
    case FLEET_PUBLISH:
        if (worker_publish_begin(worker) < 0)
            abort(); // out of memory for what a run needs: the parent counts this worker as dead
        break;
    case FLEET_PROVE:
    case FLEET_CLOSE:
        worker->next = 0;
        worker->goal = worker->share.count;
        break;
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// When to look again before something that is to begin at `at_ns`; lets the engine get ready for it.
static int64_t await_turn(struct worker *worker, int64_t at_ns, int64_t now_ns)
{
    const struct engine *engine = worker->setup->engine;
    if (!engine->expect)
        return at_ns;
    if (at_ns - now_ns > EXPECT_NS)
        return at_ns - EXPECT_NS;
    engine->expect(worker->run);
    return at_ns;
}

// Begins every connect that is due; gives the time when the next one is.
static int64_t connect_tick(struct worker *worker, int64_t now_ns)
{
    if (worker->order.gated && !fleet_worker_admitted(worker->fleet))
        return now_ns + IDLE_NS;
    while (worker->next < worker->goal) {
        int64_t act = worker->share.first + worker->next - worker->order.before;
        int64_t intended_ns = schedule_at(&worker->schedule, act);
        if (intended_ns > now_ns)
            return await_turn(worker, intended_ns, now_ns);
        if (worker->order.rate_per_s > 0)
            latency_add(&worker->batch, LATENCY_LAG, now_ns - intended_ns, now_ns);
        int64_t client = worker->next++;
        tally_add(worker->page, TALLY_STARTED, 1);
        worker->clients[client] = CLIENT_CONNECTING;
        worker->pending++;
        int code = worker->setup->engine->connect(worker->run, client);
        if (code < 0) {
            worker->clients[client] = CLIENT_ENDED;
            worker->pending--;
            tally_fail(worker->page, tally_reason_of_errno(code));
        }
        if (worker->order.rate_per_s > 0)
            now_ns = clock_now_ns();
    }
    return now_ns + IDLE_NS;
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

// PROVE and CLOSE: a window of clients under way at a time.
static int64_t sweep_tick(struct worker *worker, int64_t now_ns)
{
    bool prove = worker->order.act == FLEET_PROVE;
    if (worker->order.gated && !fleet_worker_admitted(worker->fleet))
        return now_ns + IDLE_NS;
    if (worker->deadline_ns == 0)
        worker->deadline_ns = now_ns + worker->order.drain_ns;
    while (worker->next < worker->goal && worker->pending < (prove ? PROVE_WINDOW : CLOSE_WINDOW)) {
        int64_t client = worker->next++;
        if (!is_open(worker->clients[client]))
            continue;
        worker->clients[client] = prove ? CLIENT_PROVING : CLIENT_CLOSING;
        worker->pending++;
        int code =
            prove ? ask_for_life(worker, client) : worker->setup->engine->close_client(worker->run, client);
        if (code < 0) { // its end is told by an event, or was
            worker->clients[client] = CLIENT_OPEN;
            worker->pending--;
        }
    }
    return worker->deadline_ns;
}

static bool order_done(struct worker *worker, int64_t now_ns)
{
    switch (worker->order.act) {
    case FLEET_CONNECT:
        return worker->next >= worker->goal && worker->pending == 0;
    case FLEET_PUBLISH:
        return worker_publish_done(worker, now_ns);
    case FLEET_PROVE:
    case FLEET_CLOSE:
        return worker->deadline_ns > 0 &&
               (now_ns >= worker->deadline_ns || (worker->next >= worker->goal && worker->pending == 0));
    }
    return true;
}

static void end_order(struct worker *worker)
{
    if (worker->order.act == FLEET_PUBLISH)
        worker_publish_end(worker);
    for (int64_t i = 0; worker->order.act == FLEET_PROVE && i < worker->share.count; i++)
        if (worker->clients[i] == CLIENT_PROVING) // gave no sign: still open, and not proven
            worker->clients[i] = CLIENT_OPEN;
    latency_flush(&worker->batch);
    tally_set(worker->page, TALLY_CPU_NS, clock_cpu_ns());
    worker->busy = false;
    fleet_worker_done(worker->fleet);
}

// Does what is due; gives the time at which to look again.
static int64_t tick(struct worker *worker)
{
    int64_t now_ns = clock_now_ns();
    if (!worker->busy && fleet_worker_take(worker->fleet, &worker->order))
        begin_order(worker);
    int64_t until_ns = now_ns + IDLE_NS;
    if (worker->busy && now_ns < worker->order.at_ns) {
        until_ns = await_turn(worker, worker->order.at_ns, now_ns);
    } else if (worker->busy) {
        if (worker->order.act == FLEET_CONNECT)
            until_ns = connect_tick(worker, now_ns);
        else if (worker->order.act == FLEET_PUBLISH)
            until_ns = worker_publish_tick(worker, now_ns);
        else
            until_ns = sweep_tick(worker, now_ns);
        if (order_done(worker, now_ns)) {
            end_order(worker);
            until_ns = now_ns + IDLE_NS;
        }
    }
    latency_flush_old(&worker->batch, now_ns);
    if (worker->batch.count > 0 && until_ns > now_ns + 100 * NS_PER_MS)
        until_ns = now_ns + 100 * NS_PER_MS;
    if (now_ns - worker->cpu_read_ns >= CPU_EVERY_NS) {
        worker->cpu_read_ns = now_ns;
        tally_set(worker->page, TALLY_CPU_NS, clock_cpu_ns());
    }
    return later(until_ns, now_ns);
}

// --- the process -------------------------------------------------------------------------------------------

static int worker_open(struct worker *worker, struct err *err)
{
    const struct worker_setup *setup = worker->setup;
    int64_t limit;
    int code = host_raise_nofile(&limit, err);
    if (code < 0)
        return code;
    // A sleep until an intended time should end then, not 50 us later.
    prctl(PR_SET_TIMERSLACK, 1UL);
    worker->clients = calloc((size_t)worker->share.count + 1, 1);
    if (!worker->clients)
        return err_set(err, -ENOMEM, "out of memory for %lld clients", (long long)worker->share.count);
    struct engine_config config = {
        .plan = setup->plan,
        .first = worker->share.first,
        .clients = worker->share.count > 0 ? worker->share.count : 1,
        .prefix = setup->prefix,
        .timeout_ns = setup->timeout_ns,
        .keep_alive_s = setup->keep_alive_s,
        .window = setup->window,
        .listener = on_event,
        .context = worker,
    };
    return setup->engine->open(&worker->run, &config, err);
}

int worker_run(struct fleet_worker *fleet_worker, void *context)
{
    const struct worker_setup *setup = context;
    struct worker worker = {.setup = setup, .fleet = fleet_worker, .page = fleet_worker_page(fleet_worker)};
    worker.share = plan_share(setup->plan, setup->rank, fleet_worker_number(fleet_worker));
    worker.batch.shared = setup->latency;
    worker.batch.stripe = fleet_worker_number(fleet_worker);
    struct err err = {0};
    if (worker_open(&worker, &err) < 0) {
        fleet_worker_complain(fleet_worker, err.text);
        return EXIT_FAILED;
    }
    fleet_worker_ready(fleet_worker);
    while (!fleet_worker_stopped(fleet_worker))
        setup->engine->step(worker.run, tick(&worker));
    latency_flush(&worker.batch);
    tally_set(worker.page, TALLY_CPU_NS, clock_cpu_ns());
    // The process ends here and the kernel closes what is open: faster than any order of our own.
    return EXIT_OK;
}

bool worker_concerns(void *context, int number, const struct fleet_order *order)
{
    const struct worker_setup *setup = context;
    struct plan_share share = plan_share(setup->plan, setup->rank, number);
    switch (order->act) {
    case FLEET_CONNECT:
        return plan_goal(share, order->goal) > plan_goal(share, order->before);
    case FLEET_PUBLISH:
        return share.count > 0 && share.first < 2 * order->pairs;
    default:
        return share.count > 0;
    }
}

int64_t worker_clients(void *context, int number)
{
    const struct worker_setup *setup = context;
    return plan_share(setup->plan, setup->rank, number).count;
}
