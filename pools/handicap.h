// SPDX-License-Identifier: Apache-2.0
// Deliberate handicaps, chosen when the programs are built, for showing that a comparison of two builds finds
// a regression of known size (make HANDICAP_GET=5, make HANDICAP_BYTES=10). Without them all of this is
// nothing.
//
// HANDICAP_BYTES=P: each object is made P percent larger, rounded up; pool_config_of still tells the size
// asked for.
//
// HANDICAP_GET=P: each get does so much more work that a lone get and put of that strategy cost P percent
// more. The work is a chain of additions, each waiting for the one before. A processor does part of it beside
// the get's own work, so its length is not computed but searched for, when a pool is opened: on a scratch
// pool of the same strategy and size, on the thread that opens it, pairs with and without the chain are timed
// in turns, and the length whose fastest run comes nearest is taken (some milliseconds an open). Its grain is
// one addition, about a third of a nanosecond; it makes neither shared cache lines nor system calls dearer.
#ifndef POOLMARK_POOLS_HANDICAP_H
#define POOLMARK_POOLS_HANDICAP_H

#include "pools/pool_strategy.h"

#ifndef POOLMARK_HANDICAP_BYTES
#define POOLMARK_HANDICAP_BYTES 0
#endif

static inline size_t handicap_object_bytes(size_t asked)
{
    return asked + (asked * POOLMARK_HANDICAP_BYTES + 99) / 100;
}

// Rounds for handicap_spin() in each get of a pool so configured; 0 without a handicap.
int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config);

static inline void handicap_spin(int64_t rounds)
{
    uint64_t chain = (uint64_t)rounds;
    for (int64_t i = 0; i < rounds; i++) {
        chain += UINT64_C(0x9E3779B97F4A7C15);
        __asm__ volatile("" : "+r"(chain)); // the compiler may not fold the chain
    }
}

#endif
