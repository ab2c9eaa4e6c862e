// SPDX-License-Identifier: Apache-2.0
// The waits before a client tries again: the first, doubled at each further try up to a bound, and shortened by
// a random share (jitter). Jitter 0: all clients of a storm come together again; 1: each wait is anything from 0
// to the full one. Pure functions; any thread may call.
//
//     struct backoff backoff = {.first_ns = NS_PER_S, .most_ns = 30 * NS_PER_S, .jitter = 1};
//     at_ns = now_ns + backoff_wait_ns(&backoff, 0, chance_bits(seed, client));
#ifndef POOLMARK_LOADGEN_BACKOFF_H
#define POOLMARK_LOADGEN_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ns; // 0: a client does not try again
    int64_t most_ns;  // at least first_ns
    double jitter;    // 0 to 1
};

// The wait before try `number`, from 0. `random`: 64 random bits.
int64_t backoff_wait_ns(const struct backoff *backoff, int64_t number, uint64_t random);

// Random bits that depend only on the two numbers (SplitMix64: Steele, Lea, Flood 2014), and the same as a
// number from 0 up to and without 1.
uint64_t chance_bits(uint64_t seed, uint64_t number);
double chance_unit(uint64_t bits);

#endif
