// SPDX-License-Identifier: Apache-2.0
#include "loadgen/backoff.h"

uint64_t chance_bits(uint64_t seed, uint64_t number)
{
    uint64_t bits = seed * 0xd1342543de82ef95U + (number + 1) * 0x9e3779b97f4a7c15U;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
    return bits ^ (bits >> 31);
}

double chance_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

int64_t backoff_wait_ns(const struct backoff *backoff, int64_t number, uint64_t random)
{
    int64_t wait_ns = backoff->first_ns;
    for (int64_t i = 0; i < number && wait_ns < backoff->most_ns; i++)
        wait_ns = wait_ns > backoff->most_ns / 2 ? backoff->most_ns : 2 * wait_ns;
    return wait_ns - (int64_t)((double)wait_ns * backoff->jitter * chance_unit(random));
}
