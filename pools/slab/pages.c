// SPDX-License-Identifier: Apache-2.0
#include "pools/slab/pages.h"

#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1; older kernels return EINVAL
#endif

enum {
    LINE_BYTES = 64,
    ODD_LINES_FROM = 512, // from this size on, the line for an odd stride costs an eighth at most
    OBJECTS_MIN = 16,     // of a slab: large objects get larger slabs
};

static size_t stride_of(size_t object_bytes)
{
    size_t lines = (object_bytes + LINE_BYTES - 1) / LINE_BYTES;
    if (object_bytes >= ODD_LINES_FROM)
        lines |= 1;
    return lines * LINE_BYTES;
}

static size_t round_up(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

void slab_geometry_init(struct slab_geometry *geometry, size_t object_bytes, bool keeps)
{
    size_t stride = stride_of(object_bytes), slab_bytes = SLAB_BYTES_MIN;
    while (slab_bytes < stride * (OBJECTS_MIN + 1))
        slab_bytes *= 2;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uint32_t pages = (uint32_t)(slab_bytes / page_bytes);
    // Bits for the objects that would fit without a header: slightly too many.
    uint32_t words = (keeps ? 4 : 2) * slab_words((uint32_t)(slab_bytes / stride)) + slab_words(pages);
    size_t first = round_up(sizeof(struct slab) + words * sizeof(uint64_t), LINE_BYTES);
    *geometry = (struct slab_geometry){
        .stride = stride,
        .slab_bytes = slab_bytes,
        .first = first,
        .page_bytes = page_bytes,
        .capacity = (uint32_t)((slab_bytes - first) / stride),
        .pages = pages,
        .keeps = keeps,
    };
}

uint32_t slab_bits_find(const uint64_t *bits, uint32_t from, uint32_t limit, bool value)
{
    while (from < limit) {
        uint64_t word = (value ? bits[from / 64] : ~bits[from / 64]) >> (from % 64);
        if (word) {
            uint32_t index = from + (uint32_t)__builtin_ctzll(word);
            return index < limit ? index : limit;
        }
        from = (from / 64 + 1) * 64;
    }
    return limit;
}

static uint32_t header_pages(const struct slab_geometry *geometry)
{
    return (uint32_t)(round_up(geometry->first, geometry->page_bytes) / geometry->page_bytes);
}

struct slab *slab_map(const struct slab_geometry *geometry, bool whole)
{
    struct slab *slab = pool_memory_map(geometry->slab_bytes, geometry->slab_bytes);
    if (!slab)
        return NULL;
    // A hint in both directions: where the system prefers huge pages, a slab of ten objects must not become
    // one.
    (void)madvise(slab, geometry->slab_bytes, whole ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    uint32_t pages = header_pages(geometry);
    if (pool_memory_populate(slab, pages * geometry->page_bytes) < 0) {
        pool_memory_unmap(slab, geometry->slab_bytes);
        return NULL;
    }
    for (uint32_t page = 0; page < pages; page++)
        slab_bit_set(slab_resident_bits(geometry, slab), page);
    slab->resident = pages;
    slab->huge = whole;
    return slab;
}

void slab_unmap(const struct slab_geometry *geometry, struct slab *slab)
{
    unpoison((char *)slab + geometry->first, geometry->slab_bytes - geometry->first);
    pool_memory_unmap(slab, geometry->slab_bytes);
}

static void mark_pages(const struct slab_geometry *geometry, struct slab *slab, uint32_t from, uint32_t to)
{
    uint64_t *resident = slab_resident_bits(geometry, slab);
    for (uint32_t page = from; page < to; page++) {
        if (slab_bit(resident, page))
            continue;
        slab_bit_set(resident, page);
        slab->resident++;
    }
}

static char *page_at(const struct slab_geometry *geometry, struct slab *slab, uint32_t page)
{
    return (char *)slab + page * geometry->page_bytes;
}

int slab_pages_fill(const struct slab_geometry *geometry, struct slab *slab, uint32_t from, uint32_t count,
                    bool touch)
{
    const uint64_t *resident = slab_resident_bits(geometry, slab);
    size_t begin = geometry->first + from * geometry->stride, end = begin + count * geometry->stride;
    uint32_t first = (uint32_t)(begin / geometry->page_bytes);
    uint32_t last = (uint32_t)(round_up(end, geometry->page_bytes) / geometry->page_bytes);
    // Only pages that are absent: the others hold objects in use, which the fallback must not write to.
    for (uint32_t page = first; touch && page < last;) {
        uint32_t absent = slab_bits_find(resident, page, last, false);
        uint32_t present = slab_bits_find(resident, absent, last, true);
        size_t bytes = (present - absent) * geometry->page_bytes;
        if (bytes && pool_memory_populate(page_at(geometry, slab, absent), bytes) < 0) {
            // Pages faulted in by this call are not marked: the unmarked ones go back.
            for (uint32_t back = first; back < present; back++)
                if (!slab_bit(resident, back))
                    (void)madvise(page_at(geometry, slab, back), geometry->page_bytes, MADV_DONTNEED);
            return -ENOMEM;
        }
        page = present;
    }
    mark_pages(geometry, slab, first, last);
    return 0;
}

int slab_pages_collapse(const struct slab_geometry *geometry, struct slab *slab)
{
    (void)madvise(slab, geometry->slab_bytes, MADV_HUGEPAGE); // slab_map may have set MADV_NOHUGEPAGE
    if (madvise(slab, geometry->slab_bytes, MADV_COLLAPSE) == 0) {
        slab->huge = true;
        return 0;
    }
    int code = -errno;
    (void)madvise(slab, geometry->slab_bytes, MADV_NOHUGEPAGE);
    slab->collapse_failed = true;
    return code;
}

// Does the page hold a part of the header, or of a ready or leaving object?
static bool page_is_needed(const struct slab_geometry *geometry, struct slab *slab, uint32_t page)
{
    size_t begin = page * geometry->page_bytes, end = begin + geometry->page_bytes;
    if (begin < geometry->first)
        return true;
    uint32_t from = (uint32_t)((begin - geometry->first) / geometry->stride);
    uint32_t to = (uint32_t)((end - 1 - geometry->first) / geometry->stride) + 1;
    if (to > geometry->capacity)
        to = geometry->capacity;
    if (from < to && slab_bits_find(slab_ready_bits(geometry, slab), from, to, true) < to)
        return true;
    return from < to && geometry->keeps &&
           slab_bits_find(slab_leaving_bits(geometry, slab), from, to, true) < to;
}

uint32_t slab_pages_release(const struct slab_geometry *geometry, struct slab *slab)
{
    uint64_t *resident = slab_resident_bits(geometry, slab);
    uint32_t released = 0;
    for (uint32_t page = 0; page < geometry->pages;) {
        page = slab_bits_find(resident, page, geometry->pages, true);
        uint32_t end = page;
        while (end < geometry->pages && slab_bit(resident, end) && !page_is_needed(geometry, slab, end))
            slab_bit_clear(resident, end++);
        if (end > page) {
            char *from = page_at(geometry, slab, page);
            size_t bytes = (end - page) * geometry->page_bytes;
            (void)madvise(from, bytes, MADV_DONTNEED);
            unpoison(from, bytes);
            released += end - page;
        }
        page = end + (end == page);
    }
    // The system must not make the rest a huge page again by itself.
    if (released && slab->huge)
        (void)madvise(slab, geometry->slab_bytes, MADV_NOHUGEPAGE);
    slab->huge = slab->huge && !released;
    slab->collapse_failed = slab->collapse_failed && !released;
    slab->resident -= released;
    return released;
}
