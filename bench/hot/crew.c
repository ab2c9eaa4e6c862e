// SPDX-License-Identifier: Apache-2.0
#include "bench/hot/hot_bench.h"

#include "base/hist.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct crew {
    crew_function *work;
    void *context;
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t go, ready;
    int count, waiting;
    bool gone;
    struct member {
        struct crew *crew;
        int number;
        pthread_t thread;
    } members[];
};

static void *run(void *context)
{
    struct member *member = context;
    struct crew *crew = member->crew;
    pthread_mutex_lock(&crew->lock);
    crew->waiting++;
    pthread_cond_signal(&crew->ready);
    while (!crew->gone)
        pthread_cond_wait(&crew->go, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    crew->work(crew->context, member->number);
    return NULL;
}

int crew_start(struct crew **started, int count, crew_function *work, void *context)
{
    struct crew *crew = calloc(1, sizeof *crew + (size_t)count * sizeof crew->members[0]);
    if (!crew)
        return -ENOMEM;
    crew->work = work;
    crew->context = context;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->go, NULL);
    pthread_cond_init(&crew->ready, NULL);
    int code = 0;
    for (; crew->count < count && code == 0; crew->count += code == 0) {
        struct member *member = &crew->members[crew->count];
        *member = (struct member){.crew = crew, .number = crew->count};
        code = -pthread_create(&member->thread, NULL, run, member);
    }
    pthread_mutex_lock(&crew->lock);
    while (crew->waiting < crew->count)
        pthread_cond_wait(&crew->ready, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    *started = crew;
    return code;
}

void crew_go(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->gone = true;
    pthread_cond_broadcast(&crew->go);
    pthread_mutex_unlock(&crew->lock);
}

void crew_join(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        pthread_join(crew->members[i].thread, NULL);
    pthread_cond_destroy(&crew->go);
    pthread_cond_destroy(&crew->ready);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}

void hot_bench_add(json_t *metrics, const char *name, double value)
{
    if (!isfinite(value))
        return;
    json_object_set_new(metrics, name, json_real(value));
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

void hot_bench_add_times(json_t *metrics, const char *prefix, int64_t *ns, int64_t count)
{
    static const struct {
        const char *name;
        double part;
    } ranks[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1}};
    char name[64];
    if (count == 0)
        return;
    qsort(ns, (size_t)count, sizeof ns[0], by_size);
    for (size_t i = 0; i < 3; i++) {
        // Of too few samples it would be the longest by another name.
        if (count < hist_percentile_takes(100 * ranks[i].part))
            continue;
        snprintf(name, sizeof name, "%s.%s", prefix, ranks[i].name);
        hot_bench_add(metrics, name, (double)ns[hist_percentile_rank(count, 100 * ranks[i].part) - 1]);
    }
}
