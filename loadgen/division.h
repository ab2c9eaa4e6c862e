// SPDX-License-Identifier: Apache-2.0
// How several ranks (hosts) divide the clients of a plan: workers of equal shares, and how many of them each rank has.
//
// Even: each rank has as many workers, give or take one. Fit: as many as its room (room.h) is a part of all rooms; none where
// a process may not have descriptors for the clients of one. With `workers` asked for no rank has more, and their clients are
// as few as that allows. The division is a pure function of what the ranks said of themselves; one rank computes it and tells
// the others.
//
//     struct division division;
//     code = division_make(&division, &request, &err);
//     clients = division_clients(&division, request.clients, rank);
//     division_free(&division);
#ifndef POOLMARK_LOADGEN_DIVISION_H
#define POOLMARK_LOADGEN_DIVISION_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum division_way { DIVISION_EVEN, DIVISION_FIT };

struct division {
    enum division_way way;
    int rank, ranks;
    int *workers; // of each rank that have clients
    int64_t clients_per_worker;
    int64_t split; // no worker has clients of both sides of it (plan.h); 0: there is none
    bool apart;    // each rank has source addresses of its own
};

struct division_rank { // what a rank said of itself
    int64_t cores;
    int64_t process_clients; // the most of one process
    int64_t room_clients;    // the most of the rank, by its host's room
    bool only_watches;       // it has no clients
    const char
        *bound; // for people: what bounds the room, with the command that mends it; NULL: nothing is known
};

struct division_request {
    enum division_way way;
    int64_t clients;
    int64_t engine_clients;     // the engine's default for one process
    int64_t engine_most;        // and its own bound; 0: none is known
    int64_t clients_per_worker; // asked for; 0: not
    int64_t workers;            // of each rank, asked for; 0: not
    int64_t split;              // clients from this one on have workers of their own; 0: none have
    bool even;                  // clients come in pairs that a worker must not split
    bool all; // unless the shares of workers were asked for, they are so small that each rank can have one
    int ranks;
    const struct division_rank *of;
};

// "even", "fit" into the enum division_way at `way`; otherwise -EINVAL with the text. As an option wants it (base/opts.h).
int division_parse(const char *text, void *way, struct err *err);

// -EINVAL with the text: a rank's process cannot hold the share of a worker, or nobody has room. -ENOMEM.
int division_make(struct division *division, const struct division_request *request, struct err *err)
    __attribute__((warn_unused_result));
void division_free(struct division *division);

// The clients of that rank, of so many in all.
int64_t division_clients(const struct division *division, int64_t clients, int rank);
// Of these, those among the first `goal` of all.
int64_t division_first(const struct division *division, int64_t clients, int64_t goal, int rank);

#endif
