// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/paho_reading.h"

#include "base/clock.h"
#include "loadgen/engine.h"

#include <errno.h>
#include <time.h>

void paho_reading_open(struct paho_reading *reading)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&reading->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&reading->change, &attr);
    pthread_condattr_destroy(&attr);
    atomic_init(&reading->per_s, ENGINE_READ_ALL);
    reading->next_ns = 0;
}

void paho_reading_close(struct paho_reading *reading)
{
    pthread_cond_destroy(&reading->change);
    pthread_mutex_destroy(&reading->lock);
}

static int64_t pace(const struct paho_reading *reading)
{
    return atomic_load_explicit(&reading->per_s, memory_order_relaxed);
}

void paho_reading_set(struct paho_reading *reading, int64_t bytes_per_s)
{
    pthread_mutex_lock(&reading->lock);
    atomic_store_explicit(&reading->per_s, bytes_per_s, memory_order_relaxed);
    reading->next_ns = clock_now_ns();
    pthread_cond_broadcast(&reading->change);
    pthread_mutex_unlock(&reading->lock);
}

bool paho_reading_is_slow(const struct paho_reading *reading)
{
    return pace(reading) != ENGINE_READ_ALL;
}

// The caller holds the lock. Waits until `until_ns`, or until the pace is another one.
static void wait_until(struct paho_reading *reading, int64_t until_ns)
{
    int64_t before = pace(reading);
    struct timespec until = clock_deadline(until_ns);
    while (pace(reading) == before)
        if (pthread_cond_timedwait(&reading->change, &reading->lock, &until) == ETIMEDOUT)
            return;
}

void paho_reading_await(struct paho_reading *reading, int64_t bytes)
{
    if (!paho_reading_is_slow(reading))
        return;
    pthread_mutex_lock(&reading->lock);
    while (pace(reading) == 0)
        pthread_cond_wait(&reading->change, &reading->lock);
    if (pace(reading) > 0) {
        int64_t now_ns = clock_now_ns(), from_ns = reading->next_ns > now_ns ? reading->next_ns : now_ns;
        reading->next_ns = from_ns + (int64_t)((double)bytes * 1e9 / (double)pace(reading));
        wait_until(reading, reading->next_ns);
    }
    pthread_mutex_unlock(&reading->lock);
}
