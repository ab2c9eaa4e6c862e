// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run.h"

#include "base/clock.h"
#include "base/host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TICK_NS = 10000000,
    STRIPES_MAX = 8,
    LEVEL_EVERY_NS = 500000000,
    AWAKE_MAX = 64, // more workers of a restless engine than these sleep when they have nothing to do
};
#define ENDING_NS (NS_PER_S / 2) // so long a process may take to end after its sockets closed
#define HALT_NS (10 * NS_PER_S)  // so long workers may take to count what they had under way

// --- open and close ----------------------------------------------------------------------------------------

static int open_histograms(struct run *run, struct err *err)
{
    size_t bytes = 3 * LATENCY_COUNT * hist_bytes();
    run->hist_memory = aligned_alloc(64, bytes);
    if (!run->hist_memory)
        return err_set(err, -ENOMEM, "out of memory for histograms");
    memset(run->hist_memory, 0, bytes);
    char *at = run->hist_memory;
    struct hist **sets[] = {run->interval, run->total, run->phase_hist};
    for (int set = 0; set < 3; set++)
        for (int kind = 0; kind < LATENCY_COUNT; kind++, at += hist_bytes())
            sets[set][kind] = hist_init(at);
    return 0;
}

static struct worker_setup setup_of(const struct run *run, const struct plan *plan, const char *prefix)
{
    const struct config *config = run->config;
    return (struct worker_setup){
        .engine = config->engine,
        .plan = plan,
        .latency = run->latency,
        .prefix = prefix,
        .timeout_ns = config->timeout_ns,
        .keep_alive_s = (int)config->keep_alive_s,
        .window = (int)config->window,
    };
}

static int fill_request(struct plan_request *request, const struct config *config, int64_t clients,
                        bool probes, struct err *err)
{
    const struct engine *engine = config->engine;
    int64_t limit;
    int code = host_raise_nofile(&limit, err);
    if (code < 0)
        return code;
    // Some descriptors are the process's own; the probes' plan is one worker with the first routes.
    int64_t holds = limit - 200 > 2 ? limit - 200 : 2;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *request = (struct plan_request){
        .clients = clients,
        .clients_per_worker = probes ? clients : config->clients_per_worker,
        .workers = probes ? 1 : (int)config->workers,
        .engine_clients = engine->clients < holds ? engine->clients : holds,
        .clients_max = engine->clients_max < holds ? engine->clients_max : holds,
        .cores = cores > 0 ? (int)cores : 1,
        .ranks = 1,
        .even = probes || config->even,
        .spread_pairs = config->spread_pairs,
        .can_bind = engine->caps & ENGINE_CAP_BIND,
        .targets = config->targets.values,
        .target_count = config->targets.count,
        .sources = config->sources.values,
        .source_count = config->sources.count,
    };
    return 0;
}

static int make_plan(struct plan *plan, const struct config *config, int64_t clients, bool probes,
                     struct err *err)
{
    struct plan_request request;
    int code = fill_request(&request, config, clients, probes, err);
    return code < 0 ? code : plan_make(plan, &request, err);
}

int run_divide(struct plan *plan, const struct config *config, struct err *err)
{
    struct plan_request request;
    *plan = (struct plan){.clients = config->connections, .ranks = 1};
    int code = fill_request(&request, config, config->connections, false, err);
    return code < 0 ? code : plan_divide(plan, &request, err);
}

int run_check(struct plan *plan, const struct config *config, struct err *err)
{
    return make_plan(plan, config, config->connections, false, err);
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
        .deep_sleep = (setup->engine->caps & ENGINE_CAP_RESTLESS) && setup->keep_alive_s == 0 &&
                      setup->plan->workers > AWAKE_MAX,
    };
    int code = fleet_open(fleet, &config, err);
    if (code < 0)
        return code;
    // Ready within a minute, or never.
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
    // nohup: whoever started this run wants it to outlive the terminal.
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    run->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signals < 0 ? err_set(err, -errno, "cannot make a signalfd: %m") : 0;
}

static int open_sampler(struct run *run, struct err *err)
{
    int count = fleet_workers(run->fleet);
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    if (!pids)
        return err_set(err, -ENOMEM, "out of memory for the sampler");
    for (int i = 0; i < count; i++)
        pids[i] = fleet_pid(run->fleet, i);
    char path[4096];
    struct sampler_config config = {
        .path = run->record ? record_path(run->record, "memory.csv", path, sizeof path) : NULL,
        .targets = run->config->watch_pids,
        .target_count = run->config->watch.count,
        .workers = pids,
        .worker_count = count,
    };
    int code = sampler_open(&run->sampler, &config, err);
    free(pids);
    return code;
}

static int open_workers(struct run *run, struct err *err)
{
    const struct config *config = run->config;
    const struct engine *engine = config->engine;
    int code = make_plan(&run->plan, config, config->connections, false, err);
    if (code < 0)
        return code;
    bool probes = config->probes > 0;
    if (probes && (code = make_plan(&run->probe_plan, config, config->probes, true, err)) < 0)
        return code;
    int stripes = run->plan.workers < STRIPES_MAX ? run->plan.workers : STRIPES_MAX;
    code = latency_shared_open(&run->latency, stripes, err);
    if (code < 0)
        return code;
    run->setup = setup_of(run, &run->plan, config->prefix);
    code =
        open_fleet(&run->fleet, &run->setup, config->tokens > 0 ? (int)config->tokens : engine->tokens, err);
    if (code == 0 && probes) {
        snprintf(run->probe_prefix, sizeof run->probe_prefix, "%sp", config->prefix);
        run->probe_setup = setup_of(run, &run->probe_plan, run->probe_prefix);
        code = open_fleet(&run->probes, &run->probe_setup, 1, err);
    }
    return code;
}

int run_open(struct run *run, const struct config *config, struct record *record, struct err *err)
{
    *run = (struct run){
        .config = config, .record = record, .phase = "start", .wanted = config->connections, .signals = -1};
    run->started_ns = clock_now_ns();
    // Workers are forked while this process is small and has one thread.
    int code = open_signals(run, err);
    if (code == 0)
        code = open_workers(run, err);
    if (code == 0)
        code = open_histograms(run, err);
    run->log_wall_ns = clock_wall_ns();
    run->interval_from_ns = run->log_ns = clock_now_ns();
    if (code == 0 &&
        (code = targets_open(&run->targets, config->watch_pids, config->watch.count, run->started_ns)) < 0)
        err_set(err, code, "out of memory for the watched processes");
    surroundings_start(&run->surroundings, config->watch_pids, config->watch.count);
    char path[4096];
    if (code == 0 && record)
        code = hist_log_open(&run->log, record_path(record, "latency.hlog", path, sizeof path),
                             run->log_wall_ns, err);
    if (code == 0)
        code = open_sampler(run, err);
    if (code < 0) {
        run_close(run);
        return code;
    }
    progress_start(&run->progress, config->quiet ? NULL : stderr, clock_now_ns());
    return 0;
}

void run_close_files(struct run *run)
{
    // What a file did not take is in its account.
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
    targets_close(&run->targets);
    fleet_close(run->probes);
    fleet_close(run->fleet);
    if (run->signals >= 0)
        close(run->signals);
    free(run->hist_memory);
    latency_shared_close(run->latency);
    plan_free(&run->plan);
    plan_free(&run->probe_plan);
}

// --- a tick ------------------------------------------------------------------------------------------------

void run_break(struct run *run, const char *format, ...)
{
    if (run->broken[0])
        return; // the first reason is the cause
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->broken, sizeof run->broken, format, arguments);
    va_end(arguments);
    run->broken_ns = clock_now_ns();
}

void run_anomaly(const struct run *run, const char *what, const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (run->record)
        record_anomaly(run->record, what, "%s", text);
    else if (!run->config->quiet)
        fprintf(stderr, "poolmark-loadgen: %s: %s\n", what, text);
}

bool run_is_broken(const struct run *run)
{
    return run->broken[0] != '\0';
}

static void collect(struct run *run)
{
    // The wall clock may be set meanwhile: an interval's place and length are the monotonic clock's.
    int64_t to_ns = clock_now_ns();
    int64_t log_ns = run->log_wall_ns - run->log_ns;
    int64_t censored[LATENCY_COUNT] = {0};
    latency_collect(run->latency, run->interval, censored);
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        run->censored[kind] += censored[kind];
        run->phase_censored[kind] += censored[kind];
        if (hist_count(run->interval[kind]) == 0)
            continue;
        if (run->log)
            hist_log_write(run->log, latency_name((enum latency_kind)kind), log_ns + run->interval_from_ns,
                           log_ns + to_ns, run->interval[kind]);
        hist_merge(run->total[kind], run->interval[kind]);
        hist_merge(run->phase_hist[kind], run->interval[kind]);
        hist_reset(run->interval[kind]);
    }
    run->interval_from_ns = to_ns;
}

static void look_for_trouble(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof info) == sizeof info) {
        run->interrupted = true;
        run_break(run, "interrupted by SIG%s", sigabbrev_np((int)info.ssi_signo));
    }
    int died = fleet_died(run->fleet) + (run->probes ? fleet_died(run->probes) : 0);
    if (died > 0)
        run_break(run, "%d worker process%s died", died, died == 1 ? "" : "es");
    char text[sizeof run->broken];
    targets_look(&run->targets, clock_now_ns());
    if (run->targets.ended > 0)
        run_break(run, "%s", targets_describe(&run->targets, text, sizeof text));
    if (run->lossy && run->tally.count[TALLY_OPEN] == 0 && tally_dropped(&run->tally) > 0)
        run_break(run, "every connection was lost");
}

static void read_tallies(struct run *run)
{
    run->tally = run->probe_tally = (struct tally){0};
    fleet_sum(run->fleet, &run->tally);
    if (run->probes)
        fleet_sum(run->probes, &run->probe_tally);
}

static void tick(struct run *run)
{
    struct pollfd wait = {.fd = run->signals, .events = POLLIN};
    struct timespec time = {.tv_nsec = TICK_NS};
    ppoll(&wait, 1, &time, NULL);
    int64_t now_ns = clock_now_ns();
    read_tallies(run);
    sampler_label(run->sampler, run->phase, run->tally.count[TALLY_OPEN],
                  run->tally.count[TALLY_CPU_NS] + run->probe_tally.count[TALLY_CPU_NS]);
    look_for_trouble(run);
    if (now_ns - run->shown_ns < NS_PER_S)
        return;
    run->shown_ns = now_ns;
    collect(run);
    surroundings_look(&run->surroundings);
    struct sample last;
    sampler_last(run->sampler, &last);
    struct tally shown = run->tally;
    shown.count[TALLY_RECEIVED] += run->probe_tally.count[TALLY_RECEIVED];
    struct progress_view view = {.phase = run->phase,
                                 .now_ns = now_ns,
                                 .wanted = run->wanted,
                                 .top = run->top,
                                 .publishing = run->publishing,
                                 .target_rss_bytes = last.target_rss_bytes,
                                 .tally = &shown};
    progress_show(&run->progress, &view);
}

// --- what scenarios are made of ----------------------------------------------------------------------------

void run_phase(struct run *run, const char *phase)
{
    collect(run);
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        hist_reset(run->phase_hist[kind]);
        run->phase_censored[kind] = 0;
    }
    run->phase = phase;
}

// The run ends in the middle of an order: what is under way is counted before anything is closed.
static void halt(struct run *run, struct fleet *fleet)
{
    run->halted = true;
    fleet_halt(fleet);
    int64_t limit_ns = clock_now_ns() + HALT_NS;
    while (fleet_poll(fleet, clock_now_ns()) > 0 && clock_now_ns() < limit_ns)
        clock_sleep_until_ns(clock_now_ns() + 2 * NS_PER_MS);
    read_tallies(run);
    collect(run);
}

static bool wait_for(struct run *run, struct fleet *fleet, int64_t limit_ns)
{
    for (;;) {
        int64_t now_ns = clock_now_ns();
        int busy = fleet_poll(fleet, now_ns);
        if (fleet != run->fleet)
            fleet_poll(run->fleet, now_ns);
        tick(run);
        if (busy == 0) {
            collect(run);
            return true;
        }
        if (now_ns >= limit_ns)
            run_break(run, "%d workers did not end the phase \"%s\" in time", busy, run->phase);
        if (run_is_broken(run)) {
            halt(run, fleet);
            return false;
        }
    }
}

bool run_order(struct run *run, struct fleet *fleet, struct fleet_order *order, int64_t limit_ns)
{
    if (run_is_broken(run))
        return false;
    // Time for every worker to wake up and read the order.
    order->at_ns = clock_now_ns() + 20 * NS_PER_MS + fleet_workers(fleet) * 100 * NS_PER_US;
    // And for its engine, where that needs some and the first act would show it.
    if (order->rate_per_s > 0 && run->setup.engine->expect)
        order->at_ns += NS_PER_S / 4;
    run->publishing = order->act == FLEET_PUBLISH;
    fleet_give(fleet, order);
    wait_for(run, fleet, order->at_ns + limit_ns);
    run->publishing = false;
    return !run_is_broken(run);
}

bool run_hold(struct run *run, int64_t ns)
{
    int64_t until_ns = clock_now_ns() + ns;
    while (!run_is_broken(run) && clock_now_ns() < until_ns) {
        fleet_poll(run->fleet, clock_now_ns());
        fleet_patrol(run->fleet, clock_now_ns());
        if (run->probes)
            fleet_poll(run->probes, clock_now_ns());
        tick(run);
    }
    return !run_is_broken(run);
}

bool run_sample(struct run *run, struct sample *sample)
{
    uint64_t ticket = sampler_request(run->sampler);
    while (!sampler_ready(run->sampler, ticket, sample)) {
        if (run_is_broken(run))
            return false;
        fleet_poll(run->fleet, clock_now_ns());
        tick(run);
    }
    return !run_is_broken(run);
}

int64_t run_level_slack(int64_t bytes)
{
    return bytes / 1000 > 65536 ? bytes / 1000 : 65536;
}

// Level: three readings in a row, half a second apart, within the slack of each other.
bool run_settle(struct run *run, int64_t limit_ns, struct sample *sample)
{
    int64_t until_ns = clock_now_ns() + limit_ns;
    int64_t before = -1;
    int level = 0;
    while (level < 2 && clock_now_ns() < until_ns && !run_is_broken(run)) {
        struct sample now;
        sample_read(&now, run->config->watch_pids, run->config->watch.count, NULL, 0, false);
        int64_t bytes = now.target_rss_bytes + now.kernel_slab_bytes + now.kernel_tcp_bytes;
        int64_t slack = run_level_slack(bytes);
        int64_t moved = bytes > before ? bytes - before : before - bytes;
        level = before >= 0 && moved <= slack ? level + 1 : 0;
        before = bytes;
        if (level < 2)
            run_hold(run, LEVEL_EVERY_NS);
    }
    return run_sample(run, sample);
}

void run_disconnect(struct run *run)
{
    run->lossy = false;
    run_phase(run, "close");
    if (run->interrupted || run->halted)
        return;
    struct fleet_order order = {.act = FLEET_CLOSE, .gated = true, .drain_ns = 30 * NS_PER_S};
    struct fleet *fleets[] = {run->probes, run->fleet};
    for (int i = 0; i < 2; i++) {
        if (!fleets[i])
            continue;
        order.at_ns = clock_now_ns() + 20 * NS_PER_MS;
        // A fleet that is still busy with an order that was broken off is stopped, not given another.
        if (fleet_poll(fleets[i], clock_now_ns()) > 0)
            continue;
        fleet_give(fleets[i], &order);
        int64_t until_ns = clock_now_ns() + 60 * NS_PER_S;
        while (fleet_poll(fleets[i], clock_now_ns()) > 0 && clock_now_ns() < until_ns && !run->interrupted)
            tick(run);
    }
    tick(run);
}

// The sockets of a process close before it has ended: clients may notice first.
void run_end_targets(struct run *run)
{
    const int64_t *failed = run->tally.failed;
    bool cut_off = failed[REASON_TCP_REFUSED] > 0 || failed[REASON_RESET] > 0 || failed[REASON_CLOSED] > 0 ||
                   failed[REASON_UNTOLD] > 0 || tally_dropped(&run->tally) > 0;
    int64_t limit_ns = clock_now_ns() + (cut_off && run->targets.count > 0 ? ENDING_NS : 0);
    targets_look(&run->targets, clock_now_ns());
    while (run->targets.ended == 0 && clock_now_ns() < limit_ns) {
        clock_sleep_until_ns(clock_now_ns() + TICK_NS);
        targets_look(&run->targets, clock_now_ns());
    }
    char text[sizeof run->broken];
    if (run->targets.ended > 0)
        run_anomaly(run, "target_ended",
                    "%s. Connections that were refused or closed from then on, and messages that were lost, "
                    "are of that",
                    targets_describe(&run->targets, text, sizeof text));
}
