// SPDX-License-Identifier: Apache-2.0
// Who does what: which clients a worker has, and which way (source address, target) each client goes.
//
// Everything here is a pure function of the plan, a rank (host), a worker number and a client number, so that
// every process, and every host that is given the same plan, computes the same answer without asking anybody.
// Clients have global numbers from 0; worker g (rank x workers + worker) has those from g x
// clients_per_worker on, so that workers fill up in order and "the first n clients" are whole workers and one
// begun.
//
//     struct plan plan;
//     struct plan_request request = {.clients = 1000000, .clients_per_worker = 18000, ...};
//     if (plan_make(&plan, &request, &err) < 0) ...
//     struct plan_share share = plan_share(&plan, 0, worker);   // share.first, share.count
#ifndef POOLMARK_LOADGEN_PLAN_H
#define POOLMARK_LOADGEN_PLAN_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    PLAN_TARGETS_MAX = 1024,
    PLAN_SOURCES_MAX = 1024,
    // Connections on one (source, destination, port). Past half of the port range (28 000) the kernel's
    // search for a free port grows from 20 to 150 us.
    PLAN_PER_ROUTE_MAX = 10000,
};

struct plan_target {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    char uri[96]; // "tcp://127.0.0.1:1883", as paho wants it
};

struct plan_request {
    int64_t clients;
    int64_t clients_per_worker; // 0: `engine_clients`, or fewer so that `workers` (or every core) have some
    int workers;                // 0: as many as it takes
    int64_t engine_clients;     // what the engine likes to have in one process
    int64_t clients_max;        // what one process can hold (descriptors)
    int cores;                  // at least so many workers when there are clients for them
    int ranks;                  // hosts that share the plan; 1 today
    bool even;                  // clients come in pairs that a worker must not split
    bool spread_pairs;          // their two ends may go to different targets, which are one cluster
    bool can_bind;              // the engine can choose its source address
    // "mqtt://HOST:PORT", an IPv6 address in brackets; each may hold several with commas between
    const char *const *targets;
    int target_count;
    const char *const *sources; // IPv4 addresses, likewise; none: made up on the loopback when needed
    int source_count;
};

struct plan {
    int64_t clients;
    int64_t clients_per_worker;
    int workers; // of each rank
    int ranks;
    int target_count, source_count; // source_count 0: the kernel chooses
    int together;                   // clients in a row that go one way: 2 where a pair stays on one target
    struct plan_target *targets;
    struct in_addr *sources;
};

struct plan_share {
    int64_t first, count;
};

struct plan_route {
    const struct plan_target *target;
    const struct in_addr *source; // NULL: the kernel chooses
};

// -EINVAL, with the text in `err`, for targets and sources that cannot be read, and when there are too few
// routes or workers; it says how many are needed. Frees everything when it fails.
int plan_make(struct plan *plan, const struct plan_request *request, struct err *err)
    __attribute__((warn_unused_result));
void plan_free(struct plan *plan);

// The part of plan_make that needs no targets: sets workers and clients_per_worker of an empty plan. -EINVAL
// likewise.
int plan_divide(struct plan *plan, const struct plan_request *request, struct err *err)
    __attribute__((warn_unused_result));

struct plan_share plan_share(const struct plan *plan, int rank, int worker);

// How many of a share's clients are among the first `goal` clients of the plan.
int64_t plan_goal(struct plan_share share, int64_t goal);

struct plan_route plan_route(const struct plan *plan, int64_t client);

#endif
