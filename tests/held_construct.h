// SPDX-License-Identifier: Apache-2.0
// A construct that keeps a thread other than the main one until it may go on: so something comes while a growth, or the making
// of a single object, is half done. Inline: a test includes it, and links nothing more.
//
//     struct held_construct held;
//     config.construct = held_construct, config.object_context = &held;   // held_construct_open(&held) before
//     atomic_store(&held.holds, true);                                    // the next one is held
//     sem_wait(&held.reached) ... sem_post(&held.go)
#ifndef POOLMARK_TESTS_HELD_CONSTRUCT_H
#define POOLMARK_TESTS_HELD_CONSTRUCT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct held_construct {
    pthread_t main_thread;
    sem_t reached, go;
    atomic_bool holds;
};

// On the main thread. 0, or not.
static inline int held_construct_open(struct held_construct *held)
{
    held->main_thread = pthread_self();
    atomic_init(&held->holds, false);
    return sem_init(&held->reached, 0, 0) | sem_init(&held->go, 0, 0);
}

static inline int held_construct(void *context, void *object)
{
    struct held_construct *held = context;
    (void)object;
    if (!pthread_equal(pthread_self(), held->main_thread) && atomic_exchange(&held->holds, false)) {
        sem_post(&held->reached);
        while (sem_wait(&held->go) != 0)
            ;
    }
    return 0;
}

#endif
