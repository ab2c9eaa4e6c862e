// SPDX-License-Identifier: Apache-2.0
// The clock of the hot pool: base/clock.h, or a test's own clock.
#ifndef POOLMARK_POOLS_HOT_CLOCK_H
#define POOLMARK_POOLS_HOT_CLOCK_H

#include <pthread.h>
#include <stdint.h>

// `wait` is called with `mutex` held. It sleeps on `cond` until a signal, or until now_ns reaches until_ns
// (INT64_MAX: never); it may return early. All waits of one pool use the same mutex.
struct hot_clock {
    int64_t (*now_ns)(void *context);
    void (*wait)(void *context, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);
    void *context;
};

#ifdef __cplusplus
extern "C" {
#endif

extern const struct hot_clock hot_clock_monotonic;

// now_ns + duration_ns, at most INT64_MAX.
static inline int64_t hot_clock_after(int64_t now_ns, int64_t duration_ns)
{
    return duration_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + duration_ns;
}

// Makes a condition on which `wait` of the monotonic clock can sleep. 0 or -errno.
int hot_cond_init(pthread_cond_t *cond);

#ifdef __cplusplus
}
#endif

#endif
