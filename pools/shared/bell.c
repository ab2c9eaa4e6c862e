// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/bell.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

int bell_init(struct bell *bell)
{
    *bell = (struct bell){0};
    if (sem_init(&bell->wake, 0, 0) < 0)
        return -errno;
    // The first call faults its code in: here, not in the first get that rings.
    sem_post(&bell->wake);
    (void)sem_trywait(&bell->wake);
    return 0;
}

void bell_destroy(struct bell *bell)
{
    sem_destroy(&bell->wake);
}

void bell_knock(struct bell *bell)
{
    sem_post(&bell->wake);
}

// Each side sets its flag before it reads the other's, in the one order of sequentially consistent
// operations: at least one of them sees the other's flag.
void bell_ring_aloud(struct bell *bell)
{
    if (!atomic_exchange_explicit(&bell->rung, true, memory_order_seq_cst) &&
        !atomic_load_explicit(&bell->looks, memory_order_seq_cst))
        sem_post(&bell->wake);
}

bool bell_answer(struct bell *bell)
{
    // Relaxed load, so that the cache line stays with the callers. Acquire: what was written before the ring
    // is seen.
    return bell_is_rung(bell) && atomic_exchange_explicit(&bell->rung, false, memory_order_acquire);
}

static int64_t between(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

void bell_grew(struct bell *bell)
{
    int64_t now_ns = clock_now_ns(), since_ns = now_ns - bell->grew_ns;
    // After a long rest the pace is unknown: assume a fast one.
    if (!bell->grew_ns || since_ns > BELL_FOR_MAX_NS)
        since_ns = 0;
    bell->grew_ns = now_ns;
    bell->every_ns = between(since_ns / BELL_POLLS, BELL_EVERY_MIN_NS, BELL_EVERY_MAX_NS);
    bell->until_ns = now_ns + between(since_ns * 4, BELL_FOR_MIN_NS, BELL_FOR_MAX_NS);
}

int64_t bell_pause_ns(const struct bell *bell, int64_t now_ns)
{
    return between((now_ns - bell->grew_ns) / BELL_POLLS, bell->every_ns, BELL_EVERY_MAX_NS);
}

static void sleep_until(struct bell *bell, int64_t until_ns)
{
    struct timespec until = clock_deadline(until_ns);
    (void)sem_clockwait(&bell->wake, CLOCK_MONOTONIC, &until);
}

void bell_wait(struct bell *bell, int64_t most_ns)
{
    int64_t now_ns = clock_now_ns();
    if (now_ns < bell->until_ns) {
        // Relaxed: a thread that does not see it yet posts, which only costs more. Written once: gets read
        // it.
        if (!bell_looks(bell))
            atomic_store_explicit(&bell->looks, true, memory_order_relaxed);
        int64_t pause_ns = bell_pause_ns(bell, now_ns);
        sleep_until(bell, now_ns + (most_ns ? between(most_ns, 0, pause_ns) : pause_ns));
        return;
    }
    if (bell_looks(bell))
        atomic_store_explicit(&bell->looks, false, memory_order_seq_cst);
    if (atomic_load_explicit(&bell->rung, memory_order_seq_cst))
        return;
    if (most_ns)
        sleep_until(bell, now_ns + most_ns);
    else
        (void)sem_wait(&bell->wake);
}
