// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/stock_batch.h"

#include <errno.h>

enum { PAGE_BYTES = 4096, LINE_BYTES = 64 };

void stock_free_ranges(struct number_range *ranges)
{
    while (ranges) {
        struct number_range *range = ranges;
        ranges = range->next;
        pool_memory_free(range);
    }
}

void stock_batch_free(const struct stock *stock, struct stock_batch *batch)
{
    object_destruct_all(&stock->config, batch->memory, stock->stride, batch->count);
    unpoison(batch->memory, (size_t)stock_batch_bytes(stock, batch->count));
    pool_memory_free(batch->memory);
    pool_memory_free(batch);
}

struct stock_batch *stock_batch_make(const struct stock *stock, int64_t count)
{
    size_t bytes = (size_t)stock_batch_bytes(stock, count);
    struct stock_batch *batch = pool_memory_alloc(sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (struct stock_batch){.count = count, .home = -1, .home_top = FREE_STACK_NONE};
    batch->memory = pool_memory_alloc_aligned(LINE_BYTES, bytes);
    if (!batch->memory)
        goto fail_memory;
    batch->rounding_bytes = (int64_t)(pool_memory_block_bytes(batch->memory) - bytes +
                                      pool_memory_block_bytes(batch) - sizeof *batch);
    if (stock->config.touch) {
        // One write a page; volatile, since no code reads it.
        for (size_t at = 0; at < bytes; at += PAGE_BYTES)
            *(volatile char *)(batch->memory + at) = 0;
        *(volatile char *)(batch->memory + bytes - 1) = 0;
    }
    if (object_construct_all(&stock->config, batch->memory, stock->stride, count) < 0)
        goto fail_construct;
    poison(batch->memory, bytes);
    return batch;

fail_construct:
    pool_memory_free(batch->memory);
fail_memory:
    pool_memory_free(batch);
    return NULL;
}

// No other thread knows the entries of these numbers yet. Also faults their pages in. The lowest address is
// on top: objects are given out in rising order.
static int lay_chain(struct stock *stock, const struct stock_batch *batch)
{
    uint32_t first = (uint32_t)batch->range->first, count = (uint32_t)batch->count;
    int code = free_stack_make_room(&stock->free, first, (uint32_t)batch->range->count);
    if (code < 0)
        return code;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = first + i;
        if (i % FREE_STACK_SEGMENT == 0)
            atomic_store_explicit(&free_stack_chunk(&stock->free, number)
                                       ->objects[number % FREE_STACK_CHUNK / FREE_STACK_SEGMENT],
                                  batch->memory + stock->stride * i, memory_order_relaxed);
        uint32_t below = i + 1 < count ? number + 1 : FREE_STACK_NONE;
        atomic_store_explicit(free_stack_slot(&stock->free, number), free_stack_make_entry(count - i, below),
                              memory_order_relaxed);
    }
    return 0;
}

// Gives numbers to the batch's objects. Takes the lock.
static int number(struct stock *stock, struct stock_batch *batch)
{
    struct number_range *range = pool_memory_alloc(sizeof *range), *unused;
    if (!range)
        return -ENOMEM;
    pool_lock_acquire(&stock->lock);
    unused = numbers_take(&stock->numbers, range, batch->count);
    pool_lock_release(&stock->lock);
    stock_free_ranges(unused);
    if (range->count == 0) {
        pool_memory_free(range);
        return -ENOMEM;
    }
    batch->range = range;
    int code = lay_chain(stock, batch);
    if (code < 0) {
        pool_lock_acquire(&stock->lock);
        unused = numbers_give(&stock->numbers, range);
        pool_lock_release(&stock->lock);
        stock_free_ranges(unused);
    }
    return code;
}

// Makes room for one more batch in the map. Releases the lock while it allocates. -ENOMEM: nothing changed.
static int make_room_locked(struct stock *stock)
{
    while (stock_map_is_full(&stock->map)) {
        size_t wanted = stock_map_count(&stock->map) * 2;
        pool_lock_release(&stock->lock);
        struct stock_room *room = stock_map_make_room(wanted);
        pool_lock_acquire(&stock->lock);
        if (!room)
            return -ENOMEM;
        room = stock_map_offer(&stock->map, room);
        if (!room)
            continue;
        pool_lock_release(&stock->lock);
        pool_memory_free(room);
        pool_lock_acquire(&stock->lock);
    }
    return 0;
}

void stock_make_reserve_locked(struct stock *stock, struct stock_batch *batch)
{
    batch->is_reserve = true;
    batch->next = NULL;
    *(stock->reserves ? &stock->last_reserve->next : &stock->reserves) = batch;
    stock->last_reserve = batch;
    stock->reserved += batch->count;
}

void stock_leave_reserve_locked(struct stock *stock, struct stock_batch *batch)
{
    struct stock_batch **link = &stock->reserves, *before = NULL;
    while (*link != batch) {
        before = *link;
        link = &before->next;
    }
    *link = batch->next;
    if (stock->last_reserve == batch)
        stock->last_reserve = before;
    batch->is_reserve = false;
    stock->reserved -= batch->count;
}

int64_t stock_bookkeeping_locked(const struct stock *stock)
{
    int64_t batches = (int64_t)stock_map_count(&stock->map), map = stock_map_bytes(&stock->map);
    // A batch takes whole segments of numbers. The stack keeps the memory of numbers that were given back.
    int64_t stack = free_stack_bytes(stock->numbers.end);
    return map + stack + batches * (int64_t)(sizeof(struct stock_batch) + sizeof(struct number_range));
}

// For a batch that was made. -ECANCELED, -ERANGE: meanwhile the pool began to drain, or its bound fell, and it
// may not have these objects.
static int join_locked(struct stock *stock, struct stock_batch *batch)
{
    if (stock->draining)
        return -ECANCELED;
    if (stock->max && batch->count > stock->max - stock->owned)
        return -ERANGE;
    stock_map_add(&stock->map, batch, batch->memory, (size_t)stock_batch_bytes(stock, batch->count),
                  (uint32_t)batch->range->first);
    stock->owned += batch->count;
    int64_t bytes = stock->owned * (int64_t)stock->stride + stock_bookkeeping_locked(stock);
    if (bytes > stock->peak_bytes)
        stock->peak_bytes = bytes;
    stock->rounding_bytes += batch->rounding_bytes;
    stock->bytes_allocated += stock_batch_bytes(stock, batch->count) + (int64_t)sizeof *batch;
    stock_make_reserve_locked(stock, batch);
    return 0;
}

int stock_grow(struct stock *stock, int64_t count)
{
    struct stock_batch *batch = stock_batch_make(stock, count);
    struct number_range *unused = NULL;
    int code = batch ? number(stock, batch) : -ENOMEM;
    bool is_numbered = code == 0;
    pool_lock_acquire(&stock->lock);
    if (code == 0)
        code = make_room_locked(stock);
    if (code == 0)
        code = join_locked(stock, batch);
    if (is_numbered && code < 0)
        unused = numbers_give(&stock->numbers, batch->range);
    stock->pending -= count;
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    stock_free_ranges(unused);
    if (batch && code < 0)
        stock_batch_free(stock, batch);
    return code;
}

struct number_range *stock_forget_locked(struct stock *stock, struct stock_batch *batch)
{
    stock_map_remove(&stock->map, batch->memory);
    stock->owned -= batch->count;
    stock->rounding_bytes -= batch->rounding_bytes;
    stock->home -= batch->home;
    if (--stock->retiring == 0)
        atomic_store(&stock->puts_lock, stock->draining);
    return numbers_give(&stock->numbers, batch->range);
}
