// SPDX-License-Identifier: Apache-2.0
// How a get notifies the pool's thread that it should grow the pool, and how the thread waits.
//
// Waking a sleeping thread takes a system call: 2 to 20 us, more than a get should pay. A storm of
// connections makes a pool grow ten times in half a second. So after each growth the thread polls for a
// while, at a rate that follows the pace of the last growths, and a notification is then a store. Only the
// first growth of many pays for a wake-up. The polling ends: a pool at rest wakes no thread.
//
//     bell_ring(&bell);                            // any thread: the pool should grow
//     bell_knock(&bell);                           // any thread: wake the thread at once, whatever it costs
//     for (;;) {                                   // the pool's thread
//         bell_wait(&bell, 0);
//         if (bell_answer(&bell)) {
//             grow(pool);
//             bell_grew(&bell);
//         }
//     }
#ifndef POOLMARK_POOLS_SHARED_BELL_H
#define POOLMARK_POOLS_SHARED_BELL_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// A ring touches only the flags while the thread polls. What the polling writes is on another cache line.
// Fields that the owner places right before them may share theirs.
struct bell {
    _Atomic bool rung;  // notified, and not answered yet
    _Atomic bool looks; // the thread polls `rung`

    char apart[64];
    sem_t wake;

    // The thread's own.
    int64_t grew_ns;  // when it last grew; 0: never
    int64_t every_ns; // how often it polls at most,
    int64_t until_ns; // and until when
};

// A pool that grows every d polls each d / BELL_POLLS, and less often the longer it has not grown, for 4 d, within
// the bounds below. Pools grow while they have a reserve for a good part of d. Each poll is a timer and two
// switches of threads, which take processor time from the gets, and disturb the caches of all on that processor.
enum { BELL_POLLS = 4 };
#define BELL_EVERY_MIN_NS (INT64_C(100) * 1000)
#define BELL_EVERY_MAX_NS (INT64_C(2) * 1000 * 1000)
#define BELL_FOR_MIN_NS (INT64_C(100) * 1000 * 1000)
#define BELL_FOR_MAX_NS (INT64_C(2) * 1000 * 1000 * 1000)

int bell_init(struct bell *bell) __attribute__((warn_unused_result)); // 0 or -errno
void bell_destroy(struct bell *bell);

void bell_ring_aloud(struct bell *bell); // the slow half of bell_ring
void bell_knock(struct bell *bell);      // ends the thread's wait at once

// Relaxed: a caller that reads true leaves the growth to the notification already made.
static inline bool bell_is_rung(struct bell *bell)
{
    return atomic_load_explicit(&bell->rung, memory_order_relaxed);
}

// Notifies the thread. It sees all that was written before, unless it was notified already.
static inline void bell_ring(struct bell *bell)
{
    if (!bell_is_rung(bell))
        bell_ring_aloud(bell);
}

// Does the thread poll, since the pool grew lately? A hint.
static inline bool bell_looks(struct bell *bell)
{
    return atomic_load_explicit(&bell->looks, memory_order_relaxed);
}

// The pool's thread. Waits for a ring, a knock, or the next time to poll; at most `most_ns` (0: no bound).
void bell_wait(struct bell *bell, int64_t most_ns);
bool bell_answer(struct bell *bell); // was it notified since the last answer?
void bell_grew(struct bell *bell);
int64_t bell_pause_ns(const struct bell *bell,
                      int64_t now_ns); // until the next poll; no less than the one before

#endif
