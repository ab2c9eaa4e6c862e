// SPDX-License-Identifier: Apache-2.0
// The pages of strategy `slab`: regions of 2 MiB (more for large objects), aligned to their size, each with
// a header in front and objects behind it. An object's slab is its address with the low bits cleared.
// Nothing is written into a free object.
//
// An object is *ready* when it may be handed out. Memory follows page by page: a page is *resident* exactly
// when it holds a part of the header, or of a ready or leaving object. So ten objects cost the pages of ten
// objects, and a slab with one object left costs that object's pages. A slab that is made ready as a whole
// asks for a huge page. One that became ready in pieces is made a huge page afterwards.
//
// Stride: objects of 512 bytes and more are an odd number of cache lines apart, so that their first lines
// spread over all sets of the cache (Bonwick, "The Slab Allocator", 1994, on colouring). Smaller objects are
// whole lines apart.
//
// Threads: pages are made resident and released by one thread at a time (pools/slab/store.h, its grow lock).
//
// Constructed objects. Where a geometry `keeps` state, one bit for each object says whether it is
// constructed. A constructed object that is no longer ready is *leaving*: its place is kept until it is
// destructed.
//
//     struct slab *slab = slab_map(&geometry, false);
//     if (slab && slab_pages_fill(&geometry, slab, 0, 10, true) == 0)
//         object = slab_object(&geometry, slab, 9);
#ifndef POOLMARK_POOLS_SLAB_PAGES_H
#define POOLMARK_POOLS_SLAB_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_BYTES_MIN ((size_t)2 << 20)

struct slab_geometry {
    size_t stride;     // from object to object
    size_t slab_bytes; // a power of two
    size_t first;      // offset of object 0
    size_t page_bytes;
    uint32_t capacity; // objects of a slab
    bool keeps;        // see above
    uint32_t pages;    // of a slab
};

struct slab {
    struct slab *next, *previous; // in the store's list of slabs as full as this one
    uint32_t list;                // which list, see pools/slab/store.c
    uint32_t ready, free;         // objects that have memory; of those, the ones in the slab
    uint32_t hint;                // no word of `free` bits before this one has a free object
    uint32_t resident;            // pages
    uint32_t raw;                 // free objects that are not constructed; 0 where no state is kept
    uint32_t leaving;             // objects
    bool huge;                    // has a huge page, or asked for one
    bool collapse_failed;         // since its pages last changed
    bool awaits, destructing;     // is in the list of slabs with leaving objects; a thread destructs them
    struct slab *next_leaving;    // in the list of `awaits`
    // In order: free (capacity bits), ready (capacity), resident (pages); where state is kept also
    // constructed and leaving (capacity each). Each rounded up to whole words.
    uint64_t bits[];
};

void slab_geometry_init(struct slab_geometry *geometry, size_t object_bytes, bool keeps);

// `whole`: all of the slab will be made ready at once. NULL: no memory. Only the header is resident.
struct slab *slab_map(const struct slab_geometry *geometry, bool whole) __attribute__((warn_unused_result));
void slab_unmap(const struct slab_geometry *geometry, struct slab *slab);

// Makes the pages of objects `from` to `from + count - 1` resident. Without `touch` the first access to a
// page faults it in. 0, or -ENOMEM with nothing changed.
int slab_pages_fill(const struct slab_geometry *geometry, struct slab *slab, uint32_t from, uint32_t count,
                    bool touch) __attribute__((warn_unused_result));

// Releases every page without a ready or leaving object. Returns the number of pages released.
uint32_t slab_pages_release(const struct slab_geometry *geometry, struct slab *slab);

// For a slab whose objects are all ready and whose pages are resident: the system copies them to a huge page
// (MADV_COLLAPSE). A thread that accesses an object meanwhile waits, 0.3 to 2 ms. 0, or -errno with nothing
// changed; -EINVAL: it will never work.
int slab_pages_collapse(const struct slab_geometry *geometry, struct slab *slab)
    __attribute__((warn_unused_result));

static inline struct slab *slab_of(const struct slab_geometry *geometry, const void *object)
{
    return (struct slab *)((uintptr_t)object & ~(uintptr_t)(geometry->slab_bytes - 1));
}

static inline void *slab_object(const struct slab_geometry *geometry, struct slab *slab, uint32_t index)
{
    return (char *)slab + geometry->first + (size_t)index * geometry->stride;
}

// A slab has less than 2^32 bytes, so the faster 32-bit division is enough.
static inline uint32_t slab_index_of(const struct slab_geometry *geometry, const void *object)
{
    size_t offset = (uintptr_t)object & (geometry->slab_bytes - 1);
    return (uint32_t)(offset - geometry->first) / (uint32_t)geometry->stride;
}

static inline uint32_t slab_words(uint32_t bits)
{
    return (bits + 63) / 64;
}

static inline uint64_t *slab_free_bits(struct slab *slab)
{
    return slab->bits;
}

static inline uint64_t *slab_ready_bits(const struct slab_geometry *geometry, struct slab *slab)
{
    return slab->bits + slab_words(geometry->capacity);
}

static inline uint64_t *slab_resident_bits(const struct slab_geometry *geometry, struct slab *slab)
{
    return slab->bits + 2 * (size_t)slab_words(geometry->capacity);
}

// Only for geometries that keep state.
static inline uint64_t *slab_constructed_bits(const struct slab_geometry *geometry, struct slab *slab)
{
    return slab_resident_bits(geometry, slab) + slab_words(geometry->pages);
}

static inline uint64_t *slab_leaving_bits(const struct slab_geometry *geometry, struct slab *slab)
{
    return slab_constructed_bits(geometry, slab) + slab_words(geometry->capacity);
}

static inline bool slab_bit(const uint64_t *bits, uint32_t index)
{
    return bits[index / 64] >> (index % 64) & 1;
}

static inline void slab_bit_set(uint64_t *bits, uint32_t index)
{
    bits[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline void slab_bit_clear(uint64_t *bits, uint32_t index)
{
    bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

// The first index from `from` on whose bit is `value`; `limit` when there is none before it.
uint32_t slab_bits_find(const uint64_t *bits, uint32_t from, uint32_t limit, bool value);

#endif
