// SPDX-License-Identifier: Apache-2.0
// The plan of a run: the clients of each worker, and the route (source address, target) of each client.
//
// Everything here is a pure function of the plan, a rank (host), a worker number and a client number. So
// every process, and every host with the same plan, computes the same answer without communication.
//
// Clients have global numbers from 0. The workers of all ranks stand in one order: the first worker of each rank, then the second
// of each, and so on; a rank that has no further worker is skipped. The g-th worker of this order has the clients from
// g x clients_per_worker on. So "the first n clients" are those of the first workers of this order, spread over all ranks.
//
//     struct plan plan;
//     struct plan_request request = {.clients = 1000000, .clients_per_worker = 18000, ...};
//     if (plan_make(&plan, &request, &err) < 0) ...
//     struct plan_share share = plan_share(&plan, 0, worker);   // share.first, share.count
#ifndef POOLMARK_LOADGEN_PLAN_H
#define POOLMARK_LOADGEN_PLAN_H

#include "base/err.h"
#include "loadgen/ports.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    PLAN_TARGETS_MAX = 1024,
    PLAN_SOURCES_MAX = 1024,
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
    int64_t engine_clients;     // the engine's default for one process
    int64_t clients_max;        // the bound of one process: the engine's, or by its descriptors
    int64_t engine_most;        // the engine's; 0: none is known
    int cores;                  // at least so many workers when there are clients for them
    int ranks;                  // hosts that share the plan
    int rank;                   // this one
    const int
        *rank_workers; // the workers of each rank that have clients; NULL: all as many. Stays the caller's
    bool apart;        // each rank has source addresses of its own, and so routes and ports of its own
    int64_t network_clients; // the most clients that share source addresses; 0: by ranks and `apart`
    int64_t split;           // clients from this one on have workers of their own; 0: none have
    bool even;               // clients come in pairs that a worker must not split
    bool spread_pairs;       // the ends of a pair may go to different targets of one cluster
    bool mesh;     // publishers and subscribers meet as they come: several targets must be one cluster
    bool can_bind; // the engine can choose its source address
    // "mqtt://HOST:PORT", an IPv6 address in brackets; each may hold several with commas between
    const char *const *targets;
    int target_count;
    const char *const *sources; // IPv4 addresses, likewise; none: taken from the loopback when needed
    int source_count;
    bool own_sources;   // of the sources only those that are addresses of this host
    struct ports ports; // all 0: the kernel searches the ports
};

struct plan {
    int64_t clients;
    int64_t clients_per_worker;
    int64_t split; // no worker has clients of both sides of it; 0: there is none
    int workers;   // of this rank, 1 and up: the last may have no clients
    int ranks;
    const int *rank_workers; // as in the request
    bool apart;
    int64_t network_clients;        // as in the request
    int target_count, source_count; // source_count 0: the kernel chooses
    int together;                   // clients in a row on one route: 2 where a pair stays on one target
    struct plan_target *targets;
    struct in_addr *sources;
    struct ports ports;
};

struct plan_share {
    int64_t first, count;
};

struct plan_route {
    const struct plan_target *target;
    const struct in_addr *source; // NULL: the kernel chooses
};

// -EINVAL with the text in `err`: targets or sources that cannot be read, too few routes or workers. The text
// says how many are needed. Frees everything on failure.
int plan_make(struct plan *plan, const struct plan_request *request, struct err *err)
    __attribute__((warn_unused_result));
void plan_free(struct plan *plan);

// The most source addresses that connects may have from one host: those given; else those that plan_make adds where the engine
// can bind and all targets are on the loopback; else the one that the kernel chooses. Into `*sources`, with `*targets`. -EINVAL
// as plan_make, when addresses cannot be read or found.
int plan_count_routes(const struct plan_request *request, int *targets, int *sources, struct err *err)
    __attribute__((warn_unused_result));

// How many of its source addresses are of this host.
int plan_sources_here(const struct plan *plan);

// The part of plan_make that needs no targets: sets workers and clients_per_worker of a plan that has only
// clients and ranks. -EINVAL likewise.
int plan_divide(struct plan *plan, const struct plan_request *request, struct err *err)
    __attribute__((warn_unused_result));

struct plan_share plan_share(const struct plan *plan, int rank, int worker);

// All clients of a rank.
int64_t plan_clients_of(const struct plan *plan, int rank);

// The number of the share's clients among the first `goal` clients of the plan.
int64_t plan_goal(struct plan_share share, int64_t goal);

struct plan_route plan_route(const struct plan *plan, int64_t client);

// The most clients that a route has; of ranks that are apart, on any of them.
int64_t plan_per_route(const struct plan *plan);

// The local ports for the client's connect at this attempt (0 and up), as ports_range (ports.h): single ports that
// no other client of the plan on the same route has, then what the kernel is to search.
struct ports_range plan_ports(const struct plan *plan, int64_t client, int attempt);

#endif
