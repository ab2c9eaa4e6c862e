// SPDX-License-Identifier: Apache-2.0
#include "loadgen/self_latency.h"

#include "base/clock.h"
#include "loadgen/fleet.h"
#include "loadgen/latency.h"
#include "loadgen/responder.h"
#include "loadgen/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 30 };

static pid_t start_responder(struct responder *responder)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        responder_run(responder);
    _exit(0);
}

static bool carry_out(struct fleet *fleet, struct fleet_order *order)
{
    order->at_ns = clock_now_ns() + 20 * NS_PER_MS;
    fleet_give(fleet, order);
    int64_t limit_ns = clock_now_ns() + LIMIT_S * NS_PER_S;
    while (fleet_poll(fleet, clock_now_ns()) > 0 && clock_now_ns() < limit_ns)
        clock_sleep_until_ns(clock_now_ns() + 5 * NS_PER_MS);
    return fleet_died(fleet) == 0;
}

static int publish_through(const struct engine *engine, const struct plan *plan,
                           struct latency_shared *shared, struct err *err)
{
    struct worker_setup setup = {.engine = engine,
                                 .plan = plan,
                                 .latency = shared,
                                 .prefix = "self",
                                 .timeout_ns = LIMIT_S * NS_PER_S};
    struct fleet_config config = {
        .workers = 1, .work = worker_run, .context = &setup, .clients_of = worker_clients};
    struct fleet *fleet;
    int code = fleet_open(&fleet, &config, err);
    if (code < 0)
        return code;
    struct fleet_order connect = {
        .act = FLEET_CONNECT, .subscribe = FLEET_SUBSCRIBE_PAIR, .goal = 2, .pattern = pattern_pairs(1)};
    struct fleet_order publish = {.act = FLEET_PUBLISH,
                                  .pattern = pattern_pairs(1),
                                  .rate_per_s = 1000,
                                  .warmup_ns = 500 * NS_PER_MS,
                                  .duration_ns = 2500 * NS_PER_MS,
                                  .drain_ns = NS_PER_S,
                                  .payload_bytes = PAYLOAD_MIN_BYTES * 2};
    if (!carry_out(fleet, &connect) || !carry_out(fleet, &publish))
        code = err_set(err, -ECHILD, "the worker that measures the generator itself died");
    fleet_close(fleet);
    return code;
}

static int read_out(struct self_latency *latency, struct latency_shared *shared, struct err *err)
{
    char *memory = aligned_alloc(64, LATENCY_COUNT * hist_bytes());
    if (!memory)
        return err_set(err, -ENOMEM, "out of memory for histograms");
    memset(memory, 0, LATENCY_COUNT * hist_bytes());
    struct hist *hists[LATENCY_COUNT];
    for (int i = 0; i < LATENCY_COUNT; i++)
        hists[i] = hist_init(memory + (size_t)i * hist_bytes());
    latency_collect(shared, hists, NULL);
    const struct hist *delivery = hists[LATENCY_DELIVERY];
    *latency = (struct self_latency){.p50_ns = hist_percentile(delivery, 50),
                                     .p99_ns = hist_percentile(delivery, 99),
                                     .max_ns = hist_max(delivery),
                                     .messages = hist_count(delivery)};
    free(memory);
    return 0;
}

int self_latency_measure(struct self_latency *latency, const struct engine *engine, struct err *err)
{
    struct responder *responder;
    int code = responder_open(&responder, &(struct responder_config){0}, err);
    if (code < 0)
        return code;
    struct plan plan = {0};
    struct latency_shared *shared = NULL;
    char target[40];
    snprintf(target, sizeof target, "mqtt://127.0.0.1:%u", (unsigned)responder_port(responder));
    const char *targets[] = {target};
    struct plan_request request = {.clients = 2,
                                   .clients_per_worker = 2,
                                   .engine_clients = 2,
                                   .clients_max = 2,
                                   .cores = 1,
                                   .even = true,
                                   .targets = targets,
                                   .target_count = 1};
    pid_t pid = start_responder(responder);
    if (pid < 0)
        code = err_set(err, -errno, "cannot start the peer that answers at once: %m");
    if (code == 0)
        code = plan_make(&plan, &request, err);
    if (code == 0)
        code = latency_shared_open(&shared, 1, err);
    if (code == 0)
        code = publish_through(engine, &plan, shared, err);
    if (code == 0)
        code = read_out(latency, shared, err);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    latency_shared_close(shared);
    plan_free(&plan);
    responder_close(responder);
    return code;
}
