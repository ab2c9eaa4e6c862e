// SPDX-License-Identifier: Apache-2.0
// A ring of pointers from one thread to another (Lamport 1977), for workloads that hand objects over. Each
// side publishes its progress only every RING_BATCH pointers, so that the ring adds little to the measured
// path. A side that waits spins a little and then yields the processor, since there may be fewer processors
// than threads.
//
// Memory must be zero before ring_init. One thread pushes, one pops. A pushing thread ends with ring_flush.
// A full ring makes the pushing thread wait: that is the back-pressure.
#ifndef POOLMARK_BENCH_RING_H
#define POOLMARK_BENCH_RING_H

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_SLOTS = 1024, RING_BATCH = 32, RING_SPINS = 128 };

struct ring {
    // The pushing thread's: `pushed` counts the pointers written, `tail` those published.
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t pushed, head_seen;
    uint64_t depth, batch; // set by ring_init, read by both
    // The popping thread's.
    _Alignas(64) _Atomic uint64_t head;
    uint64_t popped, tail_seen;
    _Alignas(64) void *slots[RING_SLOTS];
};

// `depth`: the most pointers it holds, a power of two up to RING_SLOTS.
static inline void ring_init(struct ring *ring, uint64_t depth)
{
    ring->depth = depth;
    ring->batch = depth / 2 < RING_BATCH ? depth / 2 : RING_BATCH;
}

static inline void ring_wait(int *spins)
{
    if (++*spins < RING_SPINS) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        return;
    }
    *spins = 0;
    sched_yield();
}

// Release: a thread that reads `tail` with acquire sees the slots below it, and what they point to.
static inline void ring_flush(struct ring *ring)
{
    atomic_store_explicit(&ring->tail, ring->pushed, memory_order_release);
}

static inline void ring_push(struct ring *ring, void *pointer)
{
    if (ring->pushed - ring->head_seen == ring->depth) {
        ring_flush(ring);
        int spins = 0;
        // Acquire: pairs with the store in ring_pop; the slot was read before it is written again.
        while (ring->pushed - (ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire)) ==
               ring->depth)
            ring_wait(&spins);
    }
    ring->slots[ring->pushed++ % RING_SLOTS] = pointer;
    if ((ring->pushed & (ring->batch - 1)) == 0)
        ring_flush(ring);
}

static inline void *ring_pop(struct ring *ring)
{
    if (ring->popped == ring->tail_seen) {
        // Release: the slots below were read. Done before any wait, since the other side may need these
        // slots.
        atomic_store_explicit(&ring->head, ring->popped, memory_order_release);
        int spins = 0;
        // Acquire: pairs with ring_flush.
        while (ring->popped == (ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire)))
            ring_wait(&spins);
    }
    void *pointer = ring->slots[ring->popped++ % RING_SLOTS];
    if ((ring->popped & (ring->batch - 1)) == 0)
        atomic_store_explicit(&ring->head, ring->popped, memory_order_release);
    return pointer;
}

#endif
