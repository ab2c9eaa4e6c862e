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
#include "pools/pool_inline.h"
#include "pools/pool_strategy.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS_MAX = 4,
    HELD_MAX = 40,
    SLOTS = 32,
    CALLS_MAX = 3000,
    PREHEAT_MAX = 60,
    TRIES = 10000,
    CHILD_SECONDS = 20
};

static atomic_bool barrier_refused;

long __real_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c)
{
    if (number == SYS_membarrier && a == MEMBARRIER_CMD_PRIVATE_EXPEDITED && atomic_load(&barrier_refused)) {
        errno = EPERM;
        return -1;
    }
    return __real_syscall(number, a, b, c);
}

// One round.
struct round {
    uint64_t seed;
    struct pool_config config;
    const struct pool_strategy *strategy;
    struct pool *pool;
    int threads, calls;
    bool fails, drains, forks, inlined;
    bool detached;                           // nobody awaits the end of the threads, only that of their work
    atomic_int working;                      // threads
    _Atomic(void *) slots[SLOTS];            // objects that pass from thread to thread
    atomic_int out, most_out;                // never less than the objects in use
    atomic_int constructed, construct_fails; // so many of the next constructs fail
    atomic_bool drained, failed_memory, resized;
};

struct worker {
    struct round *round;
    uint64_t random;
    int number, held_count;
    void *held[HELD_MAX];
    struct pool_inline inlined;
    pthread_t thread;
};

static struct round *now;

static void wrong(const char *format, ...)
{
    va_list arguments;
    const struct pool_config *config = &now->config;
    static const char *const modes[] = {"inline", "background", "default"};
    va_start(arguments, format);
    fprintf(stderr,
            "fuzz_pools: --seed %" PRIu64
            " --rounds 1 --strategy %s (%d threads, %d calls%s%s%s%s; bytes %zu, initial "
            "%lld, max %lld, %s, %s, expand at %d x %g%s%s%s): ",
            now->seed, pool_strategy_name(now->strategy), now->threads, now->calls,
            now->fails ? ", fails" : "", now->drains ? ", drains" : "", now->forks ? ", forks" : "",
            now->inlined ? ", inlined" : "", config->object_bytes, (long long)config->initial,
            (long long)config->max, config->overflow == POOL_OVERFLOW_HEAP ? "heap" : "refuse",
            modes[config->growth_mode], config->expand_at_percent, config->growth,
            config->threads == POOL_THREADS_ONE ? ", one thread" : "",
            config->construct ? ", constructed" : "", config->lock_inherits_priority ? ", inheriting" : "");
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    abort();
}

static uint32_t next(uint64_t *random, uint32_t below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*random >> 33) % below);
}

// --- objects --------------------------------------------------------------------------------------------

// Constructed objects end with a mark, which survives put and get.
enum { MARK = 0x5b };

static unsigned char *mark_of(void *object)
{
    return (unsigned char *)object + now->config.object_bytes - 1;
}

static int construct(void *context, void *object)
{
    (void)context;
    for (int left = atomic_load(&now->construct_fails); left > 0;)
        if (atomic_compare_exchange_weak(&now->construct_fails, &left, left - 1))
            return -EIO;
    *mark_of(object) = MARK;
    atomic_fetch_add(&now->constructed, 1);
    return 0;
}

static void destruct(void *context, void *object)
{
    (void)context;
    if (*mark_of(object) != MARK)
        wrong("destructed an object that was not constructed");
    *mark_of(object) = 0;
    atomic_fetch_sub(&now->constructed, 1);
}

static bool is_shared(void)
{
    return now->strategy->caps & POOL_CAP_SHARES;
}

static void stamp(void *object, uint64_t with)
{
    if (now->config.object_bytes > 2 * sizeof with && !is_shared()) {
        memcpy(object, &with, sizeof with);
        memcpy((char *)object + now->config.object_bytes - 1 - sizeof with, &with, sizeof with);
    }
}

// If another thread had the object meanwhile, it left another stamp, at one end at least.
static void check_stamp(void *object)
{
    uint64_t first, last;
    if (now->config.object_bytes <= 2 * sizeof first || is_shared())
        return;
    memcpy(&first, object, sizeof first);
    memcpy(&last, (char *)object + now->config.object_bytes - 1 - sizeof last, sizeof last);
    if (first != last)
        wrong("object %p was out twice", object);
}

static bool may_be_refused(const struct round *round)
{
    return atomic_load(&round->drained) || atomic_load(&round->failed_memory) ||
           ((round->config.max || atomic_load(&round->resized) ||
             !(round->strategy->caps & POOL_CAP_GROWS)) &&
            round->config.overflow == POOL_OVERFLOW_REFUSE);
}

static void *get(struct worker *worker)
{
    struct round *round = worker->round;
    int out = atomic_fetch_add(&round->out, 1) + 1, most = atomic_load(&round->most_out);
    while (out > most && !atomic_compare_exchange_weak(&round->most_out, &most, out))
        ;
    void *object = round->inlined ? pool_inline_get(&worker->inlined) : pool_get(round->pool);
    if (!object) {
        atomic_fetch_sub(&round->out, 1);
        if (!may_be_refused(round))
            wrong("a get gave nothing for no reason");
        return NULL;
    }
    if ((uintptr_t)object % 16)
        wrong("object %p is not aligned", object);
    if (round->config.construct && !is_shared() && *mark_of(object) != MARK)
        wrong("object %p is not as it was constructed", object);
    stamp(object, (uint64_t)(uintptr_t)object ^ worker->random);
    return object;
}

static void put(struct worker *worker, void *object)
{
    if (!object)
        return;
    check_stamp(object);
    if (worker->round->inlined)
        pool_inline_put(&worker->inlined, object);
    else
        pool_put(worker->round->pool, object);
    atomic_fetch_sub(&worker->round->out, 1);
}

// --- calls ----------------------------------------------------------------------------------------------

static int64_t owned_by(struct round *round)
{
    struct pool_stats stats;
    pool_stats(round->pool, &stats);
    return stats.owned;
}

// Is that an answer that a preheat may give?
static bool may_answer(const struct round *round, int code)
{
    switch (code) {
    case 0:
        return round->strategy->caps & POOL_CAP_PREHEATS;
    case -ENOTSUP:
        return !(round->strategy->caps & POOL_CAP_PREHEATS);
    case -ENOMEM:
        return atomic_load(&round->failed_memory);
    case -ECANCELED:
        return atomic_load(&round->drained);
    case -ERANGE: // a drain that comes meanwhile leaves room for nothing
        return round->config.max || atomic_load(&round->resized) || atomic_load(&round->drained);
    default:
        return false;
    }
}

static void preheat(struct worker *worker)
{
    struct round *round = worker->round;
    int64_t count = 1 + next(&worker->random, PREHEAT_MAX);
    int code = pool_preheat(round->pool, count);
    if (!may_answer(round, code))
        wrong("a preheat of %" PRId64 " answered %d", count, code);
}

static void check_stats(struct round *round)
{
    struct pool_stats stats;
    pool_stats(round->pool, &stats);
    if (stats.peak_in_use > atomic_load(&round->most_out) && !is_shared())
        wrong("peak_in_use is %" PRId64 ", and at most %d were out", stats.peak_in_use,
              atomic_load(&round->most_out));
    if (stats.owned < 0 || stats.bytes_owned < 0 || stats.in_use < 0)
        wrong("a statistic is negative");
}

// A child of fork may find the sanitizer's own allocator locked by a thread that it does not have
// (compiler-rt fixed that in 2023; gcc's libasan of Debian 12 is older). Then it would hang in malloc, not
// in the pool.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { FORKS_BUSY = false };
#else
enum { FORKS_BUSY = true };
#endif

// What a child of fork does with the pool; the parent's threads may have been using it.
static void use_in_child(struct round *round)
{
    void *objects[HELD_MAX];
    alarm(CHILD_SECONDS);
    (void)pool_memory_fail_after(-1, false);
    for (int i = 0; i < HELD_MAX; i++)
        if ((objects[i] = pool_get(round->pool)))
            stamp(objects[i], (uint64_t)i);
    for (int i = 0; i < HELD_MAX; i++)
        pool_put(round->pool, objects[i]);
    (void)pool_trim(round->pool);
    _exit(0);
}

static void fork_and_wait(struct round *round)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        use_in_child(round);
    if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
        wrong("a child ended with status %#x", status);
}

static void call(struct worker *worker)
{
    struct round *round = worker->round;
    uint32_t what = next(&worker->random, 1000);
    if (what < 380) {
        if (worker->held_count < HELD_MAX && (worker->held[worker->held_count] = get(worker)))
            worker->held_count++;
    } else if (what < 700) {
        if (worker->held_count) {
            uint32_t which = next(&worker->random, (uint32_t)worker->held_count);
            void *object = worker->held[which];
            worker->held[which] = worker->held[--worker->held_count];
            put(worker, object);
        }
    } else if (what < 900) { // hand one object on, and put one that was handed on
        void *object = get(worker);
        if (object)
            put(worker, atomic_exchange(&round->slots[next(&worker->random, SLOTS)], object));
    } else if (what < 925) {
        put(worker, atomic_exchange(&round->slots[next(&worker->random, SLOTS)], NULL));
    } else if (what < 930) {
        preheat(worker);
    } else if (what < 960) {
        check_stats(round);
    } else if (what < 975) {
        (void)pool_sweep(round->pool);
    } else if (what < 985) {
        (void)pool_trim(round->pool);
    } else if (what < 992 && worker->number == 0) { // only one: of two at once either may be last
        int64_t max = next(&worker->random, 4) ? 1 + next(&worker->random, 200) : 0;
        atomic_store(&round->resized, true);
        (void)!pool_resize(round->pool, max);
    } else if (what < 996 && round->fails) {
        atomic_store(&round->failed_memory, true);
        (void)pool_memory_fail_after(next(&worker->random, 20), next(&worker->random, 2));
    } else if (what < 997 && round->fails) {
        (void)pool_memory_fail_after(-1, false);
    } else if (what == 997 && round->fails) {
        atomic_store(&round->failed_memory, true);
        atomic_store(&round->construct_fails, (int)next(&worker->random, 30));
    } else if (what == 998 && round->fails) {
        atomic_store(&barrier_refused, true);
    } else if (round->forks && (round->strategy->caps & POOL_CAP_FORKS)) {
        fork_and_wait(round);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct round *round = worker->round;
    (void)pool_inline_open(&worker->inlined, round->pool);
    for (int i = 0; i < round->calls; i++) {
        call(worker);
        if (round->drains && worker->number == 0 && i == round->calls / 2) {
            atomic_store(&round->drained, true);
            (void)pool_drain(round->pool);
        }
    }
    while (worker->held_count)
        put(worker, worker->held[--worker->held_count]);
    atomic_fetch_sub(&round->working, 1); // the last that it does with the round
    return NULL;
}

// --- rounds ---------------------------------------------------------------------------------------------

static void configure(struct round *round, const struct pool_strategy *only)
{
    uint64_t random = round->seed;
    const struct pool_strategy *const *all = pool_strategies();
    uint32_t count = 0;
    while (all[count])
        count++;
    round->strategy = all[next(&random, count)];
    if (only)
        round->strategy = only;
    round->config = (struct pool_config)POOL_CONFIG_DEFAULTS;
    struct pool_config *config = &round->config;
    static const size_t sizes[] = {1, 24, 64, 100, 512, 3072, 4096, 9000};
    config->object_bytes = sizes[next(&random, sizeof sizes / sizeof sizes[0])];
    config->initial = next(&random, 2) ? next(&random, 300) : 0;
    config->max = next(&random, 2) ? 1 + next(&random, 150) : 0;
    if (config->max && config->initial > config->max)
        config->initial = config->max;
    config->overflow = next(&random, 2) ? POOL_OVERFLOW_HEAP : POOL_OVERFLOW_REFUSE;
    config->growth_mode = (enum pool_growth)next(&random, POOL_GROW_DEFAULT + 1);
    config->expand_at_percent = 1 + (int)next(&random, 100);
    config->growth = 1.0 + next(&random, 300) / 100.0;
    config->growth_rule = next(&random, 3) ? POOL_RULE_FACTOR : POOL_RULE_ADAPTIVE;
    config->touch = next(&random, 4);
    config->lock_inherits_priority = next(&random, 8) == 0;
    round->threads = 1 + (int)next(&random, THREADS_MAX);
    if (next(&random, 6) == 0) {
        config->threads = POOL_THREADS_ONE;
        config->growth_mode = POOL_GROW_INLINE;
        round->threads = 1;
    }
    if (next(&random, 3) == 0) {
        config->construct = construct;
        config->destruct = destruct;
    }
    round->calls = 1 + (int)next(&random, CALLS_MAX);
    round->fails = next(&random, 3) == 0;
    round->drains = next(&random, 6) == 0;
    round->forks = next(&random, 8) == 0 &&
                   (FORKS_BUSY || (round->threads == 1 && config->growth_mode == POOL_GROW_INLINE));
    round->inlined = next(&random, 2);
    round->detached = next(&random, 3) == 0;
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
        wrong("/proc/self/task cannot be read");
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
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            wrong("no thread");
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
        int64_t owned = owned_by(round);
        if (round->config.construct && after % 2)
            atomic_store(&round->construct_fails, 1);
        else
            (void)pool_memory_fail_after(after, false);
        int code = pool_preheat(round->pool, PREHEAT_MAX);
        (void)pool_memory_fail_after(-1, false);
        atomic_store(&round->construct_fails, 0);
        if (code < 0 && owned_by(round) != owned)
            wrong("a preheat answered %d, and %" PRId64 " are owned instead of %" PRId64, code,
                  owned_by(round), owned);
    }
}

// Gets so many objects and puts them back. False: not all were the pool's own.
static bool can_have(struct round *round, struct worker *worker, int64_t bound)
{
    struct pool_stats before, after;
    void **objects = calloc((size_t)bound + 1, sizeof *objects);
    pool_stats(round->pool, &before);
    for (int64_t i = 0; objects && i < bound; i++)
        objects[i] = get(worker);
    pool_stats(round->pool, &after);
    for (int64_t i = 0; objects && i < bound; i++)
        put(worker, objects[i]);
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
        put(&worker, atomic_exchange(&round->slots[i], NULL));
    (void)pool_sweep(round->pool);
    check_failing_preheat(round);
    pool_stats(round->pool, &stats);
    if (stats.gets != stats.hits + stats.misses + stats.overflow + stats.refused + stats.failed)
        wrong("gets do not add up");
    if (stats.in_use != 0 || stats.gets - stats.refused - stats.failed != stats.puts)
        wrong("%" PRId64 " are in use when all were put", stats.in_use);
    bool leaves = round->detached; // a thread may be in the middle of leaving its row
    if (!leaves && round->strategy->is_valid && !round->strategy->is_valid(round->pool))
        wrong("the pool is not valid");
    int64_t most = round->strategy->caps & POOL_CAP_GROWS ? stats.max
                   : stats.owned < stats.max              ? stats.owned
                                                          : stats.max;
    int64_t bound = stats.draining ? 0 : most;
    // The pool's thread may still construct an object that it took before the bound was set.
    bool may_wait = round->config.construct && round->config.growth_mode != POOL_GROW_INLINE;
    for (int tries = may_wait ? TRIES : 1; !can_have(round, &worker, bound); tries--) {
        if (tries == 1)
            wrong("overflow, refusals or failures while objects were free: %" PRId64 " of %" PRId64
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
    now = &round;
    atomic_store(&barrier_refused, false);
    configure(&round, only);
    uint64_t random = seed * 31 + 7;
    if (round.fails && next(&random, 4) == 0)
        atomic_store(&barrier_refused, true);
    if (pool_open(&round.pool, round.strategy, &round.config, &err) < 0) {
        if (!round.config.lock_inherits_priority)
            wrong("open: %s", err.text);
        return;
    }
    int generations = 1 + (int)next(&random, 3); // threads that end, and others that use their rows
    for (int i = 0; i < generations; i++)
        run_threads(&round, random + (uint64_t)i);
    check_at_rest(&round);
    pool_close(round.pool);
    if (atomic_load(&round.constructed))
        wrong("%d objects were not destructed", atomic_load(&round.constructed));
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
