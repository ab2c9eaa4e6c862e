// SPDX-License-Identifier: Apache-2.0
// A stateful fuzzer of the pools. In each round, random threads make random calls on a pool of a random
// strategy with a random configuration. Among the calls are preheat, resize, drain, trim, sweep, statistics,
// threads that end (also beside the close) and begin, and children of fork. Now and then memory runs out, and
// the system refuses membarrier(2) (through the linker's --wrap=syscall).
//
//     fuzz_pools --seconds 60            # rounds until the time is over; prints the seed of one that fails
//     fuzz_pools --seed 1234 --rounds 1  # that round again: same configuration and calls, other interleaving
//     fuzz_pools --strategy slab
//
// Checks: an object is out once at a time, as constructed and as long as asked for; a refused call was
// allowed to be refused; counts add up; a preheat that fails leaves nothing. After all objects were put nothing is in use, the pool is valid, and
// as many objects as may be owned can be got.
#include "tests/fuzz/pool_calls.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void configure(struct round *round, const struct pool_strategy *only)
{
    uint64_t random = round->seed;
    const struct pool_strategy *const *all = pool_strategies();
    uint32_t count = 0;
    while (all[count])
        count++;
    round->strategy = all[fuzz_draw(&random, count)];
    if (only)
        round->strategy = only;
    round->config = (struct pool_config)POOL_CONFIG_DEFAULTS;
    struct pool_config *config = &round->config;
    static const size_t sizes[] = {1, 24, 64, 100, 512, 3072, 4096, 9000};
    config->object_bytes = sizes[fuzz_draw(&random, sizeof sizes / sizeof sizes[0])];
    config->initial = fuzz_draw(&random, 2) ? fuzz_draw(&random, 300) : 0;
    config->max = fuzz_draw(&random, 2) ? 1 + fuzz_draw(&random, 150) : 0;
    if (config->max && config->initial > config->max)
        config->initial = config->max;
    config->overflow = fuzz_draw(&random, 2) ? POOL_OVERFLOW_HEAP : POOL_OVERFLOW_REFUSE;
    config->growth_mode = (enum pool_growth)fuzz_draw(&random, POOL_GROW_DEFAULT + 1);
    config->expand_at_percent = 1 + (int)fuzz_draw(&random, 100);
    config->growth = 1.0 + fuzz_draw(&random, 300) / 100.0;
    config->growth_rule = fuzz_draw(&random, 3) ? POOL_RULE_FACTOR : POOL_RULE_ADAPTIVE;
    config->touch = fuzz_draw(&random, 4);
    config->lock_inherits_priority = fuzz_draw(&random, 8) == 0;
    round->threads = 1 + (int)fuzz_draw(&random, THREADS_MAX);
    if (fuzz_draw(&random, 6) == 0) {
        config->threads = POOL_THREADS_ONE;
        config->growth_mode = POOL_GROW_INLINE;
        round->threads = 1;
    }
    if (fuzz_draw(&random, 3) == 0) {
        config->construct = fuzz_construct;
        config->destruct = fuzz_destruct;
    }
    round->calls = 1 + (int)fuzz_draw(&random, CALLS_MAX);
    round->fails = fuzz_draw(&random, 3) == 0;
    round->drains = fuzz_draw(&random, 6) == 0;
    round->forks = fuzz_draw(&random, 8) == 0 &&
                   (FORKS_BUSY || (round->threads == 1 && config->growth_mode == POOL_GROW_INLINE));
    round->inlined = fuzz_draw(&random, 2);
    round->detached = fuzz_draw(&random, 3) == 0;
    (void)pool_config_fit(round->strategy, config);
}

static int await_end(pthread_t thread)
{
    return pthread_join(thread, NULL);
}

// ThreadSanitizer has a thread of its own.
#ifdef __SANITIZE_THREAD__
enum { THREADS_WITHOUT_WORK = 2 };
#else
enum { THREADS_WITHOUT_WORK = 1 };
#endif

static int threads_of_process(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        fuzz_wrong("/proc/self/task cannot be read");
    for (struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void run_threads(struct round *round, uint64_t random)
{
    struct worker workers[THREADS_MAX];
    while (round->forks && !FORKS_BUSY &&
           threads_of_process() > THREADS_WITHOUT_WORK) // those that nobody awaited may be in free
        sched_yield();
    atomic_store(&round->working, round->threads);
    for (int i = 0; i < round->threads; i++) {
        workers[i] = (struct worker){.round = round, .random = random + (uint64_t)i * 7919, .number = i};
        if (pthread_create(&workers[i].thread, NULL, fuzz_work, &workers[i]) != 0)
            fuzz_wrong("no thread");
    }
    for (int i = 0; i < round->threads; i++)
        (void)(round->detached ? pthread_detach : await_end)(workers[i].thread);
    while (atomic_load(&round->working) > 0)
        sched_yield();
}

// The n-th request for memory, or a construct, fails a preheat: it leaves nothing. A pool that has a thread may
// own more or less by itself meanwhile.
static void check_failing_preheat(struct round *round)
{
    if (!round->fails || atomic_load(&round->drained) || !(round->strategy->caps & POOL_CAP_PREHEATS) ||
        pool_config_of(round->pool)->growth_mode == POOL_GROW_BACKGROUND)
        return;
    for (int after = 0; after < 4; after++) {
        int64_t owned = fuzz_owned(round);
        if (round->config.construct && after % 2)
            atomic_store(&round->construct_fails, 1);
        else
            (void)pool_memory_fail_after(after, false);
        int code = pool_preheat(round->pool, PREHEAT_MAX);
        (void)pool_memory_fail_after(-1, false);
        atomic_store(&round->construct_fails, 0);
        if (code < 0 && fuzz_owned(round) != owned)
            fuzz_wrong("a preheat answered %d, and %" PRId64 " are owned instead of %" PRId64, code,
                       fuzz_owned(round), owned);
    }
}

// Gets so many objects and puts them back. False: not all were the pool's own.
static bool can_have(struct round *round, struct worker *worker, int64_t bound)
{
    struct pool_stats before, after;
    void **objects = calloc((size_t)bound + 1, sizeof *objects);
    pool_stats(round->pool, &before);
    for (int64_t i = 0; objects && i < bound; i++)
        objects[i] = fuzz_get(worker);
    pool_stats(round->pool, &after);
    for (int64_t i = 0; objects && i < bound; i++)
        fuzz_put(worker, objects[i]);
    free(objects);
    return after.refused + after.overflow + after.failed == before.refused + before.overflow + before.failed;
}

// When no thread works any more: as many objects can be got as may be owned, and no more.
static void check_at_rest(struct round *round)
{
    struct worker worker = {.round = round};
    struct pool_stats stats;
    (void)pool_memory_fail_after(-1, false);
    atomic_store(&round->construct_fails, 0);
    (void)pool_inline_open(&worker.inlined, round->pool);
    for (int i = 0; i < SLOTS; i++)
        fuzz_put(&worker, atomic_exchange(&round->slots[i], NULL));
    (void)pool_sweep(round->pool);
    check_failing_preheat(round);
    pool_stats(round->pool, &stats);
    if (stats.gets != stats.hits + stats.misses + stats.overflow + stats.refused + stats.failed)
        fuzz_wrong("gets do not add up");
    if (stats.in_use != 0 || stats.gets - stats.refused - stats.failed != stats.puts)
        fuzz_wrong("%" PRId64 " are in use when all were put", stats.in_use);
    bool leaves = round->detached; // a thread may be in the middle of leaving its row
    if (!leaves && round->strategy->is_valid && !round->strategy->is_valid(round->pool))
        fuzz_wrong("the pool is not valid");
    int64_t most = round->strategy->caps & POOL_CAP_GROWS ? stats.max
                   : stats.owned < stats.max              ? stats.owned
                                                          : stats.max;
    int64_t bound = stats.draining ? 0 : most;
    // The pool's thread may still construct an object that it took before the bound was set.
    bool may_wait = round->config.construct && round->config.growth_mode != POOL_GROW_INLINE;
    for (int tries = may_wait ? TRIES : 1; !can_have(round, &worker, bound); tries--) {
        if (tries == 1)
            fuzz_wrong("overflow, refusals or failures while objects were free: %" PRId64 " of %" PRId64
                       " are owned%s",
                       stats.owned, bound, stats.locked_rows ? ", rows are locked" : "");
        sched_yield();
    }
}

static void play(uint64_t seed, const struct pool_strategy *only)
{
    static struct round round;
    struct err err = {0};
    memset(&round, 0, sizeof round);
    round.seed = seed;
    fuzz_now = &round;
    atomic_store(&fuzz_barrier_refused, false);
    configure(&round, only);
    uint64_t random = seed * 31 + 7;
    if (round.fails && fuzz_draw(&random, 4) == 0)
        atomic_store(&fuzz_barrier_refused, true);
    if (pool_open(&round.pool, round.strategy, &round.config, &err) < 0) {
        if (!round.config.lock_inherits_priority)
            fuzz_wrong("open: %s", err.text);
        return;
    }
    int generations = 1 + (int)fuzz_draw(&random, 3); // threads that end, and others that use their rows
    for (int i = 0; i < generations; i++)
        run_threads(&round, random + (uint64_t)i);
    check_at_rest(&round);
    pool_close(round.pool);
    if (atomic_load(&round.constructed))
        fuzz_wrong("%d objects were not destructed", atomic_load(&round.constructed));
}

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    double seconds = 10;
    uint64_t seed = (uint64_t)time(NULL) * 1000;
    long rounds = -1, played = 0;
    const struct pool_strategy *only = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && strcmp(argv[i], "--seconds") == 0)
            seconds = atof(value);
        else if (value && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (value && strcmp(argv[i], "--rounds") == 0)
            rounds = atol(value);
        else if (!value || strcmp(argv[i], "--strategy") != 0 || !(only = pool_strategy_find(value))) {
            fprintf(stderr,
                    "fuzz_pools: '%s %s' is none of --seconds S, --seed N, --rounds N, --strategy NAME\n",
                    argv[i], value ? value : "");
            return 2;
        }
    }
    printf("fuzz_pools: from seed %" PRIu64 "\n", seed);
    for (double end = seconds_now() + seconds; rounds < 0 ? seconds_now() < end : played < rounds; played++)
        play(seed + (uint64_t)played, only);
    printf("%ld rounds\n1 passed, 0 failed\n", played);
    return 0;
}
