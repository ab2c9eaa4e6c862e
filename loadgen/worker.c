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
#define READ_NS (5 * NS_PER_S)
#define LOOK_NS (100 * NS_PER_MS)  // so often a busy worker looks at the time
#define STALL_NS (250 * NS_PER_MS) // later than that, it was kept from running
#define IDLE_NS (3600 * NS_PER_S)  // a signal comes before that

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64])
{
    snprintf(topic, 64, "poolmark/%s/%c%lld", worker->setup->prefix, kind, (long long)number);
}

bool worker_is_open(uint8_t client)
{
    return client == CLIENT_OPEN || client == CLIENT_SUBSCRIBING || client == CLIENT_USELESS ||
           client == CLIENT_PROVING || client == CLIENT_CLOSING;
}

// A generator that did not run for a while finds what came meanwhile in its sockets: it reads first. So the
// last step has begun after the deadline and brought nothing; in constant traffic, for so long.
bool worker_is_past(const struct worker *worker, int64_t deadline_ns, int64_t now_ns)
{
    if (now_ns < deadline_ns)
        return false;
    return (worker->tick_ns >= deadline_ns && !worker->heard) || now_ns >= deadline_ns + READ_NS;
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

// When the client's connect was meant to begin; `begun_ns` when there is no schedule.
static int64_t connect_intended_ns(const struct worker *worker, int64_t client, int64_t begun_ns)
{
    if (!(worker->order.rate_per_s > 0))
        return begun_ns;
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

static void subscribe(struct worker *worker, int64_t client)
{
    char topic[64];
    worker->clients[client] = CLIENT_OPEN;
    worker->pending--;
    if (!wanted_topic(worker, worker->share.first + client, topic))
        return;
    tally_add(worker->page, TALLY_SUBSCRIBE_ASKED, 1);
    int code = worker->setup->engine->subscribe(worker->run, client, topic, worker->order.qos);
    if (code < 0) { // connected, and not of the use it was meant for
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

static void on_connected(struct worker *worker, const struct engine_event *event)
{
    int64_t intended_ns = connect_intended_ns(worker, event->client, event->started_ns);
    latency_add(&worker->batch, LATENCY_CONNECT, event->at_ns - intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_CONNECT_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
    tally_add(worker->page, TALLY_CONNECTED, 1);
    tally_add(worker->page, TALLY_OPEN, 1);
    int64_t first_ns = tally_get(worker->page, TALLY_FIRST_START_NS);
    if (first_ns == 0 || event->started_ns < first_ns)
        tally_set(worker->page, TALLY_FIRST_START_NS, event->started_ns);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_CONNECTED_NS))
        tally_set(worker->page, TALLY_LAST_CONNECTED_NS, event->at_ns);

    subscribe(worker, event->client);
}

// A time-out that the generator's own standstill may have caused is not the target's.
static void on_failed(struct worker *worker, const struct engine_event *event)
{
    enum tally_reason reason = event->reason;
    // This may be the first that is heard after it.
    int64_t late_ns = worker->next_tick_ns > 0 ? clock_now_ns() - worker->next_tick_ns : 0;
    if (reason == REASON_TIMEOUT && (worker->stall_ended_ns > event->started_ns || late_ns >= STALL_NS))
        reason = REASON_STALLED;
    tally_fail(worker->page, reason);
    if (reason == REASON_TIMEOUT)
        add_censored_connect(worker, event->client, event->started_ns, event->at_ns);
    worker->pending--;
}

static void on_lost(struct worker *worker, const struct engine_event *event)
{
    uint8_t client = worker->clients[event->client];
    tally_add(worker->page, TALLY_OPEN, -1);
    if (event->kind == ENGINE_CLOSED || client == CLIENT_CLOSING)
        tally_add(worker->page, TALLY_CLOSED, 1);
    else if (client != CLIENT_USELESS) // that one was counted
        tally_drop(worker->page, event->reason);
    if (client == CLIENT_SUBSCRIBING) {
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
        worker->subscribing--;
    }
    if (client == CLIENT_PROVING)
        tally_add(worker->page, TALLY_PROVE_FAILED, 1);
    if (client == CLIENT_SUBSCRIBING || client == CLIENT_PROVING || client == CLIENT_CLOSING)
        worker->pending--;
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
        return;
    }
    *client = CLIENT_USELESS;
    tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
    tally_drop(worker->page, REASON_SUBSCRIBE_REFUSED);
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
    worker->heard = true;
    if (*client == CLIENT_ENDED) // its connect was given up when the order was broken off
        return;
    switch (event->kind) {
    case ENGINE_CONNECTED:
        on_connected(worker, event);
        break;
    case ENGINE_FAILED:
        on_failed(worker, event);
        *client = CLIENT_ENDED;
        break;
    case ENGINE_DROPPED:
    case ENGINE_CLOSED:
        on_lost(worker, event);
        *client = CLIENT_ENDED;
        break;
    case ENGINE_SUBSCRIBED:
    case ENGINE_REFUSED:
        on_subscribed(worker, event);
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
    worker->subscribing = 0;
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
        uint8_t before = worker->clients[client];
        if (!worker_is_open(before))
            continue;
        worker->clients[client] = prove ? CLIENT_PROVING : CLIENT_CLOSING;
        worker->pending++;
        if (prove)
            tally_add(worker->page, TALLY_PROVE_ASKED, 1);
        int code =
            prove ? ask_for_life(worker, client) : worker->setup->engine->close_client(worker->run, client);
        if (code < 0) { // its end is told by an event, or was
            worker->clients[client] = before;
            worker->pending--;
            if (prove)
                tally_add(worker->page, TALLY_PROVE_FAILED, 1);
        }
    }
    return worker->deadline_ns;
}

// No SUBACK in time: connected, and not of the use they were meant for.
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

static bool connects_done(struct worker *worker, int64_t now_ns)
{
    if (worker->subscribing > 0 && worker->pending == worker->subscribing &&
        worker_is_past(worker, worker->subscribe_ns + worker->setup->timeout_ns, now_ns))
        give_up_subscribing(worker, TALLY_SUBSCRIBE_LOST, true);
    return worker->next >= worker->goal && worker->pending == 0;
}

static bool order_done(struct worker *worker, int64_t now_ns)
{
    switch (worker->order.act) {
    case FLEET_CONNECT:
        return connects_done(worker, now_ns);
    case FLEET_PUBLISH:
        return worker_publish_done(worker, now_ns);
    case FLEET_PROVE:
    case FLEET_CLOSE:
        return worker->deadline_ns > 0 && ((worker->next >= worker->goal && worker->pending == 0) ||
                                           worker_is_past(worker, worker->deadline_ns, now_ns));
    }
    return true;
}

// The order was broken off: what is under way counts with its age. What the engine has not begun is not
// started, unless a schedule said that it was due.
static void halt_connects(struct worker *worker, int64_t now_ns)
{
    for (int64_t i = 0; i < worker->share.count; i++) {
        if (worker->clients[i] != CLIENT_CONNECTING)
            continue;
        worker->clients[i] = CLIENT_ENDED;
        int64_t begun_ns = worker->setup->engine->begun_ns(worker->run, i);
        if (begun_ns == 0 && !(worker->order.rate_per_s > 0))
            continue;
        tally_add(worker->page, TALLY_CONNECT_UNFINISHED, 1);
        add_censored_connect(worker, i, begun_ns, now_ns);
    }
    give_up_subscribing(worker, TALLY_SUBSCRIBE_UNFINISHED, false);
}

static void end_order(struct worker *worker, int64_t now_ns)
{
    bool halted = fleet_worker_halted(worker->fleet);
    if (worker->order.act == FLEET_PUBLISH)
        worker_publish_end(worker, halted);
    if (worker->order.act == FLEET_CONNECT && halted)
        halt_connects(worker, now_ns);
    for (int64_t i = 0; worker->order.act == FLEET_PROVE && i < worker->share.count; i++)
        if (worker->clients[i] == CLIENT_PROVING) { // gave no sign: still open, and not proven
            worker->clients[i] = CLIENT_OPEN;
            tally_add(worker->page, halted ? TALLY_PROVE_UNFINISHED : TALLY_SILENT, 1);
        }
    latency_flush(&worker->batch);
    tally_set(worker->page, TALLY_CPU_NS, clock_cpu_ns());
    worker->busy = false;
    fleet_worker_done(worker->fleet);
}

static int64_t act(struct worker *worker, int64_t now_ns)
{
    if (worker->order.act == FLEET_CONNECT)
        return connect_tick(worker, now_ns);
    return worker->order.act == FLEET_PUBLISH ? worker_publish_tick(worker, now_ns)
                                              : sweep_tick(worker, now_ns);
}

// Was this process kept from running? Then nobody has less time to answer for it.
static void look_for_stall(struct worker *worker, int64_t now_ns)
{
    int64_t late_ns = now_ns - worker->next_tick_ns;
    if (worker->next_tick_ns == 0 || late_ns < STALL_NS)
        return;
    worker->stall_ended_ns = now_ns;
    tally_add(worker->page, TALLY_STALLED_NS, late_ns);
    if (worker->deadline_ns > 0)
        worker->deadline_ns += late_ns;
    worker->subscribe_ns += late_ns;
}

// Does what is due; gives the time at which to look again.
static int64_t tick(struct worker *worker)
{
    int64_t now_ns = clock_now_ns();
    look_for_stall(worker, now_ns);
    if (!worker->busy && fleet_worker_take(worker->fleet, &worker->order))
        begin_order(worker);
    int64_t until_ns = now_ns + IDLE_NS;
    bool halted = worker->busy && fleet_worker_halted(worker->fleet);
    if (worker->busy && !halted && now_ns < worker->order.at_ns) {
        until_ns = await_turn(worker, worker->order.at_ns, now_ns);
    } else if (worker->busy) {
        if (!halted)
            until_ns = act(worker, now_ns);
        if (halted || order_done(worker, now_ns)) {
            end_order(worker, now_ns);
            until_ns = now_ns + IDLE_NS;
        }
    }
    bool admitted = worker->busy && (!worker->order.gated || fleet_worker_admitted(worker->fleet));
    if (admitted && until_ns > now_ns + LOOK_NS)
        until_ns = now_ns + LOOK_NS;
    worker->tick_ns = now_ns;
    worker->heard = false;
    latency_flush_old(&worker->batch, now_ns);
    if (worker->batch.count > 0 && until_ns > now_ns + 100 * NS_PER_MS)
        until_ns = now_ns + 100 * NS_PER_MS;
    if (now_ns - worker->cpu_read_ns >= CPU_EVERY_NS) {
        worker->cpu_read_ns = now_ns;
        tally_set(worker->page, TALLY_CPU_NS, clock_cpu_ns());
    }
    until_ns = later(until_ns, now_ns);
    worker->next_tick_ns = admitted ? until_ns : 0;
    return until_ns;
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
