// SPDX-License-Identifier: Apache-2.0
// Deliberate handicaps, chosen at build time. They show that a comparison of two builds finds a regression of
// known size (make HANDICAP_GET=5, make HANDICAP_BYTES=10). Without them this code does nothing.
//
// HANDICAP_BYTES=P: each object is P percent larger, rounded up. pool_config_of still tells the size asked
// for.
//
// HANDICAP_GET=P: a lone get and put of that strategy cost P percent more on average. One get in
// HANDICAP_EVERY of a thread does the additional work for all of them: a chain of additions, each waiting
// for the one before. In every get it would be a fraction of one addition. Then its position between the
// get's instructions would matter more than its length: a pause before a spin lock can even make it faster.
// The length is computed when a pool is opened: lone pairs on a scratch pool of the same strategy and size
// are timed alternately with and without the chain, and the fastest runs of both count (some milliseconds an
// open).
//
// HANDICAP_GET=0 has the code but no chain. Compare a build with a handicap to it, so that nothing but the
// handicap differs.
#ifndef POOLMARK_POOLS_HANDICAP_H
#define POOLMARK_POOLS_HANDICAP_H

#include "pools/pool_strategy.h"

#ifndef POOLMARK_HANDICAP_BYTES
#define POOLMARK_HANDICAP_BYTES 0
#endif

enum { HANDICAP_EVERY = 1024 };

static inline size_t handicap_object_bytes(size_t asked)
{
    return asked + (asked * POOLMARK_HANDICAP_BYTES + 99) / 100;
}

// Length of the chain for a pool with this config; 0 without a handicap.
int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config);

#ifdef POOLMARK_HANDICAP_GET

// Gets of this thread until the next one with the handicap. Per thread: a count in the pool would be written
// by all its threads.
extern _Thread_local int handicap_countdown;

// Runs the chain and restarts the countdown.
void handicap_spin(int64_t rounds);

// In every get.
static inline void handicap_bear(int64_t rounds)
{
    if (__builtin_expect(--handicap_countdown <= 0, 0))
        handicap_spin(rounds);
}

#endif
#endif
