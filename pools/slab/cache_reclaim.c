// SPDX-License-Identifier: Apache-2.0
// Takes rows back from their threads: at the bound, for trim and for giving back. See pools/slab/pool.h, row
// states.
#include "pools/slab/pool.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPINS_BEFORE_YIELD = 64, YIELDS_BEFORE_SLEEP = 16, SLEEP_NS = 50000, PATIENCE_MAX = 255 };
enum { DRAINED_AT_ONCE = 32 }; // magazines

// In a process with threads the registration waits for all processors, some 10 ms, once a process. So it is
// done at open, not in the get that first takes rows back. A granted registration does not guarantee later
// barriers.
bool slab_barrier_register(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

// True: every thread of the process has passed a full barrier. A filter may forbid membarrier at any time:
// from then on each owner works under its row's lock.
static bool barrier_everywhere(struct pool *pool)
{
    if (pool->one || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    SLAB_ADD(&pool->barrier_fails, 1);
    SLAB_STORE(&pool->fenced, false);
    return false;
}

// The owner has a few instructions to go, unless it was preempted. Then it needs a processor. If this thread
// has the processor by a higher priority, yielding does not give it away; sleeping does.
static void wait_until_left(struct slab_row *row)
{
#if POOL_INLINE_LOCKS
    pool_row_enter(&row->hot);
    pool_row_leave(&row->hot);
#else
    // Acquire pairs with pool_row_leave().
    for (int spins = 0; __atomic_load_n(&row->hot.busy, __ATOMIC_ACQUIRE); spins++) {
        if (spins >= SPINS_BEFORE_YIELD + YIELDS_BEFORE_SLEEP)
            (void)nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
        else if (spins >= SPINS_BEFORE_YIELD)
            sched_yield();
    }
#endif
}

// Locks the rows that hold objects, and closes their traps. Returns how many; `exposed`: does any of them
// need the barrier?
static int lock_those_that_hold(struct pool *pool, uint16_t slots[static THREAD_SLOT_ROWS], bool *exposed)
{
    int count = 0;
    *exposed = false;
    for (int word = 0; word < SLAB_MAP_WORDS; word++) {
        for (uint64_t bits = atomic_load(&pool->holding[word]); bits; bits &= bits - 1) {
            int slot = word * 64 + __builtin_ctzll(bits);
            struct slab_row *row = &pool->rows[slot];
            slab_row_lock(row);
            if (!row->holds) {
                slab_row_unlock(row);
                continue;
            }
            slab_row_close_traps(row);
            *exposed |= row->exposed;
            slots[count++] = (uint16_t)slot;
        }
    }
    return count;
}

static size_t take_back(struct pool *pool, struct slab_row *row, bool in_need)
{
    if (row->exposed && !pool->one)
        wait_until_left(row);
    row->exposed = false;
    size_t count = slab_row_empty(pool, row);
    if (count && in_need) {
        row->patience = (uint16_t)slab_less(row->patience * 2 + 1, PATIENCE_MAX);
        row->without = row->patience;
    }
    return count;
}

int64_t slab_rows_reclaim(struct pool *pool, uint64_t *moves)
{
    uint16_t slots[THREAD_SLOT_ROWS];
    bool exposed;
    int count = lock_those_that_hold(pool, slots, &exposed);
    bool passed = !exposed || barrier_everywhere(pool);
    int64_t found = 0;
    pool->unreached = !passed;
    for (int i = 0; i < count; i++) {
        struct slab_row *row = &pool->rows[slots[i]];
        // Without the barrier the owner may be in the fast path although `busy` does not show it.
        if (!row->exposed || passed)
            found += (int64_t)take_back(pool, row, moves != NULL);
    }
    if (moves)
        *moves = atomic_load(&pool->moves);
    for (int i = 0; i < count; i++)
        slab_row_unlock(&pool->rows[slots[i]]);
    return found;
}

bool slab_depot_drain_some(struct pool *pool)
{
    struct slab_depot *depot = &pool->depot;
    uint32_t magazine = 0;
    for (int i = 0; i < DRAINED_AT_ONCE && (magazine = slab_depot_pop_full(depot)); i++) {
        slab_store_give(&pool->store, slab_magazine_rounds(depot, magazine), depot->capacity);
        slab_depot_push(depot, &depot->empty, magazine);
    }
    return magazine != 0;
}

// Called on the exiting thread: makes the objects of its row available to others.
void slab_row_thread_exits(struct pool *pool, int slot)
{
    struct slab_row *row = &pool->rows[slot];
    if (!row->listed) // the thread never used this pool; no other thread writes this
        return;
    slab_row_begin(pool, row);
    (void)slab_row_empty(pool, row);
    row->patience = row->without = 0;
    slab_row_strike(pool, row);
    slab_row_unlock(row);
}
