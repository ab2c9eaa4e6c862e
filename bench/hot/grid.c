// SPDX-License-Identifier: Apache-2.0
// The grid of deadpool's benchmark (benches/managed.rs of bikeshedder/deadpool). Workers take connections
// from a pool and give them back at once, as fast as they can: from 8 workers x 2 connections to 32x32. A
// cell has 32 768 operations. Deadpool's workers are tasks of an asynchronous runtime; here they are threads.
// Where there are more workers than connections, each hand-over is a switch of threads.
#include "base/clock.h"
#include "bench/hot/hot_bench.h"

#include <stdio.h>

static const struct {
    int workers, size;
} cells[] = {{8, 2}, {8, 4}, {8, 8}, {16, 4}, {16, 8}, {16, 16}, {32, 8}, {32, 16}, {32, 32}};

struct grid {
    const struct hot_contender *contender;
    void *pool;
    int64_t each;
    _Atomic int64_t failed;
};

static void work(void *context, int number)
{
    struct grid *grid = context;
    struct backend_connection *connection = NULL;
    void *handle = NULL;
    (void)number;
    for (int64_t i = 0; i < grid->each; i++) {
        if (grid->contender->take(grid->pool, 60 * NS_PER_S, &handle, &connection) == 0)
            grid->contender->give(grid->pool, handle, true);
        else
            atomic_fetch_add(&grid->failed, 1);
    }
}

static int run_cell(const struct hot_bench_config *config, const struct hot_contender *contender, int workers,
                    int size, json_t *metrics)
{
    struct grid grid = {.contender = contender, .each = config->operations / workers};
    struct backend backend = {0};
    struct bench_limits limits = {0, size, 10 * NS_PER_S};
    struct crew *crew = NULL;
    char name[64];
    int code = contender->open(&grid.pool, &backend, &limits);
    if (code == 0)
        code = crew_start(&crew, workers, work, &grid);
    if (code == 0) {
        int64_t from_ns = clock_now_ns(), cpu_ns = clock_cpu_ns();
        crew_go(crew);
        crew_join(crew);
        double operations = (double)(grid.each * workers - atomic_load(&grid.failed));
        snprintf(name, sizeof name, "grid.w%ds%d.per_s", workers, size);
        hot_bench_add(metrics, name, operations / ((double)(clock_now_ns() - from_ns) * 1e-9));
        snprintf(name, sizeof name, "grid.w%ds%d.cpu_ns", workers, size);
        hot_bench_add(metrics, name, (double)(clock_cpu_ns() - cpu_ns) / operations);
        snprintf(name, sizeof name, "grid.w%ds%d.failed", workers, size);
        hot_bench_add(metrics, name, (double)atomic_load(&grid.failed));
    }
    if (grid.pool)
        contender->close(grid.pool);
    return code;
}

int hot_grid(const struct hot_bench_config *config, const struct hot_contender *contender, json_t *metrics,
             struct err *err)
{
    int code = 0;
    (void)err;
    for (size_t i = 0; i < sizeof cells / sizeof cells[0] && code == 0; i++)
        code = run_cell(config, contender, cells[i].workers, cells[i].size, metrics);
    return code;
}
