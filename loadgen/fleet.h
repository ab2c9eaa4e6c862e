// SPDX-License-Identifier: Apache-2.0
// Worker processes, forked from a small parent. The parent gives them orders in shared memory, notices their
// death, and leaves none behind.
//
// The parent gives one order at a time to all workers. Each carries out its share and reports that it is
// done. All begin at the order's common instant. A gated order admits only the first workers that are not
// done yet, `tokens` of them; others follow as these are done. The parent notices a dead worker within 100 ms
// and counts its clients and messages as tally_bury (tally.h) says. When the parent dies, the kernel kills
// the workers.
//
// Deep sleep: in some libraries idle clients take CPU time (paho polls every socket each second), which the
// target and the busy workers need. So the parent may pause (SIGSTOP) workers that are done with a gated
// order. It resumes them for their next order, and for a moment on a patrol, in which they notice lost
// connections. Meanwhile the kernel answers for their sockets. Deep sleep excludes keep alive: a paused
// client sends no pings.
//
// Memory order: each order has a place of its own, written once; then the parent stores its number with
// release. A worker loads the number with acquire before it reads the order of that number; it may miss an
// order that does not concern it. When a worker is done, it stores the number of its order with release. The
// parent loads that with acquire before it reads the worker's counts.
//
//     fleet_open(&fleet, &config, &err);             // forks; config.work runs in each child
//     fleet_give(fleet, &order);
//     while (fleet_poll(fleet, now) > 0) wait_a_little();
//     fleet_close(fleet);                            // stops and reaps whatever is left
#ifndef POOLMARK_LOADGEN_FLEET_H
#define POOLMARK_LOADGEN_FLEET_H

#include "base/err.h"
#include "loadgen/backoff.h"
#include "loadgen/leave.h"
#include "loadgen/pattern.h"
#include "loadgen/schedule.h"
#include "loadgen/tally.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fleet_act {
    FLEET_CONNECT,   // connect the first `goal` clients of the plan
    FLEET_PUBLISH,   // publish by `pattern` for `duration_ns`, and drain
    FLEET_PROVE,     // every open client shows that it is alive
    FLEET_CLOSE,     // clients `before` to `goal` (0: all) leave
    FLEET_ARRIVE,    // clients `before` to `goal` leave if they are connected, and come (back)
    FLEET_SUBSCRIBE, // each client adds `filters` subscriptions, or removes them, by turns at a rate
    FLEET_RETAIN,    // the first `goal` clients publish `retained` retained messages, or remove them
};

enum fleet_subscribe {
    FLEET_SUBSCRIBE_NONE,
    FLEET_SUBSCRIBE_OWN,  // each client to a topic of its own
    FLEET_SUBSCRIBE_PAIR, // subscribers of `pattern` to their topics
};

struct fleet_order {
    enum fleet_act act;
    enum fleet_subscribe subscribe; // CONNECT
    bool gated;
    int64_t at_ns; // the common instant
    int64_t goal;  // CONNECT: clients, of the whole plan
    // CONNECT: the part of `goal` that earlier orders connected; client n is act n - before of the schedule.
    int64_t before;
    // ARRIVE: when an arrival is due.
    enum fleet_arrivals {
        FLEET_ARRIVALS_ONCE,  // each client once, client n at act n - before of the schedule
        FLEET_ARRIVALS_TURNS, // clients take turns by the schedule for `duration_ns`
        FLEET_ARRIVALS_ON_LOSS, // whenever a client loses its connection within `duration_ns`; until all have lost
                                // theirs and are back
    } arrivals;
    enum leave leave; // ARRIVE, CLOSE: how connected clients leave
    int64_t away_ns;  // ARRIVE: from leaving to the intended time of coming back
    bool wait_first;  // ARRIVE: the back-off is also waited for before the first connect
    uint64_t seed;    // ARRIVE: of jitter
    struct backoff backoff;
    int64_t filters;  // SUBSCRIBE: of each client
    double wildcards; // SUBSCRIBE: the share of these that end in a wildcard
    bool removes;     // SUBSCRIBE: UNSUBSCRIBE them; RETAIN: remove the messages
    // RETAIN: how many messages. SUBSCRIBE: each filter matches all of them, and each SUBSCRIBE waits until they have arrived.
    int64_t retained;
    double rate_per_s; // CONNECT, PUBLISH, ARRIVE, SUBSCRIBE: of all workers together; 0: as fast as possible
    struct schedule_shape shape; // of that rate over time
    int64_t in_flight;      // PUBLISH without a rate: messages of a publisher under way at most; 1 and up
    struct pattern pattern; // PUBLISH, and CONNECT with FLEET_SUBSCRIBE_PAIR
    int64_t duration_ns;    // ARRIVE; PUBLISH: messages intended before this are sent, including the warm-up
    int64_t warmup_ns;      // PUBLISH: messages intended before this are not put into histograms
    // PUBLISH, with slow readers (pattern.h): they read at `read_per_s` (engine.h) from slow_from_ns to slow_until_ns
    // after at_ns, and everything at once before and after that. slow_until_ns INT64_MAX: until the order ends.
    int64_t slow_from_ns, slow_until_ns, read_per_s;
    int64_t
        drain_ns; // PUBLISH, PROVE, CLOSE, SUBSCRIBE, RETAIN: how long to wait for acts under way at the end;
                  // ARRIVE: how long clients try again
    int qos;
    int qos_below; // PUBLISH: how far the QoS of deliveries is below `qos`, because subscribers asked for less; 0 and up
    bool retain; // PUBLISH
    int64_t
        load; // what orders of a kind add up to (load_kind.h): those with one number. Set by run.h; rising
    int payload_bytes; // PUBLISH, where worker_setup has no payloads
};

struct fleet;
struct fleet_worker; // a worker's own view

struct fleet_config {
    int workers;
    int tokens;                                 // workers that a gate lets in at a time
    int (*work)(struct fleet_worker *, void *); // in the child; returns the exit code
    void *context;
    int64_t (*clients_of)(void *context, int worker); // its clients, to count those of a dead worker
    // Has the worker a share of the order? Otherwise it is not waited for. NULL: every order concerns all.
    bool (*concerns)(void *context, int worker, const struct fleet_order *order);
    bool deep_sleep;
    bool apart; // publishers and subscribers of one message may be in different workers
};

enum { FLEET_ORDERS_MAX = 512 }; // of one fleet

// --- the parent's side; one thread -------------------------------------------------------------------------

// Forks the workers. On failure none is left.
int fleet_open(struct fleet **fleet, const struct fleet_config *config, struct err *err)
    __attribute__((warn_unused_result));

void fleet_give(struct fleet *fleet, const struct fleet_order *order);

// Reaps dead workers and moves the gate. Returns the number of living workers that are not done with the last
// order (before the first order: that are not ready).
int fleet_poll(struct fleet *fleet, int64_t now_ns);

// Resumes some paused workers for a moment, in turn. Call it while no order runs, as often as fleet_poll.
void fleet_patrol(struct fleet *fleet, int64_t now_ns);

// Breaks the present order off: every worker counts its acts under way as unfinished and is done.
void fleet_halt(struct fleet *fleet);

void fleet_sum(const struct fleet *fleet, struct tally *sum); // adds to `sum`
int fleet_workers(const struct fleet *fleet);
int fleet_died(const struct fleet *fleet);   // unexpectedly
int fleet_killed(const struct fleet *fleet); // of these: by SIGKILL
int fleet_living(const struct fleet *fleet);
pid_t fleet_pid(const struct fleet *fleet, int worker); // 0: dead
// The error of a worker that could not start; "" when there is none.
const char *fleet_complaint(const struct fleet *fleet);

// Tells every worker to stop, kills those that still run after `patience_ns`, reaps all.
void fleet_stop(struct fleet *fleet, int64_t patience_ns);
void fleet_close(struct fleet *fleet); // stops with 200 ms of patience; NULL is allowed

// --- a worker's side ---------------------------------------------------------------------------------------

int fleet_worker_number(const struct fleet_worker *worker);
struct tally_page *fleet_worker_page(struct fleet_worker *worker);
void fleet_worker_ready(struct fleet_worker *worker);
void fleet_worker_complain(struct fleet_worker *worker, const char *text); // why it ends
bool fleet_worker_stopped(const struct fleet_worker *worker);

// Takes the next order. False when there is none that this worker has not taken.
bool fleet_worker_take(struct fleet_worker *worker, struct fleet_order *order);
bool fleet_worker_halted(const struct fleet_worker *worker);   // was the order taken last broken off?
bool fleet_worker_admitted(const struct fleet_worker *worker); // by the gate, for a gated order
void fleet_worker_done(struct fleet_worker *worker);           // with the order taken last

// ARRIVE on loss: whether the worker awaits no first loss and has nothing under way just now. When all workers rest, the order is over
// for all of them at once: until then a client that is lost again comes back, whichever worker has it.
void fleet_worker_rest(struct fleet_worker *worker, bool rests);
bool fleet_worker_all_rest(const struct fleet_worker *worker);

#endif
