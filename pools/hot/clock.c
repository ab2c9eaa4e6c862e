// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/clock.h"

#include "base/clock.h"

static int64_t now_ns(void *context)
{
    (void)context;
    return clock_now_ns();
}

static void wait(void *context, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    (void)context;
    if (until_ns == INT64_MAX) {
        pthread_cond_wait(cond, mutex);
        return;
    }
    struct timespec until = clock_deadline(until_ns);
    pthread_cond_timedwait(cond, mutex, &until);
}

const struct hot_clock hot_clock_monotonic = {.now_ns = now_ns, .wait = wait};

int hot_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int code = pthread_condattr_init(&attributes);
    if (code != 0)
        return -code;
    code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (code == 0)
        code = pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
    return -code;
}
