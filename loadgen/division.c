// SPDX-License-Identifier: Apache-2.0
#include "loadgen/division.h"

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

// The clients of one worker.
static int64_t share_of(const struct division_request *request)
{
    int64_t unit = request->even ? 2 : 1, cores = 0, ranks = 0, share = request->clients_per_worker;
    for (int rank = 0; rank < request->ranks; rank++) {
        const struct division_rank *of = &request->of[rank];
        ranks += !of->only_watches;
        cores += of->only_watches ? 0 : of->cores > 0 ? of->cores : 1;
    }
    if (share == 0 && request->workers > 0)
        share = up(request->clients, request->workers * ranks);
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
        int64_t room = request->of[rank].room_clients, each = division->clients_per_worker;
        double part = request->way == DIVISION_FIT ? (double)room : 1;
        bool full = request->way == DIVISION_FIT && (division->workers[rank] + 1) * each > room;
        if (full || request->of[rank].only_watches)
            continue;
        double would = (division->workers[rank] + 1) / part;
        if (found < 0 || would < best) {
            found = rank;
            best = would;
        }
    }
    return found;
}

int division_make(struct division *division, const struct division_request *request, struct err *err)
{
    *division = (struct division){.way = request->way,
                                  .ranks = request->ranks,
                                  .clients_per_worker = share_of(request),
                                  .split = request->split};
    for (int rank = 0; rank < request->ranks; rank++)
        if (!request->of[rank].only_watches &&
            division->clients_per_worker > request->of[rank].process_clients)
            return err_set(
                err, -EINVAL,
                "rank %d: %lld clients a worker are more than one process can hold there (%lld): give "
                "more --workers%s",
                rank, (long long)division->clients_per_worker, (long long)request->of[rank].process_clients,
                request->of[rank].process_clients == request->engine_most
                    ? " or a smaller --clients-per-worker. The bound is this engine's own, and open files do "
                      "not move it"
                    : ", or raise the limit of open files");
    division->workers = calloc((size_t)request->ranks, sizeof *division->workers);
    if (!division->workers)
        return err_set(err, -ENOMEM, "out of memory for %d ranks", request->ranks);
    int64_t each = division->clients_per_worker, split = request->split;
    int64_t workers = up(split, each) + up(request->clients - split, each);
    for (int64_t i = 0; i < workers; i++) {
        int rank = next_of(division, request);
        if (rank < 0) {
            division_free(division);
            return err_set(err, -EINVAL, "the ranks together have room for %lld of %lld clients",
                           (long long)(i * each), (long long)request->clients);
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
