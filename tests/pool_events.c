// SPDX-License-Identifier: Apache-2.0
#include "tests/pool_events.h"

#include <stdio.h>
#include <time.h>

void pool_events_listen(void *context, const char *pool_name, const struct pool_event *event)
{
    struct pool_events *events = context;
    pthread_mutex_lock(&events->lock);
    if (events->count < POOL_EVENTS_MAX)
        events->events[events->count++] = *event;
    snprintf(events->pool_name, sizeof events->pool_name, "%s", pool_name);
    pthread_cond_broadcast(&events->heard);
    pthread_mutex_unlock(&events->lock);
}

static int count_locked(const struct pool_events *events, enum pool_event_kind kind)
{
    int count = 0;
    for (int i = 0; i < events->count; i++)
        count += events->events[i].kind == kind;
    return count;
}

int pool_events_count(struct pool_events *events, enum pool_event_kind kind)
{
    pthread_mutex_lock(&events->lock);
    int count = count_locked(events, kind);
    pthread_mutex_unlock(&events->lock);
    return count;
}

bool pool_events_await(struct pool_events *events, enum pool_event_kind kind, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&events->lock);
    while (count_locked(events, kind) < count)
        if (pthread_cond_timedwait(&events->heard, &events->lock, &until) != 0)
            break;
    bool enough = count_locked(events, kind) >= count;
    pthread_mutex_unlock(&events->lock);
    return enough;
}
