// SPDX-License-Identifier: Apache-2.0
// A lock for critical sections of a few instructions: one atomic exchange to take, one plain store to let go.
// A waiter spins for a moment and then yields its time slice, so that a holder who was preempted gets to run.
// Nothing that may block, allocate or call a listener belongs between lock and unlock.
#ifndef POOLMARK_POOLS_SPIN_H
#define POOLMARK_POOLS_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

struct spin {
    atomic_bool held; // zero: free
};

enum { SPIN_TRIES = 64 };

// Acquire: what the last holder wrote is seen.
static inline bool spin_try(struct spin *spin)
{
    return !atomic_exchange_explicit(&spin->held, true, memory_order_acquire);
}

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void spin_lock(struct spin *spin)
{
    for (int tries = 0; __builtin_expect(!spin_try(spin), 0);) {
        // Relaxed: waits on a copy of the line; only the exchange takes the lock.
        while (atomic_load_explicit(&spin->held, memory_order_relaxed)) {
            if (++tries % SPIN_TRIES)
                spin_pause();
            else
                sched_yield();
        }
    }
}

// Release: what was written under the lock is seen by the next holder.
static inline void spin_unlock(struct spin *spin)
{
    atomic_store_explicit(&spin->held, false, memory_order_release);
}

#endif
