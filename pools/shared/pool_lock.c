// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/pool_lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// This thread's id; 0: not known yet.
static _Thread_local uint32_t thread_id;

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void pool_lock_init(struct pool_lock *lock, bool inherits)
{
    atomic_init(&lock->held, 0);
    atomic_init(&lock->waiting, inherits ? POOL_LOCK_INHERITS : POOL_LOCK_NOBODY);
}

static bool take(struct pool_lock *lock)
{
    return atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0;
}

static bool spin(struct pool_lock *lock)
{
    for (int i = 0; i < POOL_LOCK_SPINS; i++) {
        // Relaxed: polls a copy of the line; only the exchange takes the lock.
        if (atomic_load_explicit(&lock->held, memory_order_relaxed) == 0 && take(lock))
            return true;
        pool_lock_pause();
    }
    return false;
}

// A thread that slept takes the lock with `waiting` set: others may still sleep, and the next release wakes
// them.
void pool_lock_wait(struct pool_lock *lock)
{
    const struct timespec timeout = {.tv_nsec = POOL_LOCK_SLEEP_NS};
    if (spin(lock))
        return;
    for (;;) {
        // Before the lock is tried again. Sequentially consistent: a holder that releases after that trial,
        // and then checks for sleepers, sees it.
        atomic_store(&lock->waiting, POOL_LOCK_SLEEPER);
        if (take(lock))
            return;
        // 0: woken; EAGAIN: the word changed; EINTR; ETIMEDOUT: all are treated alike.
        (void)futex(&lock->waiting, FUTEX_WAIT, POOL_LOCK_SLEEPER, &timeout);
    }
}

void pool_lock_wake(struct pool_lock *lock)
{
    // Relaxed: a sleeper compares the word in the kernel, and sets it again if it finds the lock taken.
    atomic_store_explicit(&lock->waiting, POOL_LOCK_NOBODY, memory_order_relaxed);
    (void)futex(&lock->waiting, FUTEX_WAKE, 1, NULL);
}

void pool_lock_release_surely(struct pool_lock *lock)
{
    pool_lock_release(lock);
    // A sleeper sets the word before it tries the lock: either it finds the lock free, or this thread sees the word.
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&lock->waiting, memory_order_relaxed) == POOL_LOCK_SLEEPER)
        pool_lock_wake(lock);
}

void pool_lock_yield(struct pool_lock *lock)
{
    const struct timespec pause = {.tv_nsec = POOL_LOCK_YIELD_NS};
    // Relaxed: a hint. A thread that falls asleep later is seen at the next yield.
    bool sleeps = atomic_load_explicit(&lock->waiting, memory_order_relaxed) == POOL_LOCK_SLEEPER;
    pool_lock_release_surely(lock);
    if (sleeps)
        nanosleep(&pause, NULL);
    else
        for (int i = 0; i < POOL_LOCK_SPINS; i++) // those that spin see it free
            pool_lock_pause();
    pool_lock_acquire(lock);
}

void pool_lock_sleep_on(_Atomic uint32_t *word, uint32_t seen)
{
    const struct timespec timeout = {.tv_nsec = POOL_LOCK_SLEEP_NS};
    (void)futex(word, FUTEX_WAIT, seen, &timeout);
}

void pool_lock_wake_all(_Atomic uint32_t *word)
{
    (void)futex(word, FUTEX_WAKE, INT32_MAX, NULL);
}

// --- with inheritance -----------------------------------------------------------------------------------

static uint32_t own_id(void)
{
    if (thread_id == 0)
        thread_id = (uint32_t)syscall(SYS_gettid);
    return thread_id;
}

bool pool_lock_try_inheriting(struct pool_lock *lock)
{
    uint32_t nobody = 0;
    return atomic_compare_exchange_strong_explicit(&lock->held, &nobody, own_id(), memory_order_acquire,
                                                   memory_order_relaxed);
}

// The kernel orders a lock that it hands over. The read-modify-writes of a constant make that visible to
// sanitizers, which cannot see into it.
void pool_lock_acquire_inheriting(struct pool_lock *lock)
{
    while (!pool_lock_try_inheriting(lock)) {
        if (futex(&lock->held, FUTEX_LOCK_PI, 0, NULL) == 0) {
            (void)atomic_load_explicit(&lock->held, memory_order_acquire);
            return;
        }
        if (errno != EAGAIN && errno != EINTR)
            abort(); // the holder is this thread, or exited with the lock
    }
}

void pool_lock_release_inheriting(struct pool_lock *lock)
{
    uint32_t own = own_id();
    if (atomic_compare_exchange_strong_explicit(&lock->held, &own, 0, memory_order_release,
                                                memory_order_relaxed))
        return;
    (void)atomic_fetch_or_explicit(&lock->held, 0, memory_order_release);
    (void)futex(&lock->held, FUTEX_UNLOCK_PI, 0, NULL);
}

bool pool_lock_can_inherit(void)
{
    _Atomic uint32_t word = 0;
    return futex(&word, FUTEX_LOCK_PI, 0, NULL) == 0 && futex(&word, FUTEX_UNLOCK_PI, 0, NULL) == 0;
}

// --- fork -----------------------------------------------------------------------------------------------

void pool_lock_make_free(struct pool_lock *lock)
{
    pool_lock_init(lock, pool_lock_inherits(lock));
}

void pool_lock_fork_child(void)
{
    thread_id = 0;
}
