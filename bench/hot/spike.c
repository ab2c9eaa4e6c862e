// SPDX-License-Identifier: Apache-2.0
// The spike of HikariCP's benchmark ("Welcome to the Jungle", documents/Welcome-To-The-Jungle.md of
// brettwooldridge/HikariCP). All is idle, then 50 threads want a connection at once from a pool of 5 to 50.
// A connect takes 150 ms, a use 2 ms. The first connections were opened without delay before. Samples each
// 250 us. After the last use it waits two connect times for opens that are still under way.
#include "base/clock.h"
#include "bench/hot/hot_bench.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_NS = 250000, SAMPLES_MAX = 200000 };
#define PATIENCE_NS (8 * NS_PER_S)

struct sample {
    int64_t at_ns;
    struct bench_counts counts;
};

struct spike {
    const struct hot_bench_config *config;
    const struct hot_contender *contender;
    void *pool;
    struct backend backend;
    int64_t *waits_ns; // by thread, also of one that got no connection
    _Atomic int64_t failed;
    _Atomic int64_t left;
    _Atomic int64_t end_ns; // of the last use
    struct sample *samples;
    int64_t sample_count, late; // late: taken after the next was due
};

static void use_once(void *context, int number)
{
    struct spike *spike = context;
    struct backend_connection *connection = NULL;
    void *handle = NULL;
    int64_t from_ns = clock_now_ns();
    int code = spike->contender->take(spike->pool, PATIENCE_NS, &handle, &connection);
    int64_t got_ns = clock_now_ns();
    spike->waits_ns[number] = got_ns - from_ns;
    if (code < 0) {
        atomic_fetch_add(&spike->failed, 1);
    } else {
        clock_sleep_until_ns(got_ns + spike->config->use_ns);
        spike->contender->give(spike->pool, handle, true);
    }
    if (atomic_fetch_sub(&spike->left, 1) == 1)
        atomic_store(&spike->end_ns, clock_now_ns());
}

static void sample_until_done(struct spike *spike, int64_t from_ns)
{
    for (int64_t due_ns = from_ns; atomic_load(&spike->left) > 0; due_ns += SAMPLE_NS) {
        clock_sleep_until_ns(due_ns);
        if (spike->sample_count == SAMPLES_MAX)
            continue;
        struct sample *sample = &spike->samples[spike->sample_count++];
        sample->at_ns = clock_now_ns() - from_ns;
        spike->late += sample->at_ns > due_ns - from_ns + SAMPLE_NS;
        spike->contender->counts(spike->pool, &sample->counts);
    }
}

static int write_samples(const struct spike *spike, struct err *err)
{
    FILE *file = spike->config->samples ? fopen(spike->config->samples, "a") : NULL;
    if (!spike->config->samples)
        return 0;
    if (!file) {
        (void)snprintf(err->text, sizeof err->text, "%s cannot be written: %s", spike->config->samples,
                       strerror(errno));
        return -EIO;
    }
    fprintf(file, "contender,at_us,total,active,idle,waiting\n");
    for (int64_t i = 0; i < spike->sample_count; i++) {
        const struct sample *sample = &spike->samples[i];
        fprintf(file, "%s,%lld,%lld,%lld,%lld,%lld\n", spike->contender->name,
                (long long)(sample->at_ns / NS_PER_US), (long long)sample->counts.total,
                (long long)sample->counts.active, (long long)sample->counts.idle,
                (long long)sample->counts.waiting);
    }
    bool wrong = ferror(file) != 0; // an earlier line was not written, though the last may be
    wrong = fclose(file) != 0 || wrong;
    if (wrong)
        (void)snprintf(err->text, sizeof err->text, "%s: not all samples could be written",
                       spike->config->samples);
    return wrong ? -EIO : 0;
}

static void report(struct spike *spike, int64_t from_ns, json_t *metrics)
{
    struct bench_counts at_end, settled;
    int64_t most = 0;
    spike->contender->counts(spike->pool, &at_end);
    clock_sleep_until_ns(clock_now_ns() + 2 * spike->config->connect_ns);
    spike->contender->counts(spike->pool, &settled);
    for (int64_t i = 0; i < spike->sample_count; i++) {
        if (spike->samples[i].counts.waiting > most)
            most = spike->samples[i].counts.waiting;
    }
    hot_bench_add(metrics, "spike.connections_at_end", (double)at_end.total);
    hot_bench_add(metrics, "spike.connections_settled", (double)settled.total);
    hot_bench_add(metrics, "spike.opened",
                  (double)(atomic_load(&spike->backend.opened) - spike->config->least));
    hot_bench_add(metrics, "spike.duration_ns", (double)(atomic_load(&spike->end_ns) - from_ns));
    hot_bench_add_times(metrics, "spike.wait_ns", spike->waits_ns, spike->config->threads);
    hot_bench_add(metrics, "spike.failed", (double)atomic_load(&spike->failed));
    hot_bench_add(metrics, "spike.most_waiting", (double)most);
    hot_bench_add(metrics, "spike.samples", (double)spike->sample_count);
    hot_bench_add(metrics, "spike.samples_late", (double)spike->late);
}

int hot_spike(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
              struct err *err)
{
    struct spike spike = {.config = config, .contender = contender};
    struct bench_limits limits = {(int)config->least, (int)config->most, PATIENCE_NS};
    struct crew *crew = NULL;
    int code = -ENOMEM;
    atomic_store(&spike.left, config->threads);
    spike.waits_ns = calloc((size_t)config->threads, sizeof *spike.waits_ns);
    spike.samples = calloc(SAMPLES_MAX, sizeof *spike.samples);
    if (!spike.waits_ns || !spike.samples)
        goto done;
    code = contender->open(&spike.pool, &spike.backend, &limits);
    if (code == 0)
        code = crew_start(&crew, (int)config->threads, use_once, &spike);
    if (code == 0) {
        atomic_store(&spike.backend.connect_ns, config->connect_ns);
        int64_t from_ns = clock_now_ns();
        crew_go(crew);
        sample_until_done(&spike, from_ns);
        crew_join(crew);
        report(&spike, from_ns, metrics);
        code = write_samples(&spike, err);
    }
    if (spike.pool)
        contender->close(spike.pool);
done:
    free(spike.waits_ns);
    free(spike.samples);
    return code;
}
