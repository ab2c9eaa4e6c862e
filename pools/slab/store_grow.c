// SPDX-License-Identifier: Apache-2.0
// How a store makes objects; see pools/slab/store.h. All functions need grow_lock.
#include "base/clock.h"
#include "pools/shared/poison.h"
#include "pools/slab/store_lists.h"

#include <errno.h>
#include <time.h>

// Processor time for 2 MiB: small pages take 0.5 to 1 ms, a huge one 0.25 ms. A huge page takes 2 to 30 ms in
// a guest whose host has to find the memory first, or where the system has to move other pages; meanwhile
// the processor does nothing else. Then small pages are cheaper for a while. Not elapsed time, which includes
// the time of other threads on the processor.
#define HUGE_PAGE_SLOW_NS NS_PER_MS
#define SMALL_PAGES_FOR_NS NS_PER_S
enum { DOUBLINGS_MAX = 6 }; // a pause is about a minute at most

struct slab_huge slab_huge;

void slab_huge_took(int64_t cpu_ns, int64_t now_ns)
{
    int slow = atomic_load_explicit(&slab_huge.slow, memory_order_relaxed);
    bool is_slow = cpu_ns > HUGE_PAGE_SLOW_NS;
    if (is_slow)
        atomic_store_explicit(&slab_huge.small_until_ns, now_ns + (SMALL_PAGES_FOR_NS << slow),
                              memory_order_relaxed);
    if (is_slow ? slow < DOUBLINGS_MAX : slow > 0)
        atomic_store_explicit(&slab_huge.slow, is_slow ? slow + 1 : slow - 1, memory_order_relaxed);
}

static bool are_huge_pages_slow(int64_t now_ns)
{
    return now_ns < atomic_load_explicit(&slab_huge.small_until_ns, memory_order_relaxed);
}

// Pages are faulted in by pieces of this size: a thread that waits for an object waits for one piece.
#define PIECE_BYTES ((size_t)256 << 10)

static void set_range(uint64_t *bits, uint32_t from, uint32_t count)
{
    while (count) {
        uint32_t first = from % 64, here = 64 - first < count ? 64 - first : count;
        bits[from / 64] |= (here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1) << first;
        from += here;
        count -= here;
    }
}

// The objects' pages are resident: makes the objects available. `fresh`: no other thread knows the slab yet.
static void publish(struct slab_store *store, struct slab *slab, uint32_t from, uint32_t count, bool fresh)
{
    for (uint32_t index = from; index < from + count; index++)
        poison(slab_object(&store->geometry, slab, index), store->geometry.stride); // with the gap behind it
    pthread_mutex_lock(&store->lock);
    set_range(slab_free_bits(slab), from, count);
    set_range(slab_ready_bits(&store->geometry, slab), from, count);
    slab->ready += count;
    slab->free += count;
    if (store->geometry.keeps) {
        slab->raw += count;
        slab_count_add(&store->raw, count);
    }
    if (from / 64 < slab->hint)
        slab->hint = from / 64;
    if (fresh)
        slab_register_add(store, slab);
    slab_lists_move(store, slab);
    slab_count_add(&store->owned, count);
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

// The next place that is neither ready nor leaving.
static uint32_t find_place(const struct slab_geometry *geometry, struct slab *slab, uint32_t from)
{
    const uint64_t *ready = slab_ready_bits(geometry, slab);
    for (;;) {
        from = slab_bits_find(ready, from, geometry->capacity, false);
        if (!geometry->keeps || from == geometry->capacity ||
            !slab_bit(slab_leaving_bits(geometry, slab), from))
            return from;
        from = slab_bits_find(slab_leaving_bits(geometry, slab), from, geometry->capacity, false);
    }
}

static uint32_t find_end(const struct slab_geometry *geometry, struct slab *slab, uint32_t from)
{
    uint32_t end = slab_bits_find(slab_ready_bits(geometry, slab), from, geometry->capacity, true);
    return geometry->keeps ? slab_bits_find(slab_leaving_bits(geometry, slab), from, end, true) : end;
}

static bool has_place(const struct slab_store *store, const struct slab *slab)
{
    return slab->ready + slab->leaving < store->geometry.capacity;
}

static void note_full(struct slab_store *store, const struct slab *slab)
{
    if (has_place(store, slab) || slab->huge || !store->touch || store->never_collapses)
        return;
    store->collapse_at = 0;
    atomic_store_explicit(&store->to_collapse, true, memory_order_relaxed);
}

static void note_pages(struct slab_store *store, uint32_t more)
{
    store->resident_pages += more;
    store->filled_pages += more;
}

// Makes at most `count` objects of this slab ready; returns 0 when none can be.
static int64_t grow_within(struct slab_store *store, struct slab *slab, int64_t count)
{
    const struct slab_geometry *geometry = &store->geometry;
    int64_t made = 0, piece = slab_store_piece(store);
    for (uint32_t from = 0; made < count;) {
        from = find_place(geometry, slab, from);
        uint32_t end = find_end(geometry, slab, from);
        uint32_t run = (uint32_t)at_most(end - from, at_most(piece, count - made));
        uint32_t resident = slab->resident;
        if (run == 0 || slab_pages_fill(geometry, slab, from, run, store->touch) < 0)
            break;
        note_pages(store, slab->resident - resident);
        publish(store, slab, from, run, false);
        made += run;
    }
    note_full(store, slab);
    return made;
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

// Makes a new slab with at most `count` objects; returns 0 when there is no memory.
static int64_t grow_new(struct slab_store *store, int64_t count, enum slab_haste haste)
{
    const struct slab_geometry *geometry = &store->geometry;
    int64_t began_ns = clock_now_ns(), began_cpu_ns = cpu_ns();
    bool whole = count >= geometry->capacity && haste != SLAB_NOW &&
                 !(haste == SLAB_AHEAD && are_huge_pages_slow(began_ns));
    if (slab_register_reserve(store) < 0)
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
    note_pages(store, slab->resident);
    publish(store, slab, 0, first, true);
    store->grow_at = slab_register_find(store, slab); // no other slab has room
    if (whole)
        slab_huge_took((cpu_ns() - began_cpu_ns) / (int64_t)(geometry->slab_bytes / SLAB_BYTES_MIN),
                       clock_now_ns());
    return first + grow_within(store, slab, count - first);
}

int64_t slab_store_room(struct slab_store *store)
{
    while (store->grow_at < store->slab_count && !has_place(store, store->slabs[store->grow_at]))
        store->grow_at++;
    if (store->grow_at == store->slab_count)
        return 0;
    const struct slab *slab = store->slabs[store->grow_at];
    return store->geometry.capacity - slab->ready - slab->leaving;
}

int64_t slab_store_grow(struct slab_store *store, int64_t count, enum slab_haste haste)
{
    int64_t made = 0, capacity = store->geometry.capacity;
    // The register does not change meanwhile: that takes grow_lock.
    for (; store->grow_at < store->slab_count && made < count; store->grow_at++) {
        struct slab *slab = store->slabs[store->grow_at];
        if (!has_place(store, slab))
            continue;
        made += grow_within(store, slab, count - made);
        if (has_place(store, slab))
            return made; // enough were made, or there was room but no memory
    }
    while (made < count) {
        int64_t want = at_most(count - made, capacity), more = grow_new(store, want, haste);
        made += more;
        if (more < want)
            break;
    }
    return made;
}

bool slab_store_collapse(struct slab_store *store)
{
    for (; store->collapse_at < store->slab_count; store->collapse_at++) {
        struct slab *slab = store->slabs[store->collapse_at];
        if (slab->huge || slab->collapse_failed || slab->ready < store->geometry.capacity)
            continue;
        store->never_collapses = slab_pages_collapse(&store->geometry, slab) == -EINVAL;
        if (!store->never_collapses)
            return true;
        break;
    }
    atomic_store_explicit(&store->to_collapse, false, memory_order_relaxed);
    return false;
}
