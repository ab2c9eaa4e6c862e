// SPDX-License-Identifier: Apache-2.0
#include "pools/slab/store.h"

#include "base/clock.h"
#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <string.h>

// 2 MiB of small pages take about 1 ms, a huge one 0.2 ms, or many where the system has to look for it.
#define HUGE_PAGE_SLOW_NS (2 * NS_PER_MS)
#define SMALL_PAGES_FOR_NS NS_PER_S

// Pages are faulted in by pieces of this size, so that whoever waits for an object waits for one piece.
#define PIECE_BYTES ((size_t)256 << 10)

static int init_locks(struct slab_store *store)
{
    // `lock` is held so shortly that waiting by spinning is cheaper than sleeping; without inheritance, that
    // is.
    pthread_mutexattr_t spins, plain;
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
    if (code == 0)
        goto done;
    pthread_mutex_destroy(&store->grow_lock);
fail_grow_lock:
    pthread_mutex_destroy(&store->lock);
done:
    pthread_mutexattr_destroy(&spins);
    pthread_mutexattr_destroy(&plain);
    return -code;
}

int slab_store_open(struct slab_store *store, size_t object_bytes, bool touch, bool inherits)
{
    memset(store, 0, sizeof *store);
    slab_geometry_init(&store->geometry, object_bytes);
    store->object_bytes = object_bytes;
    store->touch = touch;
    store->inherits = inherits;
    return init_locks(store);
}

// The forking thread holds them; one that inherits has the parent's thread in it, and is made anew, as is the
// condition, which threads that are not here may wait on. All of it succeeded at open.
void slab_store_locks_anew(struct slab_store *store)
{
    if (store->inherits) {
        (void)init_locks(store);
        return;
    }
    pthread_mutex_unlock(&store->lock);
    pthread_mutex_unlock(&store->grow_lock);
    (void)pthread_cond_init(&store->published, NULL);
}

void slab_store_close(struct slab_store *store)
{
    for (size_t i = 0; i < store->slab_count; i++)
        slab_unmap(&store->geometry, store->slabs[i]);
    pool_memory_free(store->slabs);
    pthread_cond_destroy(&store->published);
    pthread_mutex_destroy(&store->grow_lock);
    pthread_mutex_destroy(&store->lock);
}

// --- lists, under `lock` --------------------------------------------------------------------------------

static uint32_t list_of(const struct slab_store *store, const struct slab *slab)
{
    if (slab->free == 0)
        return SLAB_LIST_NONE;
    uint32_t used = slab->ready - slab->free;
    if (used == 0)
        return SLAB_LIST_UNUSED;
    return SLAB_LIST_UNUSED - 1 -
           (uint32_t)((uint64_t)used * SLAB_LIST_UNUSED / (store->geometry.capacity + 1));
}

static void unlink_slab(struct slab_store *store, struct slab *slab)
{
    if (slab->list == SLAB_LIST_NONE)
        return;
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        store->lists[slab->list] = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    slab->list = SLAB_LIST_NONE;
}

// Puts the slab where it belongs after its counts changed.
static void relist(struct slab_store *store, struct slab *slab)
{
    uint32_t list = list_of(store, slab);
    if (list == slab->list)
        return;
    unlink_slab(store, slab);
    slab->list = list;
    if (list == SLAB_LIST_NONE)
        return;
    slab->previous = NULL;
    slab->next = store->lists[list];
    if (slab->next)
        slab->next->previous = slab;
    store->lists[list] = slab;
}

// Plain sums: `lock` is held, the counts are atomic for readers without it.
static void add_to(_Atomic int64_t *count, int64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

// --- taking and giving ----------------------------------------------------------------------------------

static size_t take_from(struct slab_store *store, struct slab *slab, void **objects, size_t count)
{
    uint64_t *bits = slab_free_bits(slab);
    size_t got = 0;
    uint32_t word = slab->hint;
    for (; got < count && slab->free; word += bits[word] == 0) {
        while (got < count && bits[word]) {
            uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
            bits[word] &= bits[word] - 1;
            slab->free--;
            objects[got++] = slab_object(&store->geometry, slab, index);
        }
    }
    slab->hint = word;
    return got;
}

size_t slab_store_take_locked(struct slab_store *store, void **objects, size_t count)
{
    size_t got = 0;
    for (int list = 0; list < SLAB_LISTS && got < count; list++) {
        while (store->lists[list] && got < count) {
            struct slab *slab = store->lists[list];
            got += take_from(store, slab, objects + got, count - got);
            relist(store, slab);
        }
    }
    add_to(&store->taken, (int64_t)got);
    return got;
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
        relist(store, slab);
    }
    add_to(&store->taken, -(int64_t)count);
}

void slab_store_give(struct slab_store *store, void **objects, size_t count)
{
    pthread_mutex_lock(&store->lock);
    slab_store_give_locked(store, objects, count);
    pthread_mutex_unlock(&store->lock);
}

// --- the register of slabs ------------------------------------------------------------------------------

// Where the slab of that address is, or would be.
static size_t register_find(const struct slab_store *store, const void *address)
{
    size_t low = 0, high = store->slab_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)store->slabs[middle] < (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Room for one more, so that adding cannot fail.
static int register_reserve(struct slab_store *store)
{
    if ((int64_t)store->slab_count < store->slab_room)
        return 0;
    size_t room = store->slab_count ? store->slab_count * 2 : 16;
    struct slab **slabs = pool_memory_alloc(room * sizeof *slabs), **old = store->slabs;
    if (!slabs)
        return -ENOMEM;
    pthread_mutex_lock(&store->lock);
    if (store->slab_count)
        memcpy(slabs, old, store->slab_count * sizeof *slabs);
    store->slabs = slabs;
    store->slab_room = (int64_t)room;
    pthread_mutex_unlock(&store->lock);
    pool_memory_free(old);
    return 0;
}

static void register_add(struct slab_store *store, struct slab *slab)
{
    size_t at = register_find(store, slab);
    memmove(store->slabs + at + 1, store->slabs + at, (store->slab_count - at) * sizeof *store->slabs);
    store->slabs[at] = slab;
    store->slab_count++;
}

static void register_remove(struct slab_store *store, struct slab *slab)
{
    size_t at = register_find(store, slab);
    store->slab_count--;
    memmove(store->slabs + at, store->slabs + at + 1, (store->slab_count - at) * sizeof *store->slabs);
}

bool slab_store_owns_locked(const struct slab_store *store, const void *object)
{
    struct slab *slab = slab_of(&store->geometry, object);
    size_t at = register_find(store, slab);
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

// --- growing, under `grow_lock` -------------------------------------------------------------------------

void slab_store_announce(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->generation++;
    pthread_cond_broadcast(&store->published);
    pthread_mutex_unlock(&store->lock);
}

static void set_range(uint64_t *bits, uint32_t from, uint32_t count)
{
    while (count) {
        uint32_t first = from % 64, here = 64 - first < count ? 64 - first : count;
        bits[from / 64] |= (here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1) << first;
        from += here;
        count -= here;
    }
}

// The objects' pages are there: lets everybody have them. `fresh`: nobody knows the slab yet.
static void publish(struct slab_store *store, struct slab *slab, uint32_t from, uint32_t count, bool fresh)
{
    for (uint32_t index = from; index < from + count; index++)
        poison(slab_object(&store->geometry, slab, index), store->geometry.stride); // what is behind it too
    pthread_mutex_lock(&store->lock);
    set_range(slab_free_bits(slab), from, count);
    set_range(slab_ready_bits(&store->geometry, slab), from, count);
    slab->ready += count;
    slab->free += count;
    if (from / 64 < slab->hint)
        slab->hint = from / 64;
    if (fresh)
        register_add(store, slab);
    relist(store, slab);
    add_to(&store->owned, count);
    store->generation++;
    pthread_cond_broadcast(&store->published);
    pthread_mutex_unlock(&store->lock);
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

int64_t slab_store_piece(const struct slab_store *store)
{
    return (int64_t)(PIECE_BYTES / store->geometry.stride) + 1;
}

// Makes objects of this slab ready, `count` at most; 0 when none can be.
static int64_t grow_within(struct slab_store *store, struct slab *slab, int64_t count)
{
    const struct slab_geometry *geometry = &store->geometry;
    const uint64_t *ready = slab_ready_bits(geometry, slab);
    int64_t made = 0, piece = slab_store_piece(store);
    for (uint32_t from = 0; made < count;) {
        from = slab_bits_find(ready, from, geometry->capacity, false);
        uint32_t end = slab_bits_find(ready, from, geometry->capacity, true);
        uint32_t run = (uint32_t)at_most(end - from, at_most(piece, count - made));
        uint32_t resident = slab->resident;
        if (run == 0 || slab_pages_fill(geometry, slab, from, run, store->touch) < 0)
            break;
        store->resident_pages += slab->resident - resident;
        publish(store, slab, from, run, false);
        made += run;
    }
    return made;
}

// A new slab with `count` objects at most; 0 when there is no memory.
static int64_t grow_new(struct slab_store *store, int64_t count, enum slab_haste haste)
{
    const struct slab_geometry *geometry = &store->geometry;
    int64_t began_ns = clock_now_ns();
    bool whole = count >= geometry->capacity && haste != SLAB_NOW &&
                 !(haste == SLAB_AHEAD && began_ns < store->small_until_ns);
    if (register_reserve(store) < 0)
        return 0;
    struct slab *slab = slab_map(geometry, whole);
    if (!slab)
        return 0;
    slab->list = SLAB_LIST_NONE;
    uint32_t first = (uint32_t)(whole ? geometry->capacity : at_most(slab_store_piece(store), count));
    if (slab_pages_fill(geometry, slab, 0, first, store->touch) < 0) {
        slab_unmap(geometry, slab);
        return 0;
    }
    store->resident_pages += slab->resident;
    publish(store, slab, 0, first, true);
    store->grow_at = register_find(store, slab); // all others have no room
    int64_t ended_ns = clock_now_ns();
    if (whole && ended_ns - began_ns > HUGE_PAGE_SLOW_NS * (int64_t)(geometry->slab_bytes / SLAB_BYTES_MIN))
        store->small_until_ns = ended_ns + SMALL_PAGES_FOR_NS;
    return first + grow_within(store, slab, count - first);
}

int64_t slab_store_grow(struct slab_store *store, int64_t count, enum slab_haste haste)
{
    uint32_t capacity = store->geometry.capacity;
    int64_t made = 0;
    // The register does not change while we look: that takes grow_lock.
    for (; store->grow_at < store->slab_count && made < count; store->grow_at++) {
        struct slab *slab = store->slabs[store->grow_at];
        if (slab->ready == capacity)
            continue;
        made += grow_within(store, slab, count - made);
        if (slab->ready < capacity)
            return made; // enough, or there was room, but no memory
    }
    while (made < count) {
        int64_t want = at_most(count - made, capacity), more = grow_new(store, want, haste);
        made += more;
        if (more < want)
            break;
    }
    return made;
}

// --- giving back, under `grow_lock` ---------------------------------------------------------------------

// Clears up to `count` free objects of the slab, the last ones first. Under `lock`.
static int64_t retire_within(struct slab_store *store, struct slab *slab, int64_t count)
{
    uint64_t *free = slab_free_bits(slab), *ready = slab_ready_bits(&store->geometry, slab);
    int64_t retired = 0;
    for (uint32_t word = slab_words(store->geometry.capacity); word-- > 0 && retired < count;) {
        while (free[word] && retired < count) {
            uint32_t index = word * 64 + 63 - (uint32_t)__builtin_clzll(free[word]);
            slab_bit_clear(free, index);
            slab_bit_clear(ready, index);
            retired++;
        }
    }
    slab->free -= (uint32_t)retired;
    slab->ready -= (uint32_t)retired;
    add_to(&store->owned, -retired);
    return retired;
}

int64_t slab_store_retire(struct slab_store *store, int64_t count, int64_t *bytes)
{
    int64_t retired = 0;
    while (retired < count) {
        pthread_mutex_lock(&store->lock);
        struct slab *slab = NULL;
        for (int list = SLAB_LISTS - 1; list >= 0 && !slab; list--)
            slab = store->lists[list];
        if (slab) {
            retired += retire_within(store, slab, count - retired);
            relist(store, slab);
            if (slab->ready == 0)
                register_remove(store, slab);
            store->grow_at = 0; // there is room again
        }
        pthread_mutex_unlock(&store->lock);
        if (!slab)
            break;
        // Nobody else reaches the slab's pages: that takes grow_lock, which we hold.
        uint32_t pages = slab->resident;
        if (slab->ready == 0)
            slab_unmap(&store->geometry, slab);
        else
            pages = slab_pages_release(&store->geometry, slab);
        store->resident_pages -= pages;
        *bytes += (int64_t)(pages * store->geometry.page_bytes);
    }
    return retired;
}

// --- invariants -----------------------------------------------------------------------------------------

static bool slab_is_valid(const struct slab_store *store, struct slab *slab, int64_t *ready, int64_t *free)
{
    const struct slab_geometry *geometry = &store->geometry;
    const uint64_t *free_bits = slab_free_bits(slab), *ready_bits = slab_ready_bits(geometry, slab);
    uint32_t words = slab_words(geometry->capacity), ready_here = 0, free_here = 0, resident = 0;
    for (uint32_t i = 0; i < words; i++) {
        if (free_bits[i] & ~ready_bits[i])
            return false; // free without memory
        if (free_bits[i] && i < slab->hint)
            return false;
        ready_here += (uint32_t)__builtin_popcountll(ready_bits[i]);
        free_here += (uint32_t)__builtin_popcountll(free_bits[i]);
    }
    for (uint32_t i = 0; i < slab_words(geometry->pages); i++)
        resident += (uint32_t)__builtin_popcountll(slab_resident_bits(geometry, slab)[i]);
    *ready += ready_here;
    *free += free_here;
    return ready_here == slab->ready && free_here == slab->free && resident == slab->resident &&
           slab->list == list_of(store, slab) && slab->ready > 0;
}

bool slab_store_is_valid(struct slab_store *store)
{
    pthread_mutex_lock(&store->lock);
    int64_t ready = 0, free = 0;
    bool valid = true;
    for (size_t i = 0; i < store->slab_count && valid; i++)
        valid = slab_is_valid(store, store->slabs[i], &ready, &free);
    valid = valid && ready == atomic_load_explicit(&store->owned, memory_order_relaxed) &&
            ready - free == atomic_load_explicit(&store->taken, memory_order_relaxed);
    pthread_mutex_unlock(&store->lock);
    return valid;
}
