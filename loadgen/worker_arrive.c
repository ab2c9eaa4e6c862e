// SPDX-License-Identifier: Apache-2.0
// The arriving part of a worker: clients leave and come back, by a schedule or because their connection was
// lost. An arrival is due at its intended time, and ends with a CONNACK or when it is given up. Between the two
// it may take several connects, with waits between them (backoff.h).
#include "loadgen/worker_state.h"

#include "base/clock.h"
#include "loadgen/due_heap.h"

#include <errno.h>
#include <stdlib.h>

enum { BURST = 256 }; // turns taken before events are looked at
static const int64_t AFTER_TIMEOUT_NS = 2 * NS_PER_S;

struct coming {          // a client's arrival
    int64_t intended_ns; // 0: none is under way
    int32_t waits;       // of the back-off
    int32_t connects;
    bool lost; // ON_LOSS: the loss that was awaited has come
    bool kept; // it left a session, which the target is to keep
};

struct worker_arrivals {
    struct coming *clients; // all of this worker's
    struct due_heap due;    // clients that wait for the time of their connect
    int64_t first, count;   // clients of this worker that take part
    int64_t under_way;
    int64_t unlost; // ON_LOSS: clients whose loss is awaited
    int64_t turn;   // the next
    bool sending;
    bool
        closed; // ON_LOSS: a loss is no arrival any more: the time is over, or nothing is under way in any worker
    int64_t limit_ns; // no further try after that
};

static int64_t end_ns(const struct worker *worker)
{
    return worker->order.at_ns + worker->order.duration_ns;
}

// --- schedules ---------------------------------------------------------------------------------------------

// The next turn: which client, and when. INT64_MAX: there is none.
static int64_t next_turn_ns(struct worker *worker, int64_t *client)
{
    const struct fleet_order *order = &worker->order;
    const struct worker_arrivals *own = worker->arrivals;
    int64_t base = worker->share.first - order->before; // act of the worker's client 0
    if (order->arrivals == FLEET_ARRIVALS_ONCE) {
        if (own->turn >= own->count)
            return INT64_MAX;
        *client = own->first + own->turn;
        return schedule_at(&worker->schedule, base + *client);
    }
    if (order->arrivals != FLEET_ARRIVALS_TURNS)
        return INT64_MAX;
    struct schedule_turn turn = schedule_turn(&worker->schedule, order->goal - order->before,
                                              base + own->first, own->count, own->turn);
    *client = turn.pair - base;
    return turn.intended_ns < end_ns(worker) ? turn.intended_ns : INT64_MAX;
}

// --- an arrival --------------------------------------------------------------------------------------------

static uint64_t chance_of(const struct worker *worker, int64_t client)
{
    const struct coming *coming = &worker->arrivals->clients[client];
    uint64_t seed = chance_bits(worker->order.seed, (uint64_t)(worker->share.first + client));
    return chance_bits(seed, (uint64_t)coming->intended_ns + (uint64_t)coming->waits);
}

// The client connects at `at_ns`, or when its next wait ends.
static void schedule_connect(struct worker *worker, int64_t client, int64_t at_ns, bool wait)
{
    struct coming *coming = &worker->arrivals->clients[client];
    if (wait)
        at_ns += backoff_wait_ns(&worker->order.backoff, coming->waits++, chance_of(worker, client));
    due_heap_put(&worker->arrivals->due, at_ns, client);
}

static void begin_coming(struct worker *worker, int64_t client, int64_t intended_ns)
{
    struct coming *coming = &worker->arrivals->clients[client];
    *coming = (struct coming){.intended_ns = intended_ns, .lost = coming->lost};
    worker->arrivals->under_way++;
    worker_load_begin(worker); // ON_LOSS: the wait for a loss is no time of arrivals
    int64_t first_ns = tally_get(worker->page, TALLY_FIRST_ARRIVAL_NS);
    if (first_ns == 0 || intended_ns < first_ns)
        tally_set(worker->page, TALLY_FIRST_ARRIVAL_NS, intended_ns);
}

static void end_arrival(struct worker *worker, int64_t client)
{
    worker->arrivals->clients[client].intended_ns = 0;
    if (--worker->arrivals->under_way == 0 && worker->order.arrivals == FLEET_ARRIVALS_ON_LOSS)
        worker_load_pause(worker);
}

// An arrival that has not ended: its age goes into the histograms. One that was not due yet has none. The
// engine may still say when the client's connect before began.
static void add_censored(struct worker *worker, int64_t client, int64_t now_ns)
{
    int64_t intended_ns = worker->arrivals->clients[client].intended_ns;
    int64_t begun_ns = worker->setup->engine->begun_ns(worker->run, client);
    if (intended_ns > now_ns)
        return;
    latency_add_censored(&worker->batch, LATENCY_ARRIVAL, now_ns - intended_ns, now_ns);
    latency_add_censored(&worker->batch, LATENCY_ARRIVAL_UNCORRECTED,
                         begun_ns >= intended_ns ? now_ns - begun_ns : 0, now_ns);
}

static void connect_failed(struct worker *worker, int64_t client, enum tally_reason reason, int64_t now_ns)
{
    struct worker_arrivals *own = worker->arrivals;
    if (worker->order.backoff.first_ns > 0 && now_ns < own->limit_ns) {
        schedule_connect(worker, client, now_ns, true);
        return;
    }
    tally_stay_away(worker->page, reason);
    if (reason == REASON_TIMEOUT)
        add_censored(worker, client, now_ns);
    end_arrival(worker, client);
}

static void begin_connect(struct worker *worker, int64_t client, int64_t now_ns)
{
    struct coming *coming = &worker->arrivals->clients[client];
    if (coming->connects++ > 0)
        tally_add(worker->page, TALLY_ARRIVAL_RETRIES, 1);
    tally_add(worker->page, TALLY_BEGUN, 1);
    worker->clients[client] = CLIENT_CONNECTING;
    worker->pending++;
    int code = worker->setup->engine->connect(worker->run, client);
    if (code == 0)
        return;
    worker->clients[client] = CLIENT_ENDED;
    worker->pending--;
    connect_failed(worker, client, tally_reason_of_errno(code), now_ns);
}

static enum leave way_of(const struct worker *worker, int64_t client)
{
    if (worker->order.leave != LEAVE_MIX)
        return worker->order.leave;
    int64_t round = worker->arrivals->turn / worker->arrivals->count;
    return (enum leave)((worker->share.first + client + round) % LEAVE_WAYS);
}

// A client's turn: it leaves if it is connected, and comes back.
static void begin_arrival(struct worker *worker, int64_t client, int64_t turn_ns, int64_t now_ns)
{
    struct worker_arrivals *own = worker->arrivals;
    uint8_t state = worker->clients[client];
    tally_add(worker->page, TALLY_ARRIVAL_DUE, 1);
    if (own->clients[client].intended_ns != 0 || state == CLIENT_CONNECTING || state == CLIENT_CLOSING) {
        tally_add(worker->page, TALLY_ARRIVAL_NOT_SENT, 1);
        return;
    }
    if (worker->order.rate_per_s > 0)
        latency_add(&worker->batch, LATENCY_LAG, now_ns - turn_ns, now_ns);
    int64_t intended_ns = turn_ns + worker->order.away_ns;
    begin_coming(worker, client, intended_ns);
    if (!worker_is_open(state)) {
        schedule_connect(worker, client, intended_ns, worker->order.wait_first);
        return;
    }
    // If it cannot leave, it has just lost its connection, and the event that reports that follows.
    if (worker->setup->engine->close_client(worker->run, client, way_of(worker, client)) < 0)
        return;
    if (state == CLIENT_SUBSCRIBING) {
        tally_add(worker->page, TALLY_SUBSCRIBE_FAILED, 1);
        worker->subscribing--;
        worker->pending--;
    }
    own->clients[client].kept = worker->setup->keep_sessions;
    worker->clients[client] = CLIENT_CLOSING;
    worker->pending++;
}

// --- events ------------------------------------------------------------------------------------------------

static void on_arrived(struct worker *worker, const struct engine_event *event)
{
    int64_t intended_ns = worker->arrivals->clients[event->client].intended_ns;
    latency_add(&worker->batch, LATENCY_ARRIVAL, event->at_ns - intended_ns, event->at_ns);
    latency_add(&worker->batch, LATENCY_ARRIVAL_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
    tally_add(worker->page, TALLY_ARRIVED, 1);
    tally_add(worker->page, TALLY_OPEN, 1);
    if (event->session_present)
        tally_add(worker->page, TALLY_RESUMED, 1);
    else if (worker->arrivals->clients[event->client].kept)
        tally_add(worker->page, TALLY_SESSION_LOST, 1);
    if (event->at_ns > tally_get(worker->page, TALLY_LAST_ARRIVED_NS))
        tally_set(worker->page, TALLY_LAST_ARRIVED_NS, event->at_ns);
    if (worker->setup->arrival_times)
        worker->setup->arrival_times[worker->share.first + event->client - worker->order.before] =
            (struct arrival_time){
                .intended_ns = intended_ns, .started_ns = event->started_ns, .ended_ns = event->at_ns};
    end_arrival(worker, event->client);
    worker_connect_subscribe(worker, event->client, event->session_present);
}

// The client is connected, and its arrival has failed: it is closed, and its end is of no order.
static void end_late_arrival(struct worker *worker, const struct engine_event *event)
{
    worker->pending--;
    worker->clients[event->client] = CLIENT_ENDED;
    (void)!worker->setup->engine->close_client(worker->run, event->client,
                                               LEAVE_DISCONNECT); // -errno: it has ended
    connect_failed(worker, event->client, REASON_TIMEOUT, event->at_ns);
}

bool worker_arrive_awaits(const struct worker *worker, int64_t client)
{
    const struct worker_arrivals *own = worker->arrivals;
    return worker->order.arrivals == FLEET_ARRIVALS_ON_LOSS && !own->closed && client >= own->first &&
           client < own->first + own->count && own->clients[client].intended_ns == 0;
}

static void set_limits(struct worker *worker, int64_t from_ns)
{
    worker->arrivals->limit_ns = from_ns + worker->order.away_ns + worker->order.drain_ns;
    // The engine ends a connect at its time-out, or somewhat later; its answer counts, not this deadline.
    worker->deadline_ns = worker->arrivals->limit_ns + worker->setup->timeout_ns + AFTER_TIMEOUT_NS;
}

static void on_left(struct worker *worker, const struct engine_event *event)
{
    struct worker_arrivals *own = worker->arrivals;
    struct coming *coming = &own->clients[event->client];
    if (coming->intended_ns == 0) {
        if (!worker_arrive_awaits(worker, event->client))
            return;
        tally_add(worker->page, TALLY_ARRIVAL_DUE, 1);
        begin_coming(worker, event->client, event->at_ns);
        own->unlost -= !coming->lost; // a client may be lost again after it came back
        coming->lost = true;
        if (!own->sending) // it tries as long as others did
            set_limits(worker, event->at_ns);
    }
    schedule_connect(worker, event->client, coming->intended_ns, worker->order.wait_first);
}

void worker_arrive_event(struct worker *worker, const struct engine_event *event)
{
    // Connects that waited for room in the engine's window begin when others end: they get their whole time.
    int64_t until_ns = event->at_ns + worker->setup->timeout_ns + AFTER_TIMEOUT_NS;
    if (!worker->arrivals->sending && worker->deadline_ns < until_ns)
        worker->deadline_ns = until_ns;
    switch (event->kind) {
    case ENGINE_CONNECTED:
        if (worker_came_too_late(worker, event))
            end_late_arrival(worker, event);
        else
            on_arrived(worker, event);
        break;
    case ENGINE_FAILED:
        worker->pending--;
        connect_failed(worker, event->client, worker_failure(worker, event), event->at_ns);
        break;
    default:
        on_left(worker, event);
        break;
    }
}

// --- the order ---------------------------------------------------------------------------------------------

int worker_arrive_begin(struct worker *worker)
{
    const struct fleet_order *order = &worker->order;
    struct worker_arrivals *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    worker->arrivals = own;
    own->first = plan_goal(worker->share, order->before);
    own->count = plan_goal(worker->share, order->goal) - own->first;
    own->sending = true;
    own->limit_ns = INT64_MAX;
    own->clients = calloc((size_t)worker->share.count + 1, sizeof *own->clients);
    if (!own->clients || due_heap_open(&own->due, worker->share.count) < 0)
        return -ENOMEM;
    for (int64_t i = own->first; i < own->first + own->count; i++)
        own->unlost += worker_is_open(worker->clients[i]);
    return 0;
}

// Begins the turns that are due. Returns the time of the next one.
static int64_t take_due_turns(struct worker *worker, int64_t now_ns)
{
    int64_t client = 0;
    for (int i = 0; i < BURST; i++) {
        int64_t turn_ns = next_turn_ns(worker, &client);
        if (turn_ns > now_ns)
            return turn_ns;
        begin_arrival(worker, client, turn_ns, now_ns);
        worker->arrivals->turn++;
        if (worker->order.rate_per_s > 0)
            now_ns = clock_now_ns();
    }
    return now_ns;
}

static bool is_over(const struct worker *worker, int64_t next_turn_ns, int64_t now_ns)
{
    if (worker->order.arrivals == FLEET_ARRIVALS_ON_LOSS)
        return worker->arrivals->unlost <= 0 || now_ns >= end_ns(worker);
    return next_turn_ns == INT64_MAX &&
           (worker->order.arrivals == FLEET_ARRIVALS_ONCE || now_ns >= end_ns(worker));
}

int64_t worker_arrive_tick(struct worker *worker, int64_t now_ns)
{
    struct worker_arrivals *own = worker->arrivals;
    if (worker->order.arrivals != FLEET_ARRIVALS_ON_LOSS)
        worker_load_begin(worker);
    int64_t client, next_ns = own->sending ? take_due_turns(worker, now_ns) : INT64_MAX;
    while (due_heap_take(&own->due, now_ns, &client))
        begin_connect(worker, client, now_ns);
    if (own->sending && is_over(worker, next_ns, now_ns)) {
        own->sending = false;
        set_limits(worker, now_ns);
    }
    if (next_ns == INT64_MAX)
        next_ns = own->sending ? end_ns(worker) : worker->deadline_ns;
    if (due_heap_first_ns(&own->due) < next_ns)
        next_ns = due_heap_first_ns(&own->due);
    return worker_await_turn(worker, next_ns, now_ns);
}

bool worker_arrive_done(struct worker *worker, int64_t now_ns)
{
    struct worker_arrivals *own = worker->arrivals;
    if (own->sending)
        return false;
    worker_connect_forget_subscribes(worker, now_ns);
    bool rests = own->under_way == 0 && worker->pending == 0;
    if (worker->order.arrivals == FLEET_ARRIVALS_ON_LOSS && !own->closed) {
        fleet_worker_rest(worker->fleet, rests);
        own->closed = now_ns >= end_ns(worker) || fleet_worker_all_rest(worker->fleet);
        if (rests)
            return own->closed;
    }
    return rests || worker_is_past(worker, worker->deadline_ns, now_ns);
}

// The order was broken off: turns that were due by now and were not taken count as not sent.
static void count_unsent(struct worker *worker)
{
    int64_t client, now_ns = clock_now_ns();
    while (next_turn_ns(worker, &client) <= now_ns) {
        tally_add(worker->page, TALLY_ARRIVAL_DUE, 1);
        tally_add(worker->page, TALLY_ARRIVAL_NOT_SENT, 1);
        worker->arrivals->turn++;
    }
}

void worker_arrive_end(struct worker *worker, bool halted)
{
    struct worker_arrivals *own = worker->arrivals;
    int64_t now_ns = clock_now_ns();
    if (halted && own->sending)
        count_unsent(worker);
    for (int64_t i = 0; i < worker->share.count; i++) {
        if (own->clients[i].intended_ns == 0)
            continue;
        if (halted || own->clients[i].intended_ns > now_ns)
            tally_add(worker->page, TALLY_ARRIVAL_UNFINISHED, 1);
        else
            tally_stay_away(worker->page, REASON_TIMEOUT);
        add_censored(worker, i, now_ns);
        // Its last event is of no order any more.
        if (worker->clients[i] == CLIENT_CONNECTING)
            worker->clients[i] = CLIENT_ENDED;
        else if (worker->clients[i] == CLIENT_CLOSING)
            worker->clients[i] = CLIENT_OPEN;
    }
    if (worker->order.arrivals == FLEET_ARRIVALS_ON_LOSS)
        tally_add(worker->page, TALLY_NOT_LOST, own->unlost > 0 ? own->unlost : 0);
    worker_connect_give_up_subscribes(worker, halted);
    due_heap_close(&own->due);
    free(own->clients);
    free(own);
    worker->arrivals = NULL;
}
