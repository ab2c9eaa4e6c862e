// SPDX-License-Identifier: Apache-2.0
// A lock for critical sections of a few instructions: one atomic exchange to acquire, one plain store to
// release. A waiter spins for a moment and then sleeps on a futex. So a holder that was preempted gets the
// processor, whatever the priorities. Between the two nothing may block, allocate or call a listener.
//
// Release stores, and then checks for sleepers. A processor may check before other processors see its store,
// and miss a thread that falls asleep at that moment. The next release wakes that thread, or it wakes by
// itself after POOL_LOCK_SLEEP_NS. A full fence would exclude this, but would cost every put as much as the
// exchange. Mutual exclusion does not depend on it.
//
// With inheritance the word is a priority-inheriting futex (FUTEX_LOCK_PI): two compare-and-swaps, and the
// kernel lends the holder the priority of the sleepers.
//
//     struct pool_lock lock;
//     pool_lock_init(&lock, config->lock_inherits_priority);
//     pool_lock_acquire(&lock);
//     pool_lock_release(&lock);
#ifndef POOLMARK_POOLS_SHARED_POOL_LOCK_H
#define POOLMARK_POOLS_SHARED_POOL_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { POOL_LOCK_SPINS = 64, POOL_LOCK_SLEEP_NS = 10 * 1000 * 1000 };
enum { POOL_LOCK_NOBODY = 0, POOL_LOCK_SLEEPER = 1, POOL_LOCK_INHERITS = 2 };

// All zero: free, without inheritance.
struct pool_lock {
    _Atomic uint32_t held;    // 0: free; 1, or with inheritance the holder's thread id and the kernel's flags
    _Atomic uint32_t waiting; // POOL_LOCK_SLEEPER: a thread may sleep; POOL_LOCK_INHERITS: a constant
};

void pool_lock_init(struct pool_lock *lock, bool inherits);
bool pool_lock_can_inherit(void); // does this kernel support it?

// The slow halves.
void pool_lock_wait(struct pool_lock *lock);
void pool_lock_wake(struct pool_lock *lock);
bool pool_lock_try_inheriting(struct pool_lock *lock);
void pool_lock_acquire_inheriting(struct pool_lock *lock);
void pool_lock_release_inheriting(struct pool_lock *lock);

// For a holder with much to do, between two parts of it: lets those that wait have the lock, and acquires it again. A
// release and an acquire alone do not: a sleeper takes longer to wake than the holder to come back.
void pool_lock_yield(struct pool_lock *lock);
// With the full fence that a release leaves out: misses no sleeper. For the end of rare work.
void pool_lock_release_surely(struct pool_lock *lock);
enum { POOL_LOCK_YIELD_NS = 50 * 1000 };

// For a condition beside a lock. sleep_on sleeps while the word is `seen`, at most POOL_LOCK_SLEEP_NS.
// wake_all wakes all sleepers, after the word was changed.
void pool_lock_sleep_on(_Atomic uint32_t *word, uint32_t seen);
void pool_lock_wake_all(_Atomic uint32_t *word);

// In a child of fork, whichever thread held it.
void pool_lock_make_free(struct pool_lock *lock);
void pool_lock_fork_child(void); // once, before any lock is used there

static inline bool pool_lock_inherits(const struct pool_lock *lock)
{
    // Relaxed: it never changes from or to this value.
    return __builtin_expect(atomic_load_explicit(&lock->waiting, memory_order_relaxed) == POOL_LOCK_INHERITS,
                            0);
}

// Acquire: what the last holder wrote is seen.
static inline bool pool_lock_try(struct pool_lock *lock)
{
    if (pool_lock_inherits(lock))
        return pool_lock_try_inheriting(lock);
    return atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0;
}

static inline void pool_lock_acquire(struct pool_lock *lock)
{
    if (pool_lock_inherits(lock))
        pool_lock_acquire_inheriting(lock);
    else if (__builtin_expect(atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0, 0))
        pool_lock_wait(lock);
}

// Release: what was written under the lock is seen by the next holder.
static inline void pool_lock_release(struct pool_lock *lock)
{
    if (pool_lock_inherits(lock)) {
        pool_lock_release_inheriting(lock);
        return;
    }
    atomic_store_explicit(&lock->held, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); // the compiler must keep the load after the store
    if (__builtin_expect(atomic_load_explicit(&lock->waiting, memory_order_relaxed) != POOL_LOCK_NOBODY, 0))
        pool_lock_wake(lock);
}

static inline void pool_lock_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
