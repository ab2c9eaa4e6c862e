// SPDX-License-Identifier: Apache-2.0
#include "pools/slab/depot.h"

#include "pools/pool_strategy.h"
#include "pools/slab/pages.h"
#include "pools/shared/thread_slot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MAGAZINES_LIMIT = 1 << 17, // 16 million objects of 3 KiB; the rest is in the store
    L2_BYTES_DEFAULT = 1 << 18,
    CHUNK_BYTES = 1 << 18, // of address space; small, so that a small pool reserves little
    SHRINK_PAGES = 64,     // given back by one call
};

uint32_t slab_magazine_capacity(size_t stride)
{
    long l2_bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    size_t rounds = (size_t)(l2_bytes > 0 ? l2_bytes : L2_BYTES_DEFAULT) / 4 / stride;
    uint32_t capacity = SLAB_ROUNDS_MIN;
    while (capacity < rounds && capacity < SLAB_ROUNDS_MAX)
        capacity *= 2;
    return capacity;
}

// Of the first `magazines` places of `next`, in whole pages.
static size_t table_bytes(const struct slab_depot *depot, uint32_t magazines)
{
    size_t bytes = magazines * sizeof *depot->next;
    return (bytes + depot->page_bytes - 1) / depot->page_bytes * depot->page_bytes;
}

static uint32_t chunk_count(const struct slab_depot *depot)
{
    return ((depot->limit - 1) >> depot->chunk_shift) + 1;
}

static uint32_t per_page(const struct slab_depot *depot)
{
    return (uint32_t)(depot->page_bytes / (depot->capacity * sizeof(void *)));
}

static uint32_t page_count(const struct slab_depot *depot)
{
    return (depot->limit + per_page(depot) - 1) / per_page(depot);
}

static size_t made_bytes(const struct slab_depot *depot)
{
    return slab_words(page_count(depot)) * sizeof(uint64_t);
}

int slab_depot_open(struct slab_depot *depot, uint32_t capacity, int64_t objects_max)
{
    memset(depot, 0, sizeof *depot);
    depot->capacity = capacity;
    depot->nodes = memory_node_count();
    depot->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    // Twice the number that holds all objects, and two for each thread.
    int64_t limit = objects_max / capacity * 2 + 2 * THREAD_SLOT_ROWS;
    depot->limit = objects_max && limit < MAGAZINES_LIMIT ? (uint32_t)limit : MAGAZINES_LIMIT;
    while ((capacity * sizeof(void *)) << (depot->chunk_shift + 1) <= CHUNK_BYTES)
        depot->chunk_shift++;
    depot->chunks = pool_memory_alloc(chunk_count(depot) * sizeof *depot->chunks);
    if (!depot->chunks)
        return -ENOMEM;
    memset(depot->chunks, 0, chunk_count(depot) * sizeof *depot->chunks);
    depot->next = pool_memory_map(depot->limit * sizeof *depot->next, depot->page_bytes);
    if (!depot->next)
        goto fail_next;
    depot->made = pool_memory_alloc(made_bytes(depot));
    if (!depot->made)
        goto fail_made;
    memset(depot->made, 0, made_bytes(depot));
    return 0;

fail_made:
    pool_memory_unmap(depot->next, depot->limit * sizeof *depot->next);
fail_next:
    pool_memory_free(depot->chunks);
    return -ENOMEM;
}

void slab_depot_close(struct slab_depot *depot)
{
    pool_memory_free(depot->made);
    pool_memory_unmap(depot->next, depot->limit * sizeof *depot->next);
    for (uint32_t chunk = 0; chunk < chunk_count(depot); chunk++)
        pool_memory_unmap(depot->chunks[chunk], CHUNK_BYTES);
    pool_memory_free(depot->chunks);
}

// --- stacks ---------------------------------------------------------------------------------------------

#define NUMBER(head) ((uint32_t)(head))
#define HEAD(changes, number) ((((uint64_t)(changes)) << 32) | (number))
#define CHANGES(head) ((uint32_t)((head) >> 32))

// Release: a thread that pops the magazine sees its rounds. Counts are estimates: relaxed.
void slab_depot_push(struct slab_depot *depot, struct slab_stack *stack, uint32_t magazine)
{
    uint64_t head = atomic_load_explicit(&stack->head, memory_order_relaxed);
    do
        // A popper that is late may read this; its compare-and-swap then fails.
        atomic_store_explicit(&depot->next[magazine - 1], NUMBER(head), memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&stack->head, &head, HEAD(CHANGES(head) + 1, magazine),
                                                  memory_order_release, memory_order_relaxed));
    atomic_fetch_add_explicit(&stack->count, 1, memory_order_relaxed);
}

// Acquire: the pusher's writes to the magazine are visible; also for `next`, which was written before the
// head.
uint32_t slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack)
{
    uint64_t head = atomic_load_explicit(&stack->head, memory_order_acquire);
    uint32_t next;
    do {
        if (NUMBER(head) == 0)
            return 0;
        next = atomic_load_explicit(&depot->next[NUMBER(head) - 1], memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&stack->head, &head, HEAD(CHANGES(head) + 1, next),
                                                    memory_order_acquire, memory_order_acquire));
    atomic_fetch_sub_explicit(&stack->count, 1, memory_order_relaxed);
    return NUMBER(head);
}

uint32_t slab_depot_pop_full(struct slab_depot *depot)
{
    int own = memory_node_here(depot->nodes);
    uint32_t magazine = slab_depot_pop(depot, &depot->full[own]);
    for (int node = 0; magazine == 0 && node < depot->nodes; node++)
        magazine = node == own ? 0 : slab_depot_pop(depot, &depot->full[node]);
    return magazine;
}

void slab_depot_push_full(struct slab_depot *depot, uint32_t magazine)
{
    slab_depot_push(depot, &depot->full[memory_node_here(depot->nodes)], magazine);
}

// Relaxed: only a hint.
void slab_depot_prefetch(const struct slab_depot *depot)
{
    const struct slab_stack *own = &depot->full[memory_node_here(depot->nodes)];
    uint32_t magazine = NUMBER(atomic_load_explicit(&own->head, memory_order_relaxed));
    __builtin_prefetch((const void *)&depot->empty, 1);
    if (magazine == 0)
        return;
    __builtin_prefetch((const void *)&depot->next[magazine - 1]);
    __builtin_prefetch(slab_magazine_rounds(depot, magazine) + depot->capacity - 1);
}

// --- making and giving back, under the grow lock --------------------------------------------------------

static char *rounds_page(const struct slab_depot *depot, uint32_t page)
{
    return (char *)slab_magazine_rounds(depot, page * per_page(depot) + 1);
}

// Makes the chunk of that page, unless it is there. A thread pops a magazine of it only after its push.
static int reserve_chunk(struct slab_depot *depot, uint32_t page)
{
    void ***chunk = &depot->chunks[(page * per_page(depot)) >> depot->chunk_shift];
    if (!*chunk)
        *chunk = pool_memory_map(CHUNK_BYTES, depot->page_bytes);
    return *chunk ? 0 : -ENOMEM;
}

static uint32_t first_of_page(const struct slab_depot *depot, uint32_t page)
{
    return page * per_page(depot) + 1;
}

static uint32_t end_of_page(const struct slab_depot *depot, uint32_t page)
{
    uint32_t end = first_of_page(depot, page + 1);
    return end <= depot->limit + 1 ? end : depot->limit + 1;
}

int slab_depot_make(struct slab_depot *depot, int64_t count)
{
    uint32_t pages = page_count(depot);
    for (uint32_t page = 0; depot->made_pages * per_page(depot) < count; page++) {
        page = slab_bits_find(depot->made, page, pages, false);
        if (page == pages)
            return 0;
        if (reserve_chunk(depot, page) < 0 ||
            pool_memory_populate(rounds_page(depot, page), depot->page_bytes) < 0)
            return -ENOMEM;
        slab_bit_set(depot->made, page);
        depot->made_pages++;
        for (uint32_t magazine = first_of_page(depot, page); magazine < end_of_page(depot, page); magazine++)
            slab_depot_push(depot, &depot->empty, magazine);
        if (end_of_page(depot, page) - 1 > depot->ever_made)
            depot->ever_made = end_of_page(depot, page) - 1;
    }
    return 0;
}

// The table of `next` needs no memory past the last magazine there is. A popper that is late may read there: it finds
// another number than it would have, and its compare-and-swap fails.
static int64_t shorten_table(struct slab_depot *depot)
{
    uint32_t pages = page_count(depot);
    while (pages > 0 && !slab_bit(depot->made, pages - 1))
        pages--;
    uint32_t end = pages ? end_of_page(depot, pages - 1) - 1 : 0;
    size_t from = table_bytes(depot, end), to = table_bytes(depot, depot->ever_made);
    if (end >= depot->ever_made)
        return 0;
    if (to > from)
        (void)madvise((char *)(void *)depot->next + from, to - from, MADV_DONTNEED);
    depot->ever_made = end;
    return (int64_t)(to - from);
}

// A thread that looks for an empty magazine meanwhile finds none, and gives its objects to the store.
int64_t slab_depot_shrink(struct slab_depot *depot, int64_t count)
{
    uint32_t pages = (depot->ever_made + per_page(depot) - 1) / per_page(depot), *idle = NULL;
    int most = SHRINK_PAGES;
    if ((depot->made_pages - 1) * per_page(depot) < count)
        return 0;
    idle = pool_memory_alloc(pages * sizeof *idle); // idle magazines of each page
    if (!idle)
        return 0;
    memset(idle, 0, pages * sizeof *idle);
    uint32_t chain = 0; // the popped ones, linked by `next`; this thread owns them
    for (uint32_t magazine; (magazine = slab_depot_pop(depot, &depot->empty));) {
        atomic_store_explicit(&depot->next[magazine - 1], chain, memory_order_relaxed);
        chain = magazine;
        idle[(magazine - 1) / per_page(depot)]++;
    }
    int64_t given = 0;
    for (uint32_t page = pages;
         page-- > 0 && most > 0 && (depot->made_pages - 1) * per_page(depot) >= count;) {
        if (idle[page] == 0 || idle[page] < end_of_page(depot, page) - first_of_page(depot, page))
            continue;
        (void)madvise(rounds_page(depot, page), depot->page_bytes, MADV_DONTNEED);
        slab_bit_clear(depot->made, page);
        depot->made_pages--;
        given += (int64_t)depot->page_bytes;
        most--;
    }
    while (chain) {
        uint32_t magazine = chain;
        chain = atomic_load_explicit(&depot->next[magazine - 1], memory_order_relaxed);
        if (slab_bit(depot->made, (magazine - 1) / per_page(depot)))
            slab_depot_push(depot, &depot->empty, magazine);
    }
    pool_memory_free(idle);
    return given + shorten_table(depot);
}

int64_t slab_depot_count(const struct slab_depot *depot)
{
    return depot->made_pages * per_page(depot);
}

int64_t slab_depot_bytes(const struct slab_depot *depot)
{
    return (int64_t)((size_t)depot->made_pages * depot->page_bytes + made_bytes(depot) +
                     chunk_count(depot) * sizeof *depot->chunks + table_bytes(depot, depot->ever_made));
}
