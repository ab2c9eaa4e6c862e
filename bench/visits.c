// SPDX-License-Identifier: Apache-2.0
#include "bench/visits.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/mman.h>

enum { STACK_BYTES = 128 << 10, STACK_TOUCHED = 32 << 10, PAGE = 4096 };

struct visitor {
    struct visits *visits;
    pthread_t thread;
    sem_t enter;
    int number;
};

struct visits {
    visit_function *visit;
    void *context;
    sem_t done;
    bool over; // written before `enter` is posted for the last time, read after it
    int count; // threads that were started
    size_t bytes;
    struct visitor visitors[];
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0 && errno == EINTR) {
    }
}

static void *wait_and_visit(void *context)
{
    struct visitor *visitor = context;
    volatile char stack[STACK_TOUCHED];
    for (size_t at = 0; at < sizeof stack; at += PAGE)
        stack[at] = 0;
    sem_post(&visitor->visits->done);
    for (;;) {
        wait_for(&visitor->enter);
        if (visitor->visits->over)
            return NULL;
        visitor->visits->visit(visitor->visits->context, visitor->number);
        sem_post(&visitor->visits->done);
    }
}

static int start_visitor(struct visits *visits, const pthread_attr_t *attributes)
{
    struct visitor *visitor = &visits->visitors[visits->count];
    *visitor = (struct visitor){.visits = visits, .number = visits->count};
    sem_init(&visitor->enter, 0, 0);
    int code = pthread_create(&visitor->thread, attributes, wait_and_visit, visitor);
    if (code != 0)
        return -code;
    visits->count++;
    wait_for(&visits->done);
    return 0;
}

int visits_start(struct visits **started, int count, visit_function *visit, void *context)
{
    *started = NULL;
    // Not from the heap, since that is measured.
    size_t bytes = sizeof(struct visits) + (size_t)count * sizeof(struct visitor);
    struct visits *visits =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (visits == MAP_FAILED)
        return -errno;
    *visits = (struct visits){.visit = visit, .context = context, .bytes = bytes};
    sem_init(&visits->done, 0, 0);
    pthread_attr_t attributes;
    int code = -pthread_attr_init(&attributes);
    if (code == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        while (code == 0 && visits->count < count)
            code = start_visitor(visits, &attributes);
        pthread_attr_destroy(&attributes);
    }
    if (code < 0) {
        visits_end(visits);
        return code;
    }
    *started = visits;
    return 0;
}

void visits_run(struct visits *visits, bool at_once)
{
    for (int i = 0; i < visits->count; i++) {
        sem_post(&visits->visitors[i].enter);
        if (!at_once)
            wait_for(&visits->done);
    }
    for (int i = 0; at_once && i < visits->count; i++)
        wait_for(&visits->done);
}

void visits_end(struct visits *visits)
{
    if (!visits)
        return;
    visits->over = true;
    for (int i = 0; i < visits->count; i++)
        sem_post(&visits->visitors[i].enter);
    for (int i = 0; i < visits->count; i++) {
        pthread_join(visits->visitors[i].thread, NULL);
        sem_destroy(&visits->visitors[i].enter);
    }
    sem_destroy(&visits->done);
    munmap(visits, visits->bytes);
}
