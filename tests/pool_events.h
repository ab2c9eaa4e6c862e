// SPDX-License-Identifier: Apache-2.0
// A pool_listener for tests that keeps what it hears and lets a test wait for it.
#ifndef POOLMARK_TESTS_POOL_EVENTS_H
#define POOLMARK_TESTS_POOL_EVENTS_H

#include "pools/pool.h"

#include <pthread.h>

enum { POOL_EVENTS_MAX = 256 };

struct pool_events {
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t heard;
    int count;
    struct pool_event events[POOL_EVENTS_MAX];
    char pool_name[64];
};

#define POOL_EVENTS_NONE                                                                                     \
    {                                                                                                        \
        .lock = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER                                 \
    }

void pool_events_listen(void *context, const char *pool_name, const struct pool_event *event);
int pool_events_count(struct pool_events *events, enum pool_event_kind kind);
// Waits until there are as many of that kind, a minute at most; false when there are fewer then.
bool pool_events_await(struct pool_events *events, enum pool_event_kind kind, int count);

#endif
