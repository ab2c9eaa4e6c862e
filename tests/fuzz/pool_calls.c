// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/pool_calls.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct round *fuzz_now;
atomic_bool fuzz_barrier_refused;

long __real_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c)
{
    if (number == SYS_membarrier && a == MEMBARRIER_CMD_PRIVATE_EXPEDITED &&
        atomic_load(&fuzz_barrier_refused)) {
        errno = EPERM;
        return -1;
    }
    return __real_syscall(number, a, b, c);
}

void fuzz_wrong(const char *format, ...)
{
    va_list arguments;
    const struct pool_config *config = &fuzz_now->config;
    static const char *const modes[] = {"inline", "background", "default"};
    va_start(arguments, format);
    fprintf(stderr,
            "fuzz_pools: --seed %" PRIu64
            " --rounds 1 --strategy %s (%d threads, %d calls%s%s%s%s; bytes %zu, initial "
            "%lld, max %lld, %s, %s, expand at %d x %g%s%s%s): ",
            fuzz_now->seed, pool_strategy_name(fuzz_now->strategy), fuzz_now->threads, fuzz_now->calls,
            fuzz_now->fails ? ", fails" : "", fuzz_now->drains ? ", drains" : "",
            fuzz_now->forks ? ", forks" : "", fuzz_now->inlined ? ", inlined" : "", config->object_bytes,
            (long long)config->initial, (long long)config->max,
            config->overflow == POOL_OVERFLOW_HEAP ? "heap" : "refuse", modes[config->growth_mode],
            config->expand_at_percent, config->growth,
            config->threads == POOL_THREADS_ONE ? ", one thread" : "",
            config->construct ? ", constructed" : "", config->lock_inherits_priority ? ", inheriting" : "");
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    abort();
}

uint32_t fuzz_draw(uint64_t *random, uint32_t below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*random >> 33) % below);
}

// --- objects --------------------------------------------------------------------------------------------

// Constructed objects end with a mark, which survives put and get.
enum { MARK = 0x5b };

static unsigned char *mark_of(void *object)
{
    return (unsigned char *)object + fuzz_now->config.object_bytes - 1;
}

int fuzz_construct(void *context, void *object)
{
    (void)context;
    for (int left = atomic_load(&fuzz_now->construct_fails); left > 0;)
        if (atomic_compare_exchange_weak(&fuzz_now->construct_fails, &left, left - 1))
            return -EIO;
    *mark_of(object) = MARK;
    atomic_fetch_add(&fuzz_now->constructed, 1);
    return 0;
}

void fuzz_destruct(void *context, void *object)
{
    (void)context;
    if (*mark_of(object) != MARK)
        fuzz_wrong("destructed an object that was not constructed");
    *mark_of(object) = 0;
    atomic_fetch_sub(&fuzz_now->constructed, 1);
}

static bool is_shared(void)
{
    return fuzz_now->strategy->caps & POOL_CAP_SHARES;
}

static void stamp(void *object, uint64_t with)
{
    if (fuzz_now->config.object_bytes > 2 * sizeof with && !is_shared()) {
        memcpy(object, &with, sizeof with);
        memcpy((char *)object + fuzz_now->config.object_bytes - 1 - sizeof with, &with, sizeof with);
    }
}

// If another thread had the object meanwhile, it left another stamp, at one end at least.
static void check_stamp(void *object)
{
    uint64_t first, last;
    if (fuzz_now->config.object_bytes <= 2 * sizeof first || is_shared())
        return;
    memcpy(&first, object, sizeof first);
    memcpy(&last, (char *)object + fuzz_now->config.object_bytes - 1 - sizeof last, sizeof last);
    if (first != last)
        fuzz_wrong("object %p was out twice", object);
}

static bool may_be_refused(const struct round *round)
{
    return atomic_load(&round->drained) || atomic_load(&round->failed_memory) ||
           ((round->config.max || atomic_load(&round->resized) ||
             !(round->strategy->caps & POOL_CAP_GROWS)) &&
            round->config.overflow == POOL_OVERFLOW_REFUSE);
}

void *fuzz_get(struct worker *worker)
{
    struct round *round = worker->round;
    int out = atomic_fetch_add(&round->out, 1) + 1, most = atomic_load(&round->most_out);
    while (out > most && !atomic_compare_exchange_weak(&round->most_out, &most, out))
        ;
    void *object = round->inlined ? pool_inline_get(&worker->inlined) : pool_get(round->pool);
    if (!object) {
        atomic_fetch_sub(&round->out, 1);
        if (!may_be_refused(round))
            fuzz_wrong("a get gave nothing for no reason");
        return NULL;
    }
    if ((uintptr_t)object % 16)
        fuzz_wrong("object %p is not aligned", object);
    if (round->config.construct && !is_shared() && *mark_of(object) != MARK)
        fuzz_wrong("object %p is not as it was constructed", object);
    stamp(object, (uint64_t)(uintptr_t)object ^ worker->random);
    return object;
}

void fuzz_put(struct worker *worker, void *object)
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

int64_t fuzz_owned(struct round *round)
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
    int64_t count = 1 + fuzz_draw(&worker->random, PREHEAT_MAX);
    int code = pool_preheat(round->pool, count);
    if (!may_answer(round, code))
        fuzz_wrong("a preheat of %" PRId64 " answered %d", count, code);
}

static void check_stats(struct round *round)
{
    struct pool_stats stats;
    pool_stats(round->pool, &stats);
    if (stats.peak_in_use > atomic_load(&round->most_out) && !is_shared())
        fuzz_wrong("peak_in_use is %" PRId64 ", and at most %d were out", stats.peak_in_use,
                   atomic_load(&round->most_out));
    if (stats.owned < 0 || stats.bytes_owned < 0 || stats.in_use < 0)
        fuzz_wrong("a statistic is negative");
}

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
        fuzz_wrong("a child ended with status %#x", status);
}

static void call(struct worker *worker)
{
    struct round *round = worker->round;
    uint32_t what = fuzz_draw(&worker->random, 1000);
    if (what < 380) {
        if (worker->held_count < HELD_MAX && (worker->held[worker->held_count] = fuzz_get(worker)))
            worker->held_count++;
    } else if (what < 700) {
        if (worker->held_count) {
            uint32_t which = fuzz_draw(&worker->random, (uint32_t)worker->held_count);
            void *object = worker->held[which];
            worker->held[which] = worker->held[--worker->held_count];
            fuzz_put(worker, object);
        }
    } else if (what < 900) { // hand one object on, and put one that was handed on
        void *object = fuzz_get(worker);
        if (object)
            fuzz_put(worker, atomic_exchange(&round->slots[fuzz_draw(&worker->random, SLOTS)], object));
    } else if (what < 925) {
        fuzz_put(worker, atomic_exchange(&round->slots[fuzz_draw(&worker->random, SLOTS)], NULL));
    } else if (what < 930) {
        preheat(worker);
    } else if (what < 960) {
        check_stats(round);
    } else if (what < 975) {
        (void)pool_sweep(round->pool);
    } else if (what < 985) {
        (void)pool_trim(round->pool);
    } else if (what < 992 && worker->number == 0) { // only one: of two at once either may be last
        int64_t max = fuzz_draw(&worker->random, 4) ? 1 + fuzz_draw(&worker->random, 200) : 0;
        atomic_store(&round->resized, true);
        (void)!pool_resize(round->pool, max);
    } else if (what < 996 && round->fails) {
        atomic_store(&round->failed_memory, true);
        (void)pool_memory_fail_after(fuzz_draw(&worker->random, 20), fuzz_draw(&worker->random, 2));
    } else if (what < 997 && round->fails) {
        (void)pool_memory_fail_after(-1, false);
    } else if (what == 997 && round->fails) {
        atomic_store(&round->failed_memory, true);
        atomic_store(&round->construct_fails, (int)fuzz_draw(&worker->random, 30));
    } else if (what == 998 && round->fails) {
        atomic_store(&fuzz_barrier_refused, true);
    } else if (round->forks && (round->strategy->caps & POOL_CAP_FORKS)) {
        fork_and_wait(round);
    }
}

void *fuzz_work(void *argument)
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
        fuzz_put(worker, worker->held[--worker->held_count]);
    atomic_fetch_sub(&round->working, 1); // the last that it does with the round
    return NULL;
}
