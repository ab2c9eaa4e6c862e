// SPDX-License-Identifier: Apache-2.0
#include "loadgen/division.h"

#include "loadgen/engine.h"
#include "loadgen/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIT_STEPS = 8 }; // workers of a rank on average, so that their number can follow the rooms

int division_parse(const char *text, void *way, struct err *err)
{
    bool fit = strcmp(text, "fit") == 0;
    if (!fit && strcmp(text, "even") != 0)
        return err_set(err, -EINVAL, "it takes even or fit");
    *(enum division_way *)way = fit ? DIVISION_FIT : DIVISION_EVEN;
    return 0;
}

static int64_t up(int64_t value, int64_t by)
{
    return (value + by - 1) / by;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t unit_of(const struct division_request *request)
{
    return request->even ? 2 : 1;
}

// Of all ranks, at so many clients a worker.
static int64_t workers_needed(const struct division_request *request, int64_t each)
{
    return up(request->split, each) + up(request->clients - request->split, each);
}

// The most workers of that rank: of those asked for, and to fit, as many as its room and its descriptors take.
static int64_t workers_at_most(const struct division_request *request, int rank, int64_t each)
{
    const struct division_rank *of = &request->of[rank];
    int64_t most = request->workers > 0 ? request->workers : INT32_MAX;
    if (of->only_watches || (request->way == DIVISION_FIT && each > of->process_clients))
        return 0;
    return request->way == DIVISION_FIT ? least(most, of->room_clients / each) : most;
}

static int64_t workers_of_all(const struct division_request *request, int64_t each)
{
    int64_t workers = 0;
    for (int rank = 0; rank < request->ranks; rank++)
        workers += workers_at_most(request, rank, each);
    return workers;
}

// The least share at which the workers that were asked for are enough, a hundredth more or less; where none is, that of all of
// them.
static int64_t share_of_workers(const struct division_request *request, int64_t ranks)
{
    int64_t unit = unit_of(request), first = up(up(request->clients, request->workers * ranks), unit) * unit;
    for (int64_t share = first; share < request->clients + 2 * unit;
         share += up(share / 128 + 1, unit) * unit)
        if (workers_needed(request, share) <= workers_of_all(request, share))
            return share;
    return first;
}

// The clients of one worker.
static int64_t share_of(const struct division_request *request)
{
    int64_t unit = unit_of(request), cores = 0, ranks = 0, share = request->clients_per_worker;
    for (int rank = 0; rank < request->ranks; rank++) {
        const struct division_rank *of = &request->of[rank];
        ranks += !of->only_watches;
        cores += of->only_watches ? 0 : of->cores > 0 ? of->cores : 1;
    }
    if (share == 0 && request->workers > 0)
        share = share_of_workers(request, ranks);
    if (share == 0) {
        share = least(up(request->clients, cores), request->engine_clients);
        if (request->way == DIVISION_FIT)
            share = least(share, up(request->clients, FIT_STEPS * ranks));
        if (request->all)
            share = least(share, request->clients / ranks);
        if (request->split > 0) // all ranks get some of both sides
            share = least(share, least(request->split, request->clients - request->split) / ranks);
        for (int rank = 0; rank < request->ranks; rank++)
            if (!request->of[rank].only_watches)
                share = least(share, request->of[rank].process_clients / unit * unit);
    }
    return share < unit ? unit : up(share, unit) * unit;
}

// The rank that has the least for its part: the part is its room, or the same for all. -1: no rank has room for a worker.
static int next_of(const struct division *division, const struct division_request *request)
{
    int found = -1;
    double best = 0;
    for (int rank = 0; rank < request->ranks; rank++) {
        double part = request->way == DIVISION_FIT ? (double)request->of[rank].room_clients : 1;
        if (division->workers[rank] >= workers_at_most(request, rank, division->clients_per_worker))
            continue;
        double would = (division->workers[rank] + 1) / part;
        if (found < 0 || would < best) {
            found = rank;
            best = would;
        }
    }
    return found;
}

// --- refusals ----------------------------------------------------------------------------------------------

// A process of that rank cannot hold the clients of a worker.
static int refuse_process(const struct division_request *request, int rank, int64_t each, struct err *err)
{
    int64_t holds = request->of[rank].process_clients;
    if (holds == request->engine_most)
        return err_set(
            err, -EINVAL,
            "rank %d: %lld clients a worker are more than one process can hold there (%lld): give more "
            "--workers or a smaller --clients-per-worker. The bound is this engine's own, and open files "
            "do not move it",
            rank, (long long)each, (long long)holds);
    return err_set(
        err, -EINVAL,
        "rank %d: %lld clients a worker are more than one process can hold there (%lld, by its limit of open "
        "files). Mend it there: ulimit -Hn %lld as root (nofile in /etc/security/limits.conf); or give more "
        "--workers, or a smaller --clients-per-worker",
        rank, (long long)each, (long long)holds, (long long)(each + ENGINE_OWN_DESCRIPTORS));
}

// All ranks together hold less than all clients: the rank that has least says why.
static int refuse_all(const struct division_request *request, int64_t placed, int64_t each, struct err *err)
{
    int worst = -1;
    int64_t has = INT64_MAX;
    for (int rank = 0; rank < request->ranks; rank++) {
        const struct division_rank *of = &request->of[rank];
        if (of->only_watches)
            continue;
        if (request->way == DIVISION_FIT && each > of->process_clients)
            return err_prefix(err, refuse_process(request, rank, each, err),
                              "the ranks together have room for %lld of %lld clients", (long long)placed,
                              (long long)request->clients);
        if (of->room_clients < has) {
            worst = rank;
            has = of->room_clients;
        }
    }
    bool by_workers =
        request->workers > 0 && (request->way == DIVISION_EVEN || has >= request->workers * each);
    if (by_workers)
        return err_set(err, -EINVAL,
                       "the ranks together have room for %lld of %lld clients: %lld a worker, and --workers "
                       "gives each rank "
                       "%lld. Mend it: more --workers, or a greater --clients-per-worker",
                       (long long)placed, (long long)request->clients, (long long)each,
                       (long long)request->workers);
    const char *bound = worst >= 0 && request->of[worst].bound ? request->of[worst].bound : "";
    return err_set(
        err, -EINVAL, "the ranks together have room for %lld of %lld clients; rank %d for %lld%s%s",
        (long long)placed, (long long)request->clients, worst, (long long)has, bound[0] ? ": " : "", bound);
}

int division_make(struct division *division, const struct division_request *request, struct err *err)
{
    *division = (struct division){.way = request->way,
                                  .ranks = request->ranks,
                                  .clients_per_worker = share_of(request),
                                  .split = request->split};
    int64_t each = division->clients_per_worker;
    for (int rank = 0; rank < request->ranks && request->way == DIVISION_EVEN; rank++)
        if (!request->of[rank].only_watches && each > request->of[rank].process_clients)
            return refuse_process(request, rank, each, err);
    division->workers = calloc((size_t)request->ranks, sizeof *division->workers);
    if (!division->workers)
        return err_set(err, -ENOMEM, "out of memory for %d ranks", request->ranks);
    int64_t workers = workers_needed(request, each);
    for (int64_t i = 0; i < workers; i++) {
        int rank = next_of(division, request);
        if (rank < 0) {
            division_free(division);
            return refuse_all(request, i * each, each, err);
        }
        division->workers[rank]++;
    }
    return 0;
}

void division_free(struct division *division)
{
    free(division->workers);
    *division = (struct division){0};
}

int64_t division_clients(const struct division *division, int64_t clients, int rank)
{
    return division_first(division, clients, clients, rank);
}

int64_t division_first(const struct division *division, int64_t clients, int64_t goal, int rank)
{
    struct plan plan = {.clients = clients,
                        .clients_per_worker = division->clients_per_worker,
                        .split = division->split,
                        .ranks = division->ranks,
                        .rank_workers = division->workers};
    int64_t first = 0;
    for (int worker = 0; worker < division->workers[rank]; worker++)
        first += plan_goal(plan_share(&plan, rank, worker), goal);
    return first;
}
