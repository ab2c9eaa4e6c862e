// SPDX-License-Identifier: Apache-2.0
#include "bench/get_trace.h"

#include "bench/workload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 1024, AROUND_ROWS = 1500, SLOW_ROWS = 1200 };

struct moment {
    int64_t at_ns, owned; // owned: the number from then on; -1: no change, only of interest
};

struct get_trace {
    FILE *file;
    struct pool *pool; // asked after each get; NULL: the pool emits events
    struct moment *gets;
    int64_t count, capacity, owned_at_first;

    pthread_mutex_t lock; // guards the rest: pools emit events on their own thread
    struct moment events[EVENTS_MAX];
    int event_count;
};

struct get_trace *get_trace_open(struct gb_state *state, const char *path, int64_t gets)
{
    struct get_trace *trace = bench_map(state, sizeof *trace);
    if (!trace)
        return NULL;
    struct moment *moments = bench_map(state, (size_t)gets * sizeof *moments);
    if (!moments)
        goto fail_moments;
    FILE *file = fopen(path, "w");
    if (!file) {
        char text[256];
        snprintf(text, sizeof text, "--poolmark_trace: %s: %s", path, strerror(errno));
        gb_skip(state, text);
        goto fail_file;
    }
    *trace = (struct get_trace){.file = file, .gets = moments, .capacity = gets};
    pthread_mutex_init(&trace->lock, NULL);
    return trace;

fail_file:
    bench_unmap(moments, (size_t)gets * sizeof *moments);
fail_moments:
    bench_unmap(trace, sizeof *trace);
    return NULL;
}

void get_trace_close(struct get_trace *trace)
{
    if (!trace)
        return;
    fclose(trace->file);
    pthread_mutex_destroy(&trace->lock);
    bench_unmap(trace->gets, (size_t)trace->capacity * sizeof *trace->gets);
    bench_unmap(trace, sizeof *trace);
}

static void keep_locked(struct get_trace *trace, int64_t at_ns, int64_t owned)
{
    if (trace->event_count < EVENTS_MAX)
        trace->events[trace->event_count++] = (struct moment){at_ns, owned};
}

void get_trace_listen(void *context, const char *pool_name, const struct pool_event *event)
{
    struct get_trace *trace = context;
    (void)pool_name;
    pthread_mutex_lock(&trace->lock);
    if (event->kind != POOL_EVENT_REFUSE) {
        keep_locked(trace, event->at_ns - event->duration_ns, -1);
        keep_locked(trace, event->at_ns, event->to);
    }
    pthread_mutex_unlock(&trace->lock);
}

static int64_t owned_by(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats.unknown ? -1 : stats.owned;
}

void get_trace_begin(struct get_trace *trace, struct pool *pool)
{
    trace->count = 0;
    trace->owned_at_first = pool ? owned_by(pool) : 0;
    bool tells = !pool || (pool_strategy_caps(pool_strategy_of(pool)) & POOL_CAP_GROWS);
    trace->pool = tells ? NULL : pool;
    pthread_mutex_lock(&trace->lock);
    trace->event_count = 0;
    pthread_mutex_unlock(&trace->lock);
}

void get_trace_add(struct get_trace *trace, int64_t from_ns)
{
    if (trace->count < trace->capacity)
        trace->gets[trace->count++] = (struct moment){from_ns, trace->pool ? owned_by(trace->pool) : 0};
}

// The first get that began after at_ns.
static int64_t first_after(const struct get_trace *trace, int64_t at_ns)
{
    int64_t low = 0, high = trace->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (trace->gets[middle].at_ns <= at_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int by_time(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

// The limit above which at most SLOW_ROWS gets lie. `sorted`: room for all gets.
static uint32_t slow_limit(const struct latency *times, int64_t count, uint32_t *sorted)
{
    if (count <= SLOW_ROWS)
        return 0;
    memcpy(sorted, times->ns, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_time);
    return sorted[count - SLOW_ROWS];
}

static void mark_around(const struct get_trace *trace, bool *kept)
{
    int64_t around = trace->event_count ? AROUND_ROWS / trace->event_count / 2 : 0;
    for (int i = 0; i < trace->event_count; i++) {
        int64_t at = first_after(trace, trace->events[i].at_ns), from = at > around ? at - around : 0;
        for (int64_t get = from; get < at + around && get < trace->count; get++)
            kept[get] = true;
    }
}

static void write_row(FILE *file, int64_t get, uint32_t time_ns, int64_t owned)
{
    if (owned < 0) // the pool keeps no statistics
        fprintf(file, "%lld,%u,\n", (long long)get, time_ns);
    else
        fprintf(file, "%lld,%u,%lld\n", (long long)get, time_ns, (long long)owned);
}

static void write_kept(struct get_trace *trace, const struct latency *times, const bool *kept)
{
    int64_t owned = trace->owned_at_first;
    int next = 0;
    fprintf(trace->file, "get,time_ns,owned_objects\n");
    for (int64_t get = 0; get < trace->count; get++) {
        const struct moment *moment = &trace->gets[get];
        for (; next < trace->event_count && trace->events[next].at_ns <= moment->at_ns; next++) {
            if (trace->events[next].owned >= 0)
                owned = trace->events[next].owned;
        }
        if (kept[get])
            write_row(trace->file, get, times->ns[get], trace->pool ? moment->owned : owned);
    }
}

void get_trace_write(struct get_trace *trace, struct gb_state *state, const struct latency *times)
{
    int64_t count = trace->count = trace->count < times->count ? trace->count : times->count;
    bool *kept = calloc((size_t)count + 1, sizeof *kept);
    uint32_t *sorted = calloc((size_t)count + 1, sizeof *sorted);
    if (!kept || !sorted) {
        gb_skip(state, "no memory for a trace");
        goto done;
    }
    uint32_t limit = slow_limit(times, count, sorted);
    for (int64_t get = 0; get < count; get++)
        kept[get] = get % TRACE_EACH == 0 || get == count - 1 || times->ns[get] > limit;
    pthread_mutex_lock(&trace->lock);
    mark_around(trace, kept);
    rewind(trace->file);
    write_kept(trace, times, kept);
    pthread_mutex_unlock(&trace->lock);
    if (ferror(trace->file) || fflush(trace->file) != 0)
        gb_skip(state, "--poolmark_trace: the file cannot be written");
done:
    free(sorted);
    free(kept);
}
