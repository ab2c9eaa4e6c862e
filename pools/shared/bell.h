// SPDX-License-Identifier: Apache-2.0
// How a pool's thread is called to grow, and how it waits for that.
//
// A system call wakes a thread that sleeps: 2 to 20 us, more than a get should pay, and a storm of
// connections makes a pool grow ten times in half a second. So for a while after each growth the thread looks
// by itself, as often as matters at the pace of the last growths, and a call is then a store. Only the first
// growth of many pays for a wake-up. The while ends: a pool at rest wakes nobody.
//
//     bell_ring(&bell);                            // any thread: there is to be grown
//     bell_knock(&bell);                           // any thread: come at once, whatever it costs
//     for (;;) {                                   // the pool's thread
//         bell_wait(&bell, 0);
//         if (bell_answer(&bell)) { grow(pool); bell_grew(&bell); }
//     }
#ifndef POOLMARK_POOLS_SHARED_BELL_H
#define POOLMARK_POOLS_SHARED_BELL_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// The flags are what a ring touches while the thread looks; what its looking writes to is on another cache
// line. What an owner places right before them may share theirs.
struct bell {
    _Atomic bool rung;  // and not answered yet
    _Atomic bool looks; // the thread looks by itself

    char apart[64];
    sem_t wake;

    // The thread's own.
    int64_t grew_ns;  // when it last grew; 0: never
    int64_t every_ns; // how often it looks,
    int64_t until_ns; // and for how long
};

// Bounds of the above: a pool that grows every d looks each d / 64, for 4 d.
#define BELL_EVERY_MIN_NS (INT64_C(100) * 1000)
#define BELL_EVERY_MAX_NS (INT64_C(2) * 1000 * 1000)
#define BELL_FOR_MIN_NS (INT64_C(100) * 1000 * 1000)
#define BELL_FOR_MAX_NS (INT64_C(2) * 1000 * 1000 * 1000)

int bell_init(struct bell *bell) __attribute__((warn_unused_result)); // 0 or -errno
void bell_destroy(struct bell *bell);

void bell_ring_aloud(struct bell *bell); // the slow half of bell_ring
void bell_knock(struct bell *bell);      // ends the thread's wait

// Relaxed: who sees it rung leaves it to who rang.
static inline bool bell_is_rung(struct bell *bell)
{
    return atomic_load_explicit(&bell->rung, memory_order_relaxed);
}

// Has it answered soon. What was written before is seen by who answers, if it was not rung already.
static inline void bell_ring(struct bell *bell)
{
    if (!bell_is_rung(bell))
        bell_ring_aloud(bell);
}

// Is it a time of growth? A hint.
static inline bool bell_looks(struct bell *bell)
{
    return atomic_load_explicit(&bell->looks, memory_order_relaxed);
}

// The pool's thread. Waits until it is knocked, or rung, or some time to look has come; `most_ns` at most
// (0: no bound).
void bell_wait(struct bell *bell, int64_t most_ns);
bool bell_answer(struct bell *bell); // was it rung since the last answer?
void bell_grew(struct bell *bell);

#endif
