// SPDX-License-Identifier: Apache-2.0
// Worker processes: forked from a small parent, told what to do by orders in shared memory, watched, and
// never left behind.
//
// The parent gives one order at a time to all workers; each carries out its share and says so. An order has a
// common instant at which it begins. An order may be gated: then only the first workers that are not done
// yet, `tokens` of them, may begin; others follow as these are done. A worker that dies is noticed within 100
// ms: what it had is counted as tally_bury (tally.h) says. When the parent dies, the kernel kills the
// workers.
//
// Deep sleep: a library whose idle clients take CPU time (paho polls every socket each second) takes it from
// the target and from the workers that are busy. So the parent may stop (SIGSTOP) workers that are done with
// a gated order, and lets them go on when it is their turn again, or for a moment on a patrol, in which they
// notice what was lost. The kernel answers for their sockets meanwhile. Not with keep alive: a stopped client
// sends no pings.
//
// Memory order: each order has a place of its own, written once; then the parent stores its number with
// release. A worker loads the number with acquire before it reads the order of that number; it may miss an
// order that does not concern it. What a worker counted is read after its release of the number that it is
// done with, by the parent's acquire.
//
//     fleet_open(&fleet, &config, &err);             // forks; config.work runs in each child
//     fleet_give(fleet, &order);
//     while (fleet_poll(fleet, now) > 0) wait_a_little();
//     fleet_close(fleet);                            // stops and reaps whatever is left
#ifndef POOLMARK_LOADGEN_FLEET_H
#define POOLMARK_LOADGEN_FLEET_H

#include "base/err.h"
#include "loadgen/tally.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fleet_act {
    FLEET_CONNECT, // connect the first `goal` clients of the plan
    FLEET_PUBLISH, // publish over `pairs` for `duration_ns`, and drain
    FLEET_PROVE,   // every open client shows that it is alive
    FLEET_CLOSE,   // disconnect
};

enum fleet_subscribe {
    FLEET_SUBSCRIBE_NONE,
    FLEET_SUBSCRIBE_OWN,  // each client to a topic of its own
    FLEET_SUBSCRIBE_PAIR, // client 2p to the topic of pair p, when p is less than `pairs`
};

struct fleet_order {
    enum fleet_act act;
    enum fleet_subscribe subscribe; // CONNECT
    bool gated;
    int64_t at_ns; // the common instant
    int64_t goal;  // CONNECT: clients, of the whole plan
    int64_t
        before; // CONNECT: of these, how many earlier orders had; client n is act n - before of the schedule
    double rate_per_s;   // CONNECT, PUBLISH: of all workers together; 0: as fast as it goes
    int64_t in_flight;   // PUBLISH without a rate: messages of a pair under way at most; 1 and up
    int64_t pairs;       // PUBLISH, and CONNECT with FLEET_SUBSCRIBE_PAIR
    int64_t duration_ns; // PUBLISH: what is intended before this is sent; warm-up among it
    int64_t warmup_ns;   // PUBLISH: what is intended before this is not put into histograms
    int64_t drain_ns;    // PUBLISH: how long to wait for what is still on its way; PROVE, CLOSE: likewise
    int qos;
    int payload_bytes;
};

struct fleet;
struct fleet_worker; // a worker's own view

struct fleet_config {
    int workers;
    int tokens;                                 // workers that a gate lets in at a time
    int (*work)(struct fleet_worker *, void *); // in the child; what it returns is the exit code
    void *context;
    int64_t (*clients_of)(void *context, int worker); // for the count of what a dead worker lost
    // Does the worker have anything to do? It is not waited for otherwise. NULL: every order concerns all.
    bool (*concerns)(void *context, int worker, const struct fleet_order *order);
    bool deep_sleep;
};

enum { FLEET_ORDERS_MAX = 512 }; // of one fleet

// --- the parent's side; one thread -------------------------------------------------------------------------

// Forks the workers. When it fails, none is left.
int fleet_open(struct fleet **fleet, const struct fleet_config *config, struct err *err)
    __attribute__((warn_unused_result));

void fleet_give(struct fleet *fleet, const struct fleet_order *order);

// Looks after dead workers, moves the gate; gives the number of living workers that are not done with the
// last order (before the first: that are not ready).
int fleet_poll(struct fleet *fleet, int64_t now_ns);

// Deep sleepers take turns to wake for a moment: call it while nothing else goes on, as often as fleet_poll.
void fleet_patrol(struct fleet *fleet, int64_t now_ns);

// Breaks the present order off: every worker counts what it has under way as unfinished and is done.
void fleet_halt(struct fleet *fleet);

void fleet_sum(const struct fleet *fleet, struct tally *sum); // adds to `sum`
int fleet_workers(const struct fleet *fleet);
int fleet_died(const struct fleet *fleet); // unexpectedly
int fleet_living(const struct fleet *fleet);
pid_t fleet_pid(const struct fleet *fleet, int worker); // 0: dead
const char *
fleet_complaint(const struct fleet *fleet); // what a worker that could not start said; "" when none

// Tells every worker to stop, kills those that are there after `patience_ns`, reaps all.
void fleet_stop(struct fleet *fleet, int64_t patience_ns);
void fleet_close(struct fleet *fleet); // stops with 200 ms of patience; NULL is allowed

// --- a worker's side ---------------------------------------------------------------------------------------

int fleet_worker_number(const struct fleet_worker *worker);
struct tally_page *fleet_worker_page(struct fleet_worker *worker);
void fleet_worker_ready(struct fleet_worker *worker);
void fleet_worker_complain(struct fleet_worker *worker, const char *text); // why it cannot start
bool fleet_worker_stopped(const struct fleet_worker *worker);

// The next order, when there is one that this worker has not taken.
bool fleet_worker_take(struct fleet_worker *worker, struct fleet_order *order);
bool fleet_worker_halted(const struct fleet_worker *worker);   // is the order taken last broken off?
bool fleet_worker_admitted(const struct fleet_worker *worker); // by the gate, for a gated order
void fleet_worker_done(struct fleet_worker *worker);           // with the order taken last

#endif
