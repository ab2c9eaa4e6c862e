// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/thread_slot.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_BITS = 64, WORDS = THREAD_SLOT_ROWS / WORD_BITS };

_Thread_local int pool_thread_slot_cached;

// How often this thread gave its slot back on its way out. A destructor that runs after that may take one
// again, and thread_exits then runs again, but the system calls destructors only so many times. A slot taken
// after the last would never come back: such a thread shares row 0.
static _Thread_local int exits;
enum { EXITS_MAX = PTHREAD_DESTRUCTOR_ITERATIONS - 1 };

// Guards `taken` and `watches`, and is held while watches run: on_exit cannot run after its watch is removed.
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t taken[WORDS] = {1}; // a bit a slot; row 0 belongs to no thread
static struct thread_slot_watch *watches;

static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key; // its destructor runs when a thread exits
static int exit_key_error;

// Relaxed is enough for all: they are hints. A row is zero until its first owner writes it, so a reader that
// misses the newest slot misses nothing that happened before its own call; `full` only saves a lock.
static atomic_int ever;
static atomic_bool full;

static void give_back_locked(int slot)
{
    taken[slot / WORD_BITS] &= ~(UINT64_C(1) << (slot % WORD_BITS));
    atomic_store_explicit(&full, false, memory_order_relaxed);
}

static void thread_exits(void *unused)
{
    (void)unused;
    int slot = pool_thread_slot_cached;
    pthread_mutex_lock(&slots_lock);
    for (struct thread_slot_watch *watch = watches; watch; watch = watch->next)
        watch->on_exit(watch->context, slot);
    give_back_locked(slot);
    pthread_mutex_unlock(&slots_lock);
    pool_thread_slot_cached = 0;
    exits++;
}

static void make_exit_key(void)
{
    exit_key_error = pthread_key_create(&exit_key, thread_exits);
}

// The lowest slot that is free, or 0. Called with the lock held.
static int lowest_free(void)
{
    for (int word = 0; word < WORDS; word++)
        if (~taken[word])
            return word * WORD_BITS + __builtin_ctzll(~taken[word]);
    return 0;
}

int thread_slot_take(void)
{
    if (atomic_load_explicit(&full, memory_order_relaxed) || exits == EXITS_MAX)
        return 0;
    pthread_once(&exit_key_once, make_exit_key);
    // Without the hook a slot could never be given back, so such a thread uses the shared row.
    if (exit_key_error || pthread_setspecific(exit_key, &exit_key) != 0)
        return 0;
    pthread_mutex_lock(&slots_lock);
    int slot = lowest_free();
    if (slot) {
        taken[slot / WORD_BITS] |= UINT64_C(1) << (slot % WORD_BITS);
        if (slot > atomic_load_explicit(&ever, memory_order_relaxed))
            atomic_store_explicit(&ever, slot, memory_order_relaxed);
    } else {
        atomic_store_explicit(&full, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&slots_lock);
    if (!slot)
        pthread_setspecific(exit_key, NULL);
    pool_thread_slot_cached = slot;
    return slot;
}

int thread_slot_ever(void)
{
    return atomic_load_explicit(&ever, memory_order_relaxed);
}

void thread_slot_watch_add(struct thread_slot_watch *watch)
{
    pthread_mutex_lock(&slots_lock);
    watch->previous = NULL;
    watch->next = watches;
    if (watches)
        watches->previous = watch;
    watches = watch;
    pthread_mutex_unlock(&slots_lock);
}

void thread_slot_watch_remove(struct thread_slot_watch *watch)
{
    pthread_mutex_lock(&slots_lock);
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        watches = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
    pthread_mutex_unlock(&slots_lock);
}

void thread_slot_fork_prepare(void)
{
    pthread_mutex_lock(&slots_lock);
}

void thread_slot_fork_parent(void)
{
    pthread_mutex_unlock(&slots_lock);
}

void thread_slot_fork_child(void)
{
    int slot = pool_thread_slot_cached;
    for (int word = 0; word < WORDS; word++)
        taken[word] = 0;
    taken[0] = 1;
    taken[slot / WORD_BITS] |= UINT64_C(1) << (slot % WORD_BITS);
    atomic_store_explicit(&full, false, memory_order_relaxed);
    pthread_mutex_unlock(&slots_lock);
}
