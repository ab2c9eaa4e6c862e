// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run_plan.h"

#include "base/host.h"
#include "loadgen/crew.h"
#include "loadgen/engine.h"
#include "loadgen/ranks.h"

// Of all clients, or of a crew; NULL: there is one rank.
static const struct division *division_of(const struct config *config, int share)
{
    return config->ranks ? &config->ranks->shares.of[share].division : NULL;
}

// `division`: of several ranks; NULL: there is one. The plan of the probes is one worker with the first routes, on rank 0.
static int fill_request(struct plan_request *request, const struct config *config, int64_t clients,
                        const struct division *division, bool probes, struct err *err)
{
    const struct engine *engine = config->engine;
    int64_t limit;
    int code = host_raise_nofile(&limit, err);
    if (code < 0)
        return code;
    int64_t holds = engine_process_clients(engine, limit);
    *request = (struct plan_request){
        .clients = clients,
        .clients_per_worker = probes     ? clients
                              : division ? division->clients_per_worker
                                         : config->clients_per_worker,
        .workers = probes     ? 1
                   : division ? 0
                              : (int)config->workers,
        .engine_clients = engine->clients < holds ? engine->clients : holds,
        .clients_max = holds,
        .engine_most = engine->clients_max,
        .cores = (int)host_cores(),
        .ranks = division ? division->ranks : 1,
        .rank = division ? division->rank : 0,
        .rank_workers = division ? division->workers : NULL,
        .apart = division && division->apart,
        .own_sources = (config->ranks || division) && !config->only_watch,
        .split = probes ? 0 : config->split,
        .even = probes || config->even,
        .spread_pairs = config->spread_pairs,
        .mesh = !probes && config->pattern.kind != PATTERN_PAIRS,
        .can_bind = engine->caps & ENGINE_CAP_BIND,
        .targets = config->targets.values,
        .target_count = config->targets.count,
        .sources = config->sources.values,
        .source_count = config->sources.count,
    };
    return ports_choose(&request->ports, config->ports, engine->caps & ENGINE_CAP_BIND, config->prefix, err);
}

static int make_plan(struct plan *plan, const struct config *config, int64_t clients,
                     const struct division *division, bool probes, struct err *err)
{
    struct plan_request request;
    int code = fill_request(&request, config, clients, division, probes, err);
    return code < 0 ? code : plan_make(plan, &request, err);
}

// Of a run with crews, in which each crew has ports of its own on a route: the most clients of each on one network, together.
static int64_t network_clients(const struct config *config)
{
    const struct ranks *ranks = config->ranks;
    int64_t sum = 0;
    for (int i = 0; ranks && i < ranks->shares.count; i++) {
        const struct ranks_share *share = &ranks->shares.of[i];
        int64_t most = 0;
        for (int rank = 0; rank < ranks->size; rank++) {
            int64_t clients = division_clients(&share->division, share->clients, rank);
            most = clients > most ? clients : most;
        }
        sum += most;
    }
    return sum;
}

int run_plan_all(struct plan *plan, const struct config *config, struct err *err)
{
    const struct division *division = division_of(config, 0);
    struct plan_request request;
    if (config->crew_count == 0)
        return make_plan(plan, config, config->connections, division, false, err);
    int code = fill_request(&request, config, config->connections, NULL, false, err);
    if (code == 0 && division)
        request.ranks = division->ranks;
    if (code == 0 && division && division->apart)
        request.network_clients = network_clients(config);
    return code < 0 ? code : plan_make(plan, &request, err);
}

int run_plan_crew(struct plan *plan, const struct config *config, int number, struct err *err)
{
    const struct config *own = config->crews[number].config;
    return make_plan(plan, own, own->connections, division_of(config, number), false, err);
}

int run_plan_probes(struct plan *plan, const struct config *config, struct err *err)
{
    return make_plan(plan, config, config->probes, NULL, true, err);
}

int run_plan_tell(struct run_plan_told *told, const struct config *config, struct err *err)
{
    struct plan_request request = {0};
    *told = (struct run_plan_told){.plan = {.clients = config->connections, .ranks = 1}};
    int code = fill_request(&request, config, config->connections, NULL, false, err);
    if (code == 0)
        code = plan_count_routes(&request, &told->targets, &told->sources, err);
    told->plan.ports = request.ports;
    told->process_clients = request.clients_max;
    return code < 0 ? code : plan_divide(&told->plan, &request, err);
}

int run_plan_check(struct plan *plan, const struct config *config, struct err *err)
{
    for (int i = 0; i < config->crew_count; i++) {
        int code = run_plan_crew(plan, config, i, err);
        if (code < 0)
            return err_prefix(err, code, "group %s", config->crews[i].name);
        plan_free(plan);
    }
    return run_plan_all(plan, config, err);
}
