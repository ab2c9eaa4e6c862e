// SPDX-License-Identifier: Apache-2.0
#include "loadgen/worker.h"

#include "base/clock.h"
#include "base/host.h"
#include "loadgen/worker_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum {
    CPU_EVERY_NS = 50000000,
};
#define LOOK_NS (100 * NS_PER_MS) // longest time between two ticks of a busy worker

// --- events ------------------------------------------------------------------------------------------------

static void on_lost(struct worker *worker, const struct engine_event *event)
{
    uint8_t client = worker->clients[event->client];
    bool back = worker_return_lost(worker, event);
    tally_add(worker->page, TALLY_OPEN, -1);
    worker_receive_lost(worker, event->client);
    if (worker->changes)
        worker_subscribe_lost(worker, event->client);
    if (worker->retains)
        worker_retain_lost(worker, event->client);
    if (event->kind == ENGINE_CLOSED || client == CLIENT_CLOSING)
        tally_add(worker->page, TALLY_CLOSED, 1);
    else if (worker->arrivals && worker_arrive_awaits(worker, event->client))
        ;                                           // a loss that was awaited is an arrival that is due
    else if (worker_is_slow(worker, event->client)) // the target may end them: that is an outcome, not a loss
        tally_close_slow(worker->page, event->reason);
    else if (!back && client != CLIENT_USELESS) // a useless client was counted already
        tally_drop(worker->page, event->reason);
    if (client == CLIENT_SUBSCRIBING) {
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
        worker->subscribing--;
    }
    if (client == CLIENT_RESUBSCRIBING)
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
    if (client == CLIENT_PROVING)
        tally_add(worker->page, TALLY_PROVE_FAILED, 1);
    if (client == CLIENT_SUBSCRIBING || client == CLIENT_PROVING || client == CLIENT_CLOSING)
        worker->pending--;
    if (!back)
        worker->clients[event->client] = CLIENT_ENDED;
}

static void on_connect(struct worker *worker, const struct engine_event *event)
{
    struct engine_event own = *event;
    if (event->ports_passed > 0)
        tally_add(worker->page, TALLY_PORTS_PASSED, event->ports_passed);
    // A clean session has none before it, whatever the target says: its client subscribes.
    if (event->session_present && !worker->setup->keep_sessions) {
        tally_add(worker->page, TALLY_SESSION_UNASKED, 1);
        own.session_present = false;
    }
    if (worker->arrivals)
        worker_arrive_event(worker, &own);
    else if (!worker_return_event(worker, &own))
        worker_connect_event(worker, &own);
}

static void begin_order(struct worker *worker);

static void on_event(void *context, const struct engine_event *event)
{
    struct worker *worker = context;
    // A message of an order that this worker has not taken yet: publishers of other workers were faster.
    if (event->kind == ENGINE_MESSAGE && !worker->busy && fleet_worker_take(worker->fleet, &worker->order))
        begin_order(worker);
    uint8_t *client = &worker->clients[event->client];
    worker->heard = true;
    if (*client == CLIENT_ENDED) { // its connect was given up with an order that was broken off
        if (event->kind == ENGINE_CONNECTED)
            (void)!worker->setup->engine->close_client(worker->run, event->client, LEAVE_DISCONNECT);
        return;
    }
    switch (event->kind) {
    case ENGINE_CONNECTED:
        on_connect(worker, event);
        break;
    case ENGINE_FAILED:
        *client = CLIENT_ENDED;
        on_connect(worker, event);
        break;
    case ENGINE_DROPPED:
    case ENGINE_CLOSED:
        on_lost(worker, event);
        if (worker->arrivals)
            worker_arrive_event(worker, event);
        break;
    case ENGINE_SUBSCRIBED:
    case ENGINE_REFUSED:
        if (worker_return_answered(worker, event))
            break;
        if (worker->changes)
            worker_subscribe_event(worker, event);
        else
            worker_connect_event(worker, event);
        break;
    case ENGINE_UNSUBSCRIBED:
        if (worker->changes)
            worker_subscribe_event(worker, event);
        break;
    case ENGINE_PONG:
        worker_sweep_proven(worker, event->client);
        break;
    case ENGINE_ACKED:
        if (*client == CLIENT_PROVING) {
            worker_sweep_proven(worker, event->client);
            break;
        }
        if (worker->retains)
            worker_retain_acked(worker, event);
        else
            worker_publish_event(worker, event);
        break;
    case ENGINE_MESSAGE:
        if (worker->replays)
            worker_replay_message(worker, event);
        else
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
    worker->arrived = false;
    worker->load_stage = LOAD_NONE;
    worker->schedule = (struct schedule){.start_ns = worker->order.at_ns,
                                         .rate_per_s = worker->order.rate_per_s,
                                         .shape = worker->order.shape};
    switch (worker->order.act) {
    case FLEET_CONNECT:
        if (worker_connect_begin(worker) < 0)
            worker_has_no_memory(worker);
        break;
    case FLEET_PUBLISH:
        if (worker_publish_begin(worker) < 0)
            worker_has_no_memory(worker);
        break;
    case FLEET_PROVE:
    case FLEET_CLOSE:
        if (worker->order.act == FLEET_CLOSE)
            worker_return_stop(worker, false);
        worker_sweep_begin(worker);
        break;
    case FLEET_ARRIVE:
        if (worker_arrive_begin(worker) < 0)
            worker_has_no_memory(worker);
        break;
    case FLEET_SUBSCRIBE:
        if (worker_subscribe_begin(worker) < 0)
            worker_has_no_memory(worker);
        break;
    case FLEET_RETAIN:
        if (worker_retain_begin(worker) < 0)
            worker_has_no_memory(worker);
        break;
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool order_done(struct worker *worker, int64_t now_ns)
{
    switch (worker->order.act) {
    case FLEET_CONNECT:
        return worker_connect_done(worker, now_ns);
    case FLEET_PUBLISH:
        return worker_publish_done(worker, now_ns);
    case FLEET_PROVE:
    case FLEET_CLOSE:
        return worker_sweep_done(worker, now_ns);
    case FLEET_ARRIVE:
        return worker_arrive_done(worker, now_ns);
    case FLEET_SUBSCRIBE:
        return worker_subscribe_done(worker, now_ns);
    case FLEET_RETAIN:
        return worker_retain_done(worker, now_ns);
    }
    return true;
}

// CPU time, and bytes sent and received, so far.
static void count_spent(struct worker *worker)
{
    int64_t sent = 0, received = 0;
    if (worker->setup->engine->bytes)
        worker->setup->engine->bytes(worker->run, &sent, &received);
    tally_set(worker->page, TALLY_BYTES_SENT, sent);
    tally_set(worker->page, TALLY_BYTES_RECEIVED, received);
    tally_set(worker->page, TALLY_CPU_NS, clock_cpu_ns());
}

static void end_order(struct worker *worker, int64_t now_ns)
{
    bool halted = fleet_worker_halted(worker->fleet);
    worker_load_end(worker);
    if (worker->order.act == FLEET_PUBLISH)
        worker_publish_end(worker, halted);
    else if (worker->order.act == FLEET_ARRIVE)
        worker_arrive_end(worker, halted);
    else if (worker->order.act == FLEET_SUBSCRIBE)
        worker_subscribe_end(worker, halted);
    else if (worker->order.act == FLEET_RETAIN)
        worker_retain_end(worker, halted);
    else if (worker->order.act != FLEET_CONNECT)
        worker_sweep_end(worker, halted);
    else if (halted)
        worker_connect_halt(worker, now_ns);
    if (halted)
        worker_return_stop(worker, true);
    latency_flush(&worker->batch);
    count_spent(worker);
    worker->busy = false;
    fleet_worker_done(worker->fleet);
}

static int64_t act(struct worker *worker, int64_t now_ns)
{
    if (worker->order.act == FLEET_CONNECT)
        return worker_connect_tick(worker, now_ns);
    if (worker->order.act == FLEET_ARRIVE)
        return worker_arrive_tick(worker, now_ns);
    if (worker->order.act == FLEET_SUBSCRIBE)
        return worker_subscribe_tick(worker, now_ns);
    if (worker->order.act == FLEET_RETAIN)
        return worker_retain_tick(worker, now_ns);
    if (worker->order.act != FLEET_PUBLISH)
        return worker_sweep_tick(worker, now_ns);
    int64_t slow_ns = worker_slow_tick(worker, now_ns), next_ns = worker_publish_tick(worker, now_ns);
    return slow_ns < next_ns ? slow_ns : next_ns;
}

// If this process was kept from running, every deadline moves, so that peers keep their time to answer.
static void look_for_stall(struct worker *worker, int64_t now_ns)
{
    int64_t late_ns = now_ns - worker->next_tick_ns;
    if (worker->next_tick_ns == 0 || late_ns < WORKER_HELD_NS)
        return;
    worker->held_ns += late_ns;
    if (late_ns < WORKER_STALL_NS)
        return;
    worker->stall_ended_ns = now_ns;
    tally_add(worker->page, TALLY_STALLED_NS, late_ns);
    if (worker->deadline_ns > 0)
        worker->deadline_ns += late_ns;
    worker->subscribe_ns += late_ns;
}

// Begins the acts that are due. Returns the time of the next tick.
static int64_t tick(struct worker *worker)
{
    int64_t now_ns = clock_now_ns();
    look_for_stall(worker, now_ns);
    if (!worker->busy && fleet_worker_take(worker->fleet, &worker->order))
        begin_order(worker);
    int64_t until_ns = now_ns + WORKER_IDLE_NS;
    bool halted = worker->busy && fleet_worker_halted(worker->fleet);
    if (worker->busy && !halted && now_ns < worker->order.at_ns) {
        until_ns = worker_await_turn(worker, worker->order.at_ns, now_ns);
    } else if (worker->busy) {
        if (!halted)
            until_ns = act(worker, now_ns);
        if (halted || order_done(worker, now_ns)) {
            end_order(worker, now_ns);
            until_ns = now_ns + WORKER_IDLE_NS;
        }
    }
    int64_t return_ns = worker_return_tick(worker, now_ns);
    until_ns = return_ns < until_ns ? return_ns : until_ns;
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
        count_spent(worker);
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
    // A sleep until an intended time should end at that time, not 50 us later.
    prctl(PR_SET_TIMERSLACK, 1UL);
    worker->clients = calloc((size_t)worker->share.count + 1, 1);
    const struct identity *identity = setup->identity ? setup->identity : identity_plain();
    const struct identity *topics = setup->topics ? setup->topics : identity;
    worker->name = malloc(WORKER_NAME_BYTES + identity->topic_bytes + identity->texts_bytes +
                          topics->topic_bytes + topics->texts_bytes);
    if (!worker->clients || !worker->name)
        return err_set(err, -ENOMEM, "out of memory for %lld clients", (long long)worker->share.count);
    struct engine_config config = {
        .plan = setup->plan,
        .first = worker->share.first,
        .clients = worker->share.count > 0 ? worker->share.count : 1,
        .prefix = setup->prefix,
        .identity = setup->identity,
        .payloads = setup->payloads,
        .timeout_ns = setup->timeout_ns,
        .keep_alive_s = setup->keep_alive_s,
        .window = setup->window,
        .keep_sessions = setup->keep_sessions,
        .listener = on_event,
        .context = worker,
    };
    if (worker_return_open(worker) < 0)
        return err_set(err, -ENOMEM, "out of memory for %lld clients", (long long)worker->share.count);
    return setup->engine->open(&worker->run, &config, err);
}

static int64_t place_of(const struct worker_setup *setup, int number)
{
    return setup->places ? setup->places[number]
                         : setup->place + plan_share(setup->plan, setup->rank, number).first;
}

int worker_run(struct fleet_worker *fleet_worker, void *context)
{
    const struct worker_setup *setup = context;
    struct worker worker = {.setup = setup, .fleet = fleet_worker, .page = fleet_worker_page(fleet_worker)};
    worker.share = plan_share(setup->plan, setup->rank, fleet_worker_number(fleet_worker));
    worker.place = place_of(setup, fleet_worker_number(fleet_worker));
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
    count_spent(&worker);
    // The process ends here and the kernel closes its sockets, faster than this code could.
    return EXIT_OK;
}

bool worker_concerns(void *context, int number, const struct fleet_order *order)
{
    const struct worker_setup *setup = context;
    struct plan_share share = plan_share(setup->plan, setup->rank, number);
    switch (order->act) {
    case FLEET_CONNECT:
    case FLEET_ARRIVE:
        return plan_goal(share, order->goal) > plan_goal(share, order->before);
    case FLEET_PUBLISH:
        return share.count > 0 && place_of(setup, number) < pattern_clients(&order->pattern);
    case FLEET_CLOSE:
        if (order->goal > 0)
            return plan_goal(share, order->goal) > plan_goal(share, order->before);
        return share.count > 0;
    default:
        return share.count > 0;
    }
}

int64_t worker_clients(void *context, int number)
{
    const struct worker_setup *setup = context;
    return plan_goal(plan_share(setup->plan, setup->rank, number), setup->connecting);
}
