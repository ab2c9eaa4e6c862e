// SPDX-License-Identifier: Apache-2.0
#include "pools/slab/store.h"

#include "base/clock.h"
#include "pools/pool_strategy.h"
#include "pools/slab/store_lists.h"

#include <string.h>

static int init_locks(struct slab_store *store)
{
    // `lock` is held so briefly that spinning is cheaper than sleeping. Not possible with inheritance.
    pthread_mutexattr_t spins, plain;
    pthread_condattr_t by_clock;
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_mutexattr_init(&spins);
    pthread_mutexattr_init(&plain);
    if (!store->inherits)
        pthread_mutexattr_settype(&spins, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutexattr_setprotocol(&spins, store->inherits ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
    pthread_mutexattr_setprotocol(&plain, store->inherits ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
    int code = pthread_mutex_init(&store->lock, &spins);
    if (code != 0)
        goto done;
    code = pthread_mutex_init(&store->grow_lock, &plain);
    if (code != 0)
        goto fail_grow_lock;
    code = pthread_cond_init(&store->published, NULL);
    if (code != 0)
        goto fail_published;
    code = pthread_cond_init(&store->fed, &by_clock);
    if (code == 0)
        goto done;
    pthread_cond_destroy(&store->published);
fail_published:
    pthread_mutex_destroy(&store->grow_lock);
fail_grow_lock:
    pthread_mutex_destroy(&store->lock);
done:
    pthread_mutexattr_destroy(&spins);
    pthread_mutexattr_destroy(&plain);
    pthread_condattr_destroy(&by_clock);
    return -code;
}

int slab_store_open(struct slab_store *store, size_t object_bytes, bool touch, bool inherits, bool keeps)
{
    memset(store, 0, sizeof *store);
    slab_geometry_init(&store->geometry, object_bytes, keeps);
    store->object_bytes = object_bytes;
    store->touch = touch;
    store->inherits = inherits;
    return init_locks(store);
}

// The forking thread holds the locks. A lock with inheritance contains the id of the parent's thread, so it
// is made again. So is the condition, since threads that the child does not have may wait on it. These calls
// succeeded at open.
void slab_store_locks_anew(struct slab_store *store)
{
    store->needy = 0;
    if (!store->inherits) {
        pthread_mutex_unlock(&store->lock);
        pthread_mutex_unlock(&store->grow_lock);
    }
    (void)init_locks(store);
}

void slab_store_close(struct slab_store *store)
{
    for (size_t i = 0; i < store->slab_count; i++)
        slab_unmap(&store->geometry, store->slabs[i]);
    pool_memory_free(store->slabs);
    pthread_cond_destroy(&store->fed);
    pthread_cond_destroy(&store->published);
    pthread_mutex_destroy(&store->grow_lock);
    pthread_mutex_destroy(&store->lock);
}

void slab_store_announce(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->generation++;
    pthread_cond_broadcast(&store->published);
    pthread_mutex_unlock(&store->lock);
}

void slab_store_grow_unlock(struct slab_store *store)
{
    pthread_mutex_unlock(&store->grow_lock);
    slab_store_announce(store);
}

// --- who waits for objects ---------------------------------------------------------------------------------

void slab_store_be_needy(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->needy++;
    pthread_mutex_unlock(&store->lock);
}

void slab_store_be_served(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->needy--;
    store->served++;
    pthread_cond_broadcast(&store->fed);
    pthread_mutex_unlock(&store->lock);
}

static struct timespec time_of(int64_t at_ns)
{
    return (struct timespec){.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
}

bool slab_store_serve_first(struct slab_store *store, int64_t most_ns)
{
    int code = 0;
    pthread_mutex_lock(&store->lock);
    uint64_t enough = store->served + (uint64_t)store->needy;
    struct timespec until = store->needy ? time_of(clock_now_ns() + most_ns) : (struct timespec){0};
    while (store->needy > 0 && store->served < enough && code == 0)
        code = pthread_cond_timedwait(&store->fed, &store->lock, &until);
    pthread_mutex_unlock(&store->lock);
    return code == 0;
}

// --- taking and giving ----------------------------------------------------------------------------------

static uint64_t free_of_kind(const struct slab_store *store, struct slab *slab, uint32_t word, bool raw)
{
    uint64_t free = slab_free_bits(slab)[word];
    if (!store->geometry.keeps)
        return free;
    uint64_t constructed = slab_constructed_bits(&store->geometry, slab)[word];
    return raw ? free & ~constructed : free & constructed;
}

// Takes constructed objects, or raw ones. Without state all objects count as constructed.
static size_t take_from(struct slab_store *store, struct slab *slab, bool raw, void **objects, size_t count)
{
    uint64_t *bits = slab_free_bits(slab);
    size_t got = 0, there = raw ? slab->raw : slab->free - slab->raw;
    if (count > there)
        count = there;
    for (uint32_t word = slab->hint; got < count; word++) {
        uint64_t wanted = free_of_kind(store, slab, word, raw);
        for (; got < count && wanted; wanted &= wanted - 1) {
            uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(wanted);
            slab_bit_clear(bits, index);
            objects[got++] = slab_object(&store->geometry, slab, index);
        }
    }
    slab->free -= (uint32_t)got;
    while (slab->free && bits[slab->hint] == 0)
        slab->hint++;
    return got;
}

static size_t take_kind(struct slab_store *store, bool raw, void **objects, size_t count)
{
    size_t got = 0;
    for (int list = 0; list < SLAB_LISTS && got < count; list++) {
        for (struct slab *slab = store->lists[list], *next; slab && got < count; slab = next) {
            next = slab->next;
            got += take_from(store, slab, raw, objects + got, count - got);
            slab_lists_move(store, slab);
        }
    }
    slab_count_add(&store->taken, (int64_t)got);
    return got;
}

size_t slab_store_take_locked(struct slab_store *store, void **objects, size_t count)
{
    // All objects here may be raw, spread over many slabs.
    bool some = slab_count_of(&store->owned) - slab_count_of(&store->taken) > slab_count_of(&store->raw);
    return some ? take_kind(store, false, objects, count) : 0;
}

void *slab_store_take_raw_locked(struct slab_store *store)
{
    void *object = NULL;
    if (slab_count_of(&store->raw) == 0)
        return NULL;
    (void)take_kind(store, true, &object, 1);
    struct slab *slab = slab_of(&store->geometry, object);
    slab_bit_set(slab_constructed_bits(&store->geometry, slab), slab_index_of(&store->geometry, object));
    slab->raw--;
    slab_count_add(&store->raw, -1);
    return object;
}

void *slab_store_take_raw(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    void *object = slab_store_take_raw_locked(store);
    pthread_mutex_unlock(&store->lock);
    return object;
}

void slab_store_give_raw(struct slab_store *store, void *object)
{
    pthread_mutex_lock(&store->lock);
    struct slab *slab = slab_of(&store->geometry, object);
    slab_bit_clear(slab_constructed_bits(&store->geometry, slab), slab_index_of(&store->geometry, object));
    slab->raw++;
    slab_count_add(&store->raw, 1);
    slab_store_give_locked(store, &object, 1);
    pthread_mutex_unlock(&store->lock);
}

size_t slab_store_take(struct slab_store *store, void **objects, size_t count)
{
    pthread_mutex_lock(&store->lock);
    size_t got = slab_store_take_locked(store, objects, count);
    pthread_mutex_unlock(&store->lock);
    for (size_t low = 0, high = got; low + 1 < high; low++) {
        void *object = objects[--high];
        objects[high] = objects[low];
        objects[low] = object;
    }
    return got;
}

void slab_store_give_locked(struct slab_store *store, void **objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slab *slab = slab_of(&store->geometry, objects[i]);
        uint32_t index = slab_index_of(&store->geometry, objects[i]);
        slab_bit_set(slab_free_bits(slab), index);
        slab->free++;
        if (index / 64 < slab->hint)
            slab->hint = index / 64;
        slab_lists_move(store, slab);
    }
    slab_count_add(&store->taken, -(int64_t)count);
}

void slab_store_give(struct slab_store *store, void **objects, size_t count)
{
    pthread_mutex_lock(&store->lock);
    slab_store_give_locked(store, objects, count);
    pthread_mutex_unlock(&store->lock);
}

bool slab_store_owns_locked(const struct slab_store *store, const void *object)
{
    struct slab *slab = slab_of(&store->geometry, object);
    size_t at = slab_register_find(store, slab);
    if (at == store->slab_count || store->slabs[at] != slab)
        return false;
    size_t offset = (size_t)((const char *)object - (const char *)slab);
    if (offset < store->geometry.first || (offset - store->geometry.first) % store->geometry.stride)
        return false;
    uint32_t index = slab_index_of(&store->geometry, object);
    return index < store->geometry.capacity && slab_bit(slab_ready_bits(&store->geometry, slab), index);
}

bool slab_store_owns(struct slab_store *store, const void *object)
{
    pthread_mutex_lock(&store->lock);
    bool owns = slab_store_owns_locked(store, object);
    pthread_mutex_unlock(&store->lock);
    return owns;
}

// --- invariants -----------------------------------------------------------------------------------------

struct tally {
    int64_t ready, free, raw, leaving;
};

// The numbers of raw and leaving objects match the slab's counts.
static bool kinds_are_valid(const struct slab_store *store, struct slab *slab, struct tally *tally)
{
    const struct slab_geometry *geometry = &store->geometry;
    uint32_t raw = 0, leaving = 0;
    for (uint32_t i = 0; geometry->keeps && i < slab_words(geometry->capacity); i++) {
        uint64_t constructed = slab_constructed_bits(geometry, slab)[i];
        uint64_t leaves = slab_leaving_bits(geometry, slab)[i];
        raw += (uint32_t)__builtin_popcountll(slab_free_bits(slab)[i] & ~constructed);
        leaving += (uint32_t)__builtin_popcountll(leaves);
        if (leaves & (constructed | slab_ready_bits(geometry, slab)[i]))
            return false;
    }
    tally->raw += raw;
    tally->leaving += leaving;
    return raw == slab->raw && leaving == slab->leaving &&
           (slab->awaits || slab->destructing) == (leaving > 0);
}

static bool slab_is_valid(const struct slab_store *store, struct slab *slab, struct tally *tally)
{
    const struct slab_geometry *geometry = &store->geometry;
    const uint64_t *free_bits = slab_free_bits(slab), *ready_bits = slab_ready_bits(geometry, slab);
    uint32_t words = slab_words(geometry->capacity), ready_here = 0, free_here = 0, resident = 0;
    for (uint32_t i = 0; i < words; i++) {
        if (free_bits[i] & ~ready_bits[i])
            return false; // a free object without memory
        if (free_bits[i] && i < slab->hint)
            return false;
        ready_here += (uint32_t)__builtin_popcountll(ready_bits[i]);
        free_here += (uint32_t)__builtin_popcountll(free_bits[i]);
    }
    for (uint32_t i = 0; i < slab_words(geometry->pages); i++)
        resident += (uint32_t)__builtin_popcountll(slab_resident_bits(geometry, slab)[i]);
    tally->ready += ready_here;
    tally->free += free_here;
    return ready_here == slab->ready && free_here == slab->free && resident == slab->resident &&
           slab->list == slab_lists_of(store, slab) && slab->ready + slab->leaving > 0 &&
           kinds_are_valid(store, slab, tally);
}

bool slab_store_is_valid(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    struct tally tally = {0};
    bool valid = true;
    for (size_t i = 0; i < store->slab_count && valid; i++)
        valid = slab_is_valid(store, store->slabs[i], &tally);
    valid = valid && tally.ready == slab_count_of(&store->owned) &&
            tally.ready - tally.free == slab_count_of(&store->taken) &&
            tally.raw == slab_count_of(&store->raw) && tally.leaving == slab_count_of(&store->leaving);
    pthread_mutex_unlock(&store->lock);
    return valid;
}
