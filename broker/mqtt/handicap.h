// SPDX-License-Identifier: Apache-2.0
// Deliberate handicaps of the broker, chosen at build time. They show that a comparison of two builds finds a
// regression of known size (as pools/handicap.h does for pools). Other builds compile them to nothing.
//
// HANDICAP_CONNECT=US: every 50th CONNECT of a loop takes US microseconds more before its CONNACK. The loop
// does nothing else meanwhile, so the clients behind it wait too, as when a pool grows inline.
//
// HANDICAP_LOSS=N: every Nth message that a loop receives is acknowledged and delivered to nobody.
//
// Both count per thread, that is, per loop. With one loop the size of the handicap is exact.
#ifndef POOLMARK_BROKER_MQTT_HANDICAP_H
#define POOLMARK_BROKER_MQTT_HANDICAP_H

#include <stdbool.h>
#include <stdint.h>

enum { HANDICAP_CONNECT_EVERY = 50 };

// True once in `every` calls with that counter.
static inline bool handicap_is_due(int64_t *counter, int64_t every)
{
    if (++*counter < every)
        return false;
    *counter = 0;
    return true;
}

#ifdef POOLMARK_HANDICAP_CONNECT
#include <errno.h>
#include <time.h>

static inline void handicap_connect(void)
{
    static _Thread_local int64_t connects;
    if (!handicap_is_due(&connects, HANDICAP_CONNECT_EVERY))
        return;
    struct timespec left = {.tv_sec = POOLMARK_HANDICAP_CONNECT / 1000000,
                            .tv_nsec = POOLMARK_HANDICAP_CONNECT % 1000000 * 1000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}
#else
static inline void handicap_connect(void)
{
}
#endif

#ifdef POOLMARK_HANDICAP_LOSS
static inline bool handicap_loses_message(void)
{
    static _Thread_local int64_t messages;
    return handicap_is_due(&messages, POOLMARK_HANDICAP_LOSS);
}
#else
static inline bool handicap_loses_message(void)
{
    return false;
}
#endif
#endif
