// SPDX-License-Identifier: Apache-2.0
// Which threads use the pool, and how many objects are in use. See pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "pools/shared/counters.h"

enum {
    ROWS_ADDED_UP = 16, // rows added up at each exchange; with more threads, less often
    TRIES = 8,          // to add up without the lock
};

int slab_account_open(struct pool *pool)
{
    return -pthread_mutex_init(&pool->live_lock, NULL);
}

void slab_account_close(struct pool *pool)
{
    pthread_mutex_destroy(&pool->live_lock);
}

// A sequence lock without fences, which ThreadSanitizer does not know. Changes are written with release and
// read with acquire. So a reader that saw any part of a change also sees another value of `live_changes`.
#define CHANGE(at, value) atomic_store_explicit(at, value, memory_order_release)
#define LOOK(at) atomic_load_explicit(at, memory_order_acquire)

static void change_begin(struct pool *pool)
{
    pthread_mutex_lock(&pool->live_lock);
    SLAB_ADD(&pool->live_changes, 1);
}

static void change_end(struct pool *pool)
{
    atomic_fetch_add_explicit(&pool->live_changes, 1, memory_order_release);
    pthread_mutex_unlock(&pool->live_lock);
}

int64_t slab_bytes(struct pool *pool)
{
    int64_t page = (int64_t)pool->store.geometry.page_bytes;
    int64_t rows = SLAB_LOAD(&pool->highest_row) + 1;
    int64_t own = (int64_t)offsetof(struct pool, rows) + rows * (int64_t)sizeof(struct slab_row);
    int64_t bytes = (own + page - 1) / page * page + pool->store.resident_pages * page +
                    pool->store.slab_room * (int64_t)sizeof *pool->store.slabs +
                    slab_depot_bytes(&pool->depot);
    return slab_more(bytes, SLAB_LOAD(&pool->store.owned) * (int64_t)pool->object_bytes);
}

void slab_note_bytes(struct pool *pool)
{
    counters_raise(&pool->peak_bytes, slab_bytes(pool));
}

void slab_row_enlist(struct pool *pool, struct slab_row *row)
{
    int slot = (int)(row - pool->rows);
    change_begin(pool);
    int count = SLAB_LOAD(&pool->live_count);
    CHANGE(&pool->live[count], (uint16_t)slot);
    CHANGE(&pool->live_count, count + 1);
    if (slot > SLAB_LOAD(&pool->highest_row))
        CHANGE(&pool->highest_row, slot);
    change_end(pool);
    slab_note_bytes(pool); // it may be the first of a page
    row->listed = true;
}

void slab_row_strike(struct pool *pool, struct slab_row *row)
{
    int slot = (int)(row - pool->rows), at = 0;
    change_begin(pool);
    int last = SLAB_LOAD(&pool->live_count) - 1;
    while (SLAB_LOAD(&pool->live[at]) != slot)
        at++;
    CHANGE(&pool->live[at], SLAB_LOAD(&pool->live[last]));
    CHANGE(&pool->live_count, last);
    CHANGE(&pool->gone_gets, SLAB_LOAD(&pool->gone_gets) + ROW_LOAD(&row->hot.gets));
    CHANGE(&pool->gone_puts, SLAB_LOAD(&pool->gone_puts) + ROW_LOAD(&row->hot.puts));
    __atomic_store_n(&row->hot.gets, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&row->hot.puts, 0, __ATOMIC_RELEASE);
    change_end(pool);
    row->listed = false;
}

// All gets before any put: an object that is got after the first pass and put before the second counts only
// as put. So `in_use` is never more than there were, and the peak never higher than it was.
static void add_up(struct pool *pool, struct slab_account *account)
{
    int count = LOOK(&pool->live_count);
    account->given = LOOK(&pool->single_gets) + LOOK(&pool->gone_gets);
    for (int i = 0; i < count; i++)
        account->given += __atomic_load_n(&pool->rows[LOOK(&pool->live[i])].hot.gets, __ATOMIC_ACQUIRE);
    account->put = LOOK(&pool->single_puts) + LOOK(&pool->gone_puts);
    for (int i = 0; i < count; i++)
        account->put += __atomic_load_n(&pool->rows[LOOK(&pool->live[i])].hot.puts, __ATOMIC_ACQUIRE);
    account->in_use = slab_more(account->given - account->put, 0);
}

struct slab_account slab_account(struct pool *pool)
{
    struct slab_account account;
    for (int tries = 0; tries < TRIES; tries++) {
        uint32_t changes = LOOK(&pool->live_changes);
        if (changes % 2)
            continue;
        add_up(pool, &account);
        if (SLAB_LOAD(&pool->live_changes) == changes)
            return account;
    }
    pthread_mutex_lock(&pool->live_lock);
    add_up(pool, &account);
    pthread_mutex_unlock(&pool->live_lock);
    return account;
}

bool slab_worth_adding_up(struct pool *pool, int64_t turn)
{
    int live = SLAB_LOAD(&pool->live_count);
    return live <= ROWS_ADDED_UP || turn % (live / ROWS_ADDED_UP + 1) == 0;
}

void slab_note_peak(struct pool *pool, int64_t in_use)
{
    counters_raise(&pool->peak, in_use);
    counters_raise(&pool->recent_peak, in_use);
}
