// SPDX-License-Identifier: Apache-2.0
// Where the hot pool has its time from: base/clock.h, or what a test puts in its place.
#ifndef POOLMARK_POOLS_HOT_CLOCK_H
#define POOLMARK_POOLS_HOT_CLOCK_H

#include <pthread.h>
#include <stdint.h>

// `wait` is called with `mutex` held: it sleeps on `cond` until that is signalled or now_ns reaches until_ns
// (INT64_MAX: never); it may return early. The mutex is the same for all waits of one pool.
struct hot_clock {
    int64_t (*now_ns)(void *context);
    void (*wait)(void *context, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);
    void *context;
};

extern const struct hot_clock hot_clock_monotonic;

// now + duration, or INT64_MAX past that.
static inline int64_t hot_clock_after(int64_t now_ns, int64_t duration_ns)
{
    return duration_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + duration_ns;
}

// A condition that `wait` of the monotonic clock can sleep on. 0 or -errno.
int hot_cond_init(pthread_cond_t *cond);

#endif
