// SPDX-License-Identifier: Apache-2.0
// Two scenarios. The backend goes down and comes back, by refusing (a process died) or by silence (a cable
// was pulled). Or the backend connects slowly while connections break. Threads take, use and give back all
// the time; a take may wait for a quarter of a phase.
#include "base/clock.h"
#include "bench/hot/hot_bench.h"

#include <errno.h>
#include <stdlib.h>

#define LATEST_NS (5 * NS_PER_S) // a first use is awaited so long beyond the phase

enum phase { BEFORE, DURING, AFTER, PHASES };

struct outage {
    const struct hot_bench_config *config;
    const struct hot_contender *contender;
    void *pool;
    struct backend backend;
    int64_t timeout_ns;
    int break_each; // one of so many uses breaks its connection; 0: none
    _Atomic int phase;
    _Atomic bool over;
    _Atomic int64_t served[PHASES], failed[PHASES];
    _Atomic int64_t first_after_ns;  // time of the first use that worked after the backend was back
    _Atomic int64_t longest_over_ns; // a take beyond its time-out
    _Atomic int64_t longest_ns[PHASES];
};

static void raise_to(_Atomic int64_t *most, int64_t value)
{
    int64_t seen = atomic_load(most);
    while (value > seen && !atomic_compare_exchange_weak(most, &seen, value)) {
    }
}

static void use_on(void *context, int number)
{
    struct outage *outage = context;
    for (int64_t i = number; !atomic_load(&outage->over); i++) {
        struct backend_connection *connection = NULL;
        void *handle = NULL;
        int phase = atomic_load(&outage->phase);
        int64_t from_ns = clock_now_ns();
        int code = outage->contender->take(outage->pool, outage->timeout_ns, &handle, &connection);
        int64_t got_ns = clock_now_ns();
        raise_to(&outage->longest_over_ns, got_ns - from_ns - outage->timeout_ns);
        raise_to(&outage->longest_ns[phase], got_ns - from_ns);
        bool works = code == 0 && backend_works(connection);
        if (works)
            clock_sleep_until_ns(got_ns + outage->config->use_ns);
        works = works && backend_works(connection);
        bool breaks = outage->break_each && i % outage->break_each == 0;
        if (code == 0)
            outage->contender->give(outage->pool, handle, works && !breaks);
        else if (got_ns - from_ns < NS_PER_MS)
            clock_sleep_until_ns(got_ns + NS_PER_MS); // a thread refused at once waits before it retries
        atomic_fetch_add(works ? &outage->served[phase] : &outage->failed[phase], 1);
        int64_t none = 0;
        if (works && phase == AFTER)
            atomic_compare_exchange_strong(&outage->first_after_ns, &none, clock_now_ns());
    }
}

static int begin(struct outage *outage, struct crew **crew)
{
    const struct hot_bench_config *config = outage->config;
    struct bench_limits limits = {(int)config->least, (int)config->most, config->phase_ns / 4};
    outage->timeout_ns = config->phase_ns / 4;
    int code = outage->contender->open(&outage->pool, &outage->backend, &limits);
    return code < 0 ? code : crew_start(crew, (int)config->threads, use_on, outage);
}

static void pass_phase(struct outage *outage, enum phase phase)
{
    atomic_store(&outage->phase, phase);
    clock_sleep_until_ns(clock_now_ns() + outage->config->phase_ns);
}

// A pool whose pause is longer than the phase recovers after it.
static int64_t await_first(struct outage *outage)
{
    int64_t until_ns = clock_now_ns() + LATEST_NS;
    while (atomic_load(&outage->first_after_ns) == 0 && clock_now_ns() < until_ns)
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    return atomic_load(&outage->first_after_ns);
}

static void finish(struct outage *outage, struct crew *crew)
{
    atomic_store(&outage->over, true);
    if (crew)
        crew_join(crew);
    if (outage->pool)
        outage->contender->close(outage->pool);
}

static int go_down(const struct hot_bench_config *config, const struct hot_contender *contender,
                   enum backend_state how, const char *const names[], json_t *metrics)
{
    struct outage outage = {.config = config, .contender = contender};
    struct crew *crew = NULL;
    int code = begin(&outage, &crew);
    if (code == 0) {
        atomic_store(&outage.backend.connect_ns, 10 * NS_PER_MS);
        crew_go(crew);
        pass_phase(&outage, BEFORE);
        int64_t tries = atomic_load(&outage.backend.tries);
        atomic_store(&outage.backend.state, how);
        atomic_fetch_add(&outage.backend.era, 1);
        pass_phase(&outage, DURING);
        tries = atomic_load(&outage.backend.tries) - tries;
        int64_t back_ns = clock_now_ns();
        atomic_store(&outage.backend.state, BACKEND_WORKS);
        pass_phase(&outage, AFTER);
        int64_t served = atomic_load(&outage.served[AFTER]);
        int64_t first_ns = await_first(&outage);
        hot_bench_add(metrics, names[0], (double)tries);
        hot_bench_add(metrics, names[1], (double)atomic_load(&outage.longest_over_ns));
        if (first_ns > 0) // a pool that did not recover has no such time
            hot_bench_add(metrics, names[2], (double)(first_ns - back_ns));
        hot_bench_add(metrics, names[3],
                      100.0 * (double)served / (double)atomic_load(&outage.served[BEFORE]));
    }
    finish(&outage, crew);
    return code;
}

int hot_outage(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
               struct err *err)
{
    static const char *const refused[] = {"outage.refused.opens_tried", "outage.refused.longest_over_ns",
                                          "outage.refused.back_ns", "outage.refused.served_percent"};
    static const char *const silent[] = {"outage.silent.opens_tried", "outage.silent.longest_over_ns",
                                         "outage.silent.back_ns", "outage.silent.served_percent"};
    (void)err;
    int code = go_down(config, contender, BACKEND_REFUSES, refused, metrics);
    return code < 0 ? code : go_down(config, contender, BACKEND_HANGS, silent, metrics);
}

int hot_slow(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
             struct err *err)
{
    struct outage outage = {.config = config, .contender = contender, .break_each = 50};
    struct crew *crew = NULL;
    (void)err;
    int code = begin(&outage, &crew);
    if (code == 0) {
        crew_go(crew);
        pass_phase(&outage, BEFORE);
        atomic_store(&outage.backend.connect_ns, config->connect_ns);
        pass_phase(&outage, DURING);
        hot_bench_add(metrics, "slow.fast_per_s",
                      (double)atomic_load(&outage.served[BEFORE]) / ((double)config->phase_ns * 1e-9));
        hot_bench_add(metrics, "slow.slow_per_s",
                      (double)atomic_load(&outage.served[DURING]) / ((double)config->phase_ns * 1e-9));
        hot_bench_add(metrics, "slow.failed", (double)atomic_load(&outage.failed[DURING]));
        hot_bench_add(metrics, "slow.longest_wait_ns", (double)atomic_load(&outage.longest_ns[DURING]));
    }
    finish(&outage, crew);
    return code;
}
