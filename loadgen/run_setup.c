// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run_setup.h"

#include "base/clock.h"
#include "base/procmem.h"
#include "base/host.h"
#include "loadgen/crew.h"
#include "loadgen/crew_parts.h"
#include "loadgen/engine.h"
#include "loadgen/ranks_start.h"
#include "loadgen/run_plan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    STRIPES_MAX = 8,
    AWAKE_MAX = 64, // with more workers than this, a restless engine's idle workers are paused
};

static int open_histograms(struct run *run, struct err *err)
{
    size_t bytes = 4 * LATENCY_COUNT * hist_bytes();
    // Zeroed, and a histogram that stays empty takes no memory.
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, -ENOMEM, "out of memory for histograms");
    run->hist_memory = memory;
    run->hist_memory_bytes = bytes;
    char *at = run->hist_memory;
    struct hist **sets[] = {run->interval, run->total, run->phase_hist, run->second};
    for (int set = 0; set < 4; set++)
        for (int kind = 0; kind < LATENCY_COUNT; kind++, at += hist_bytes())
            sets[set][kind] = hist_init(at);
    return 0;
}

// `config`: of the run, or of a crew.
static struct worker_setup setup_of(const struct run *run, const struct config *config,
                                    const struct plan *plan, const char *prefix)
{
    return (struct worker_setup){
        .engine = config->engine,
        .plan = plan,
        .rank = run->ranks ? run->ranks->rank : 0,
        .latency = run->latency,
        .prefix = prefix,
        .run = run->number,
        .identity = &config->identity,
        .payloads = config->payload.given ? &config->payload : NULL,
        .timeout_ns = config->timeout_ns,
        .keep_alive_s = (int)config->keep_alive_s,
        .window = (int)config->window,
        .keep_sessions = config->keep_sessions,
        .backoff = config->backoff,
        .waits_first = config->waits_first,
        .give_up_ns = config->give_up_ns,
        .seed = (uint64_t)config->seed,
        .connecting = plan->clients,
    };
}

static int open_fleet(struct fleet **fleet, struct worker_setup *setup, int tokens, struct err *err)
{
    struct fleet_config config = {
        .workers = setup->plan->workers,
        .tokens = tokens,
        .work = worker_run,
        .context = setup,
        .clients_of = worker_clients,
        .concerns = worker_concerns,
        .apart = setup->board != NULL,
        .deep_sleep = (setup->engine->caps & ENGINE_CAP_RESTLESS) && setup->keep_alive_s == 0 &&
                      setup->backoff.first_ns == 0 && // a paused client would come back late
                      setup->plan->workers > AWAKE_MAX,
    };
    int code = fleet_open(fleet, &config, err);
    if (code < 0)
        return code;
    // Workers are ready within a minute, or never.
    int64_t limit_ns = clock_now_ns() + 60 * NS_PER_S;
    while (fleet_poll(*fleet, clock_now_ns()) > 0 && fleet_died(*fleet) == 0 && clock_now_ns() < limit_ns)
        clock_sleep_until_ns(clock_now_ns() + 2 * NS_PER_MS);
    if (fleet_died(*fleet) > 0)
        return err_set(err, -ECHILD, "%s",
                       fleet_complaint(*fleet)[0] ? fleet_complaint(*fleet)
                                                  : "a worker died before it was ready");
    return 0;
}

static int open_signals(struct run *run, struct err *err)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    // With nohup SIGHUP is ignored: the run shall outlive its terminal.
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    run->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signals < 0 ? err_set(err, -errno, "cannot make a signalfd: %m") : 0;
}

// The workers of the clients, not those of the probes.
static int client_workers(const struct run *run, pid_t *pids)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int count = run_fleets(run, fleets), workers = 0;
    for (int i = 0; i < count; i++)
        for (int worker = 0; fleets[i] != run->probes && worker < fleet_workers(fleets[i]); worker++) {
            if (pids)
                pids[workers] = fleet_pid(fleets[i], worker);
            workers++;
        }
    return workers;
}

// Into `path`: of the record, or of the part of a rank above 0. NULL: neither is wanted.
static const char *own_file(const struct run *run, const char *name, char *path, size_t size)
{
    if (run->record)
        return record_path(run->record, name, path, size);
    if (!run->config->ranks_folder)
        return NULL;
    snprintf(path, size, "%s/%s", run->config->ranks_folder, name);
    return path;
}

static int open_sampler(struct run *run, struct err *err)
{
    int count = client_workers(run, NULL);
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    if (!pids)
        return err_set(err, -ENOMEM, "out of memory for the sampler");
    client_workers(run, pids);
    char path[4096];
    struct sampler_config config = {
        .path = own_file(run, "memory.csv", path, sizeof path),
        .targets = run->config->watch_pids,
        .target_count = run->config->watch.count,
        .workers = pids,
        .worker_count = count,
    };
    int code = sampler_open(&run->sampler, &config, err);
    free(pids);
    return code;
}

static int map_arrival_times(struct run *run, struct err *err)
{
    size_t bytes = (size_t)run->plan.clients * sizeof *run->setup.arrival_times;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, -errno, "cannot map %zu bytes for the times of arrivals: %m", bytes);
    run->setup.arrival_times = memory;
    if (run->ranks) {
        run->ranks->arrivals = memory;
        run->ranks->arrival_places = run->plan.clients;
    }
    return 0;
}

// Probes are further clients, with messages and topics of their own.
static void name_probes(struct run *run)
{
    run->probe_identity = run->config->identity;
    run->probe_identity.first += run->config->connections;
    run->probe_identity.topic.count = 0;
    run->probe_setup.identity = &run->probe_identity;
    run->probe_setup.payloads = NULL;
}

// A number that no other run on the same topics has.
static int draw_number(struct run *run, struct err *err)
{
    uint32_t random;
    if (run->ranks) {
        run->number = ranks_number(run->ranks);
        return 0;
    }
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -errno, "cannot get random bytes: %m");
    run->number = random >> (32 - PAYLOAD_RUN_BITS);
    return 0;
}

// The numbers that the first client of each worker here has in this rank's part of a pattern, from `place` on; to be freed.
// NULL: no memory.
static int64_t *places_of(const struct plan *plan, int rank, int64_t place)
{
    int64_t *places = calloc((size_t)plan->workers + 1, sizeof *places);
    if (!places)
        return NULL;
    places[0] = place;
    for (int worker = 0; worker < plan->workers; worker++)
        places[worker + 1] = places[worker] + plan_share(plan, rank, worker).count;
    return places;
}

// --- crews -------------------------------------------------------------------------------------------------

// All crews use the routes that the plan of all clients has, and on these ports of their own, behind those of the
// crews before (`taken`).
static int plan_crew(struct run *run, struct crew *crew, int number, int64_t *taken, struct err *err)
{
    int code = run_plan_crew(&crew->plan, run->config, number, err);
    if (code < 0)
        return err_prefix(err, code, "group %s", crew->request->name);
    memcpy(crew->plan.sources, run->plan.sources, (size_t)run->plan.source_count * sizeof *run->plan.sources);
    crew->plan.source_count = run->plan.source_count;
    crew->plan.ports = run->plan.ports;
    crew->plan.ports.skip = *taken;
    *taken += plan_per_route(&crew->plan);
    return 0;
}

// What of the crew is on this rank.
static int place_crew(struct run *run, struct crew *crew, int number, struct err *err)
{
    const struct crew_request *request = crew->request;
    const struct ranks *ranks = run->ranks;
    const struct ranks_share *share = ranks ? &ranks->shares.of[number] : NULL;
    crew->pattern = share && share->parts ? share->parts[ranks->rank] : request->config->pattern;
    crew->place = request->place;
    crew->clients = share ? plan_clients_of(&crew->plan, ranks->rank) : request->config->connections;
    if (!share || !share->parts)
        return 0;
    const struct division *divisions[CREWS_MAX];
    for (int i = 0; i < ranks->shares.count; i++)
        divisions[i] = &ranks->shares.of[i].division;
    crew->place = crew_parts_place(run->config->crews, ranks->shares.count, number, divisions, ranks->rank);
    crew->places = places_of(&crew->plan, ranks->rank, crew->place);
    return crew->places ? 0 : err_set(err, -ENOMEM, "out of memory for the places of %s", request->name);
}

static int set_up_crew(struct run *run, int number, struct err *err)
{
    struct crew *crew = &run->crews[number], *source = &run->crews[crew->request->messages_of];
    const struct config *config = crew->request->config, *messages = source->request->config;
    crew->setup = setup_of(run, config, &crew->plan, crew->prefix);
    crew->setup.latency = crew->latency;
    crew->setup.connecting -= config->later;
    crew->setup.place = crew->place;
    crew->setup.places = crew->places;
    crew->setup.topics = &messages->identity;
    crew->setup.topics_prefix = source->topics_prefix;
    crew->setup.payloads = messages->payload.given ? &messages->payload : NULL;
    if (source == crew && config->pattern.kind != PATTERN_PAIRS) {
        int code = board_open(&crew->board, &crew->pattern, err);
        if (code < 0)
            return code;
    }
    return 0;
}

// Names that differ by crew, and topics that differ by rank where several have a part of one pattern.
static void name_crew(struct run *run, struct crew *crew, int number)
{
    const struct ranks *ranks = run->ranks;
    bool parted = ranks && ranks->shares.of[number].used > 1;
    snprintf(crew->prefix, sizeof crew->prefix, "%s%c", run->config->prefix, 'a' + number);
    if (parted)
        snprintf(crew->topics_prefix, sizeof crew->topics_prefix, "%s-%d", crew->prefix, ranks->rank);
    else
        snprintf(crew->topics_prefix, sizeof crew->topics_prefix, "%s", crew->prefix);
}

// The plan of all clients together is what owners, census and ceilings look at, and what the record has.
static int open_crews(struct run *run, struct err *err)
{
    const struct config *config = run->config;
    int code = run_plan_all(&run->plan, config, err), count = config->crew_count;
    int64_t taken = 0;
    run->crews = code == 0 ? calloc((size_t)count, sizeof *run->crews) : NULL;
    if (!run->crews)
        return code < 0 ? code : err_set(err, -ENOMEM, "out of memory for %d groups", count);
    run->plan.workers = 0;
    run->plan.clients_per_worker = 0;
    for (int i = 0; i < count && code == 0; i++) {
        struct crew *crew = &run->crews[i];
        crew->request = &config->crews[i];
        name_crew(run, crew, i);
        code = plan_crew(run, crew, i, &taken, err);
        if (code == 0)
            code = place_crew(run, crew, i, err);
        run->plan.workers += crew->plan.workers;
        if (crew->plan.clients_per_worker > run->plan.clients_per_worker)
            run->plan.clients_per_worker = crew->plan.clients_per_worker;
        if (code == 0)
            code = crew_open(crew, err);
    }
    for (int i = 0; i < count && code == 0; i++)
        code = set_up_crew(run, i, err);
    run->setup = setup_of(run, config, &run->plan, config->prefix);
    for (int i = 0; i < count && code == 0; i++) {
        struct crew *crew = &run->crews[i];
        crew->setup.board = run->crews[crew->request->messages_of].board;
        code = open_fleet(&crew->fleet, &crew->setup,
                          config->tokens > 0 ? (int)config->tokens : config->engine->tokens, err);
    }
    return code;
}

// --- opening and closing -----------------------------------------------------------------------------------

// This rank's part of the pattern has clients, topics and a board of its own.
static int open_part(struct run *run, struct err *err)
{
    const struct ranks *ranks = run->ranks;
    if (!ranks || !ranks->shares.of[0].parts)
        return 0;
    run->places = places_of(&run->plan, ranks->rank, 0);
    if (!run->places)
        return err_set(err, -ENOMEM, "out of memory for the places of %d workers", run->plan.workers);
    snprintf(run->topics_prefix, sizeof run->topics_prefix, "%s-%d", run->config->prefix, ranks->rank);
    run->setup.places = run->places;
    run->setup.topics_prefix = run->topics_prefix;
    return 0;
}

static int open_workers(struct run *run, struct err *err)
{
    if (run->config->crew_count > 0)
        return open_crews(run, err);
    const struct config *config = run->config;
    const struct engine *engine = config->engine;
    int code = run_plan_all(&run->plan, config, err);
    if (code < 0)
        return code;
    bool probes = config->probes > 0 && (!run->ranks || ranks_lead(run->ranks));
    if (probes && (code = run_plan_probes(&run->probe_plan, config, err)) < 0)
        return code;
    if (probes) // the clients have the same routes
        run->probe_plan.ports.skip = plan_per_route(&run->plan);
    int stripes = run->plan.workers < STRIPES_MAX ? run->plan.workers : STRIPES_MAX;
    code = latency_shared_open(&run->latency, stripes, err);
    if (code < 0)
        return code;
    run->setup = setup_of(run, config, &run->plan, config->prefix);
    if ((code = open_part(run, err)) < 0)
        return code;
    const struct pattern *pattern =
        run->places ? &run->ranks->shares.of[0].parts[run->ranks->rank] : &config->pattern;
    if (pattern->kind != PATTERN_PAIRS && (code = board_open(&run->board, pattern, err)) < 0)
        return code;
    run->setup.board = run->board;
    run->setup.connecting -= config->later;
    code = config->arrival_times && (run->record || config->ranks_folder) ? map_arrival_times(run, err) : 0;
    if (code < 0)
        return code;
    code =
        open_fleet(&run->fleet, &run->setup, config->tokens > 0 ? (int)config->tokens : engine->tokens, err);
    if (code == 0 && probes) {
        snprintf(run->probe_prefix, sizeof run->probe_prefix, "%sp", config->prefix);
        run->probe_setup = setup_of(run, config, &run->probe_plan, run->probe_prefix);
        name_probes(run);
        code = open_fleet(&run->probes, &run->probe_setup, 1, err);
    }
    return code;
}

// Of all crews together, or of clients and probes, each of which have ports of their own on a route.
static int64_t clients_per_route(const struct run *run)
{
    int64_t sum = run->crews ? 0 : plan_per_route(&run->plan);
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        sum += plan_per_route(&run->crews[i].plan);
    return run->probes ? sum + plan_per_route(&run->probe_plan) : sum;
}

// A process or a thread that could not be started: which limit that is.
static void explain(int code, struct err *err)
{
    char text[200], said[sizeof err->text];
    if (code != -EAGAIN && code != -ENOMEM)
        return;
    memcpy(said, err->text, sizeof said);
    err_set(err, code, "%.300s; %s", said, ceilings_of_start(code, text, sizeof text));
}

int run_open(struct run *run, const struct config *config, struct record *record, struct err *err)
{
    *run = (struct run){.config = config,
                        .record = record,
                        .ranks = config->ranks,
                        .phase = "start",
                        .wanted = config->connections,
                        .signals = -1};
    strangers_init(&run->strangers);
    run->moment.at_ns = run->started_ns = clock_now_ns();
    // Workers are forked while this process is small and has one thread.
    int code = open_signals(run, err);
    if (code == 0)
        code = draw_number(run, err);
    if (code == 0)
        code = open_workers(run, err);
    if (code == 0)
        code = open_histograms(run, err);
    run->log_wall_ns = clock_wall_ns();
    run->interval_from_ns = run->log_ns = clock_now_ns();
    if (code == 0 &&
        (code = targets_open(&run->targets, config->watch_pids, config->watch.count, run->started_ns)) < 0)
        err_set(err, code, "out of memory for the watched processes");
    if (code == 0 &&
        (code = stops_open(&run->stops, config->watch_pids, config->watch.count, run->started_ns)) < 0)
        err_set(err, code, "out of memory for the watched processes");
    if (code == 0 &&
        (code = execs_open(&run->execs, config->watch_pids, config->watch.count, run->started_ns)) < 0)
        err_set(err, code, "out of memory for the watched processes");
    ceilings_start(&run->ceilings, config->watch_pids, config->watch.count);
    loads_open(&run->loads, config->watch.count);
    run->highest_bytes = config->watch.count == 1 ? procmem_highest((pid_t)config->watch_pids[0]) : -1;
    owners_look(&run->owners, &run->plan, config->watch_pids, config->watch.count);
    if (code == 0 && config->watch.count > 0 &&
        (code = census_open(&run->census, &run->plan, clients_per_route(run), config->watch_pids[0])) < 0)
        err_set(err, code, "out of memory for the census of sockets");
    census_widen(run->census, &(struct census_target){.ports = run->owners.ports,
                                                      .port_count = run->owners.port_count,
                                                      .outgoing = &run->owners.outgoing,
                                                      .pids = config->watch_pids,
                                                      .pid_count = config->watch.count});
    if (code == 0 && config->watch.count > 0 && (!run->ranks || ranks_lead(run->ranks)))
        kept_read(&run->kept.start, &run->plan, &config->identity, config->watch_pids, config->watch.count);
    surroundings_start(&run->surroundings, config->watch_pids, config->watch.count);
    char path[4096];
    if (code == 0 && own_file(run, "latency.hlog", path, sizeof path))
        code = hist_log_open(&run->log, path, run->log_wall_ns, err);
    if (code == 0)
        code = open_sampler(run, err);
    if (code == 0)
        code = views_open(&run->views, config, err);
    if (code < 0) {
        explain(code, err);
        run_close(run);
    }
    return code;
}

void run_close_files(struct run *run)
{
    // The account of a file has its lost lines.
    if (run->sampler)
        (void)!sampler_close(run->sampler, &run->sampler_account);
    run->sampler = NULL;
    if (run->log)
        (void)!hist_log_close(run->log, &run->log_account);
    run->log = NULL;
}

void run_close(struct run *run)
{
    run_close_files(run);
    views_close(&run->views);
    targets_close(&run->targets);
    stops_close(&run->stops);
    loads_close(&run->loads);
    execs_close(&run->execs);
    census_close(run->census);
    owners_close(&run->owners);
    fleet_close(run->probes);
    fleet_close(run->fleet);
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        crew_close(&run->crews[i]);
    free(run->crews);
    run->crews = NULL;
    if (run->signals >= 0)
        close(run->signals);
    if (run->hist_memory)
        munmap(run->hist_memory, run->hist_memory_bytes);
    latency_shared_close(run->latency);
    board_close(run->board);
    free(run->places);
    if (run->setup.arrival_times)
        munmap(run->setup.arrival_times, (size_t)run->plan.clients * sizeof *run->setup.arrival_times);
    plan_free(&run->plan);
    plan_free(&run->probe_plan);
}
