// SPDX-License-Identifier: Apache-2.0
// A counter that one thread writes and any thread reads.
#ifndef POOLMARK_BROKER_NET_COUNTER_H
#define POOLMARK_BROKER_NET_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

// Needs no read-modify-write, because there is one writer. Relaxed, because readers need only a recent value.
static inline void counter_add(_Atomic int64_t *counter, int64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

#endif
