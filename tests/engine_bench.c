// SPDX-License-Identifier: Apache-2.0
#include "tests/engine_bench.h"

#include "base/clock.h"
#include "loadgen/engines/engines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

void engine_bench_listen(void *context, const struct engine_event *event)
{
    struct engine_bench *bench = context;
    bench->counts[event->kind]++;
    if (bench->event_count < ENGINE_BENCH_EVENTS_MAX)
        bench->events[bench->event_count++] = *event;
}

static void *respond(void *context)
{
    responder_run(context);
    return NULL;
}

void engine_bench_start(struct engine_bench *bench, const struct engine *engine,
                        const struct responder_config *config, int64_t timeout_ns, int keep_alive_s)
{
    *bench = (struct engine_bench){.engine = engine};
    struct err err = {0};
    if (responder_open(&bench->responder, config, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pthread_create(&bench->thread, NULL, respond, bench->responder), 0);
    char target[40];
    snprintf(target, sizeof target, "mqtt://127.0.0.1:%u", (unsigned)responder_port(bench->responder));
    const char *targets[] = {target};
    struct plan_request request = {.clients = ENGINE_BENCH_CLIENTS,
                                   .engine_clients = ENGINE_BENCH_CLIENTS,
                                   .clients_max = ENGINE_BENCH_CLIENTS,
                                   .cores = 1,
                                   .can_bind = engine->caps & ENGINE_CAP_BIND,
                                   .targets = targets,
                                   .target_count = 1};
    if (plan_make(&bench->plan, &request, &err) < 0)
        fail_msg("%s", err.text);
    struct engine_config engine_config = {.plan = &bench->plan,
                                          .clients = ENGINE_BENCH_CLIENTS,
                                          .prefix = "test",
                                          .timeout_ns = timeout_ns,
                                          .keep_alive_s = keep_alive_s,
                                          .listener = engine_bench_listen,
                                          .context = bench};
    if (engine->open(&bench->run, &engine_config, &err) < 0)
        fail_msg("%s", err.text);
}

void engine_bench_stop(struct engine_bench *bench)
{
    bench->engine->close(bench->run);
    responder_stop(bench->responder);
    pthread_join(bench->thread, NULL);
    responder_close(bench->responder);
    plan_free(&bench->plan);
}

void engine_bench_step_until(struct engine_bench *bench, enum engine_event_kind kind, int count)
{
    int64_t limit_ns = clock_now_ns() + 60 * NS_PER_S;
    while (bench->counts[kind] < count) {
        if (clock_now_ns() > limit_ns)
            fail_msg("%s: %d events of kind %d, %d awaited; failed %d, closed %d, dropped %d",
                     bench->engine->name, bench->counts[kind], kind, count, bench->counts[ENGINE_FAILED],
                     bench->counts[ENGINE_CLOSED], bench->counts[ENGINE_DROPPED]);
        bench->engine->step(bench->run, clock_now_ns() + 50 * NS_PER_MS);
    }
}

void engine_bench_connect_all(struct engine_bench *bench)
{
    for (int i = 0; i < ENGINE_BENCH_CLIENTS; i++)
        assert_int_equal(bench->engine->connect(bench->run, i), 0);
    engine_bench_step_until(bench, ENGINE_CONNECTED, ENGINE_BENCH_CLIENTS);
}

const struct engine_event *engine_bench_event(const struct engine_bench *bench, enum engine_event_kind kind,
                                              int nth)
{
    for (int i = 0; i < bench->event_count; i++)
        if (bench->events[i].kind == kind && nth-- == 0)
            return &bench->events[i];
    fail_msg("no such event");
    return NULL;
}

void engine_bench_for_each(void (*check)(const struct engine *))
{
    for (const struct engine *const *engine = engine_list(); *engine; engine++)
        check(*engine);
}
