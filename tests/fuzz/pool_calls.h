// SPDX-License-Identifier: Apache-2.0
// The part of fuzz_pools that a thread plays: random calls on the pool of a round, each checked. A fault ends the program
// with the command that plays the round again.
//
//     fuzz_now = &round;                                  // configured, its pool open
//     pthread_create(&worker.thread, NULL, fuzz_work, &worker);
#ifndef POOLMARK_TESTS_FUZZ_POOL_CALLS_H
#define POOLMARK_TESTS_FUZZ_POOL_CALLS_H

#include "pools/pool_inline.h"
#include "pools/pool_strategy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    THREADS_MAX = 4,
    HELD_MAX = 40,
    SLOTS = 32,
    CALLS_MAX = 3000,
    PREHEAT_MAX = 60,
    TRIES = 10000,
    CHILD_SECONDS = 20
};

// A child of fork may find the sanitizer's own allocator locked by a thread that it does not have
// (compiler-rt fixed that in 2023; gcc's libasan of Debian 12 is older). Then it would hang in malloc, not
// in the pool.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { FORKS_BUSY = false };
#else
enum { FORKS_BUSY = true };
#endif

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

extern struct round *fuzz_now;           // the only one
extern atomic_bool fuzz_barrier_refused; // membarrier(2) answers EPERM

_Noreturn void fuzz_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t fuzz_draw(uint64_t *random, uint32_t below); // 0 to below - 1, and the next state
int64_t fuzz_owned(struct round *round);

// pool_config.construct and destruct.
int fuzz_construct(void *context, void *object);
void fuzz_destruct(void *context, void *object);

// A get whose object is stamped, NULL when it may be refused; a put of an object, whose stamp has to be there.
void *fuzz_get(struct worker *worker);
void fuzz_put(struct worker *worker, void *object);

void *fuzz_work(void *argument); // all calls of a struct worker; leaves nothing with it

#endif
