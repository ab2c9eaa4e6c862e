// SPDX-License-Identifier: Apache-2.0
// For tests of what every engine promises (loadgen/engine.h): an engine with a few clients, connected to a peer that answers at
// once, and the events that came.
//
//     static struct engine_bench bench;
//     engine_bench_start(&bench, engine, &(struct responder_config){0}, 60 * NS_PER_S, 0);
//     engine_bench_connect_all(&bench);
//     engine_bench_stop(&bench);
#ifndef POOLMARK_TESTS_ENGINE_BENCH_H
#define POOLMARK_TESTS_ENGINE_BENCH_H

#include "loadgen/engine.h"
#include "loadgen/responder.h"

#include <pthread.h>

enum { ENGINE_BENCH_CLIENTS = 8, ENGINE_BENCH_EVENTS_MAX = 4096, ENGINE_BENCH_KINDS = ENGINE_PONG + 1 };

struct engine_bench {
    const struct engine *engine;
    struct responder *responder;
    pthread_t thread;
    struct plan plan;
    struct engine_run *run;
    int counts[ENGINE_BENCH_KINDS];
    struct engine_event events[ENGINE_BENCH_EVENTS_MAX]; // the first ones
    int event_count;
};

void engine_bench_start(struct engine_bench *bench, const struct engine *engine,
                        const struct responder_config *config, int64_t timeout_ns, int keep_alive_s);
void engine_bench_stop(struct engine_bench *bench);
// The listener, with the bench as its context.
void engine_bench_listen(void *context, const struct engine_event *event);
// Steps until so many events of the kind have come.
void engine_bench_step_until(struct engine_bench *bench, enum engine_event_kind kind, int count);
void engine_bench_connect_all(struct engine_bench *bench);
const struct engine_event *engine_bench_event(const struct engine_bench *bench, enum engine_event_kind kind,
                                              int nth);

void engine_bench_for_each(void (*check)(const struct engine *engine));
// test_NAME: check_NAME with every engine.
#define ENGINE_BENCH_FOR_EACH(name)                                                                          \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        engine_bench_for_each(check_##name);                                                                 \
    }

#endif
