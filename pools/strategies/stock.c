// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/stock.h"

#include "base/clock.h"
#include "base/err.h"
#include "pools/strategies/stock_batch.h"

#include <errno.h>
#include <string.h>

enum { ALIGNMENT = 16 };

// Why malloc served a get, not the stock.
enum kind { STRAY_MISS, STRAY_OVERFLOW };

int stock_open(struct stock *stock, const struct pool_config *config, struct err *err)
{
    int64_t most = config->max > config->initial ? config->max : config->initial;
    if (most > STOCK_COUNT_MAX)
        return err_set(
            err, -EINVAL,
            "pool %s: %s is %lld; this strategy numbers its objects with 32 bits, and has at most %lld",
            config->name, config->max ? "max" : "initial", (long long)most, (long long)STOCK_COUNT_MAX);
    *stock = (struct stock){
        .config = *config, .object_bytes = config->object_bytes, .max = config->max, .gate_at = INT64_MAX};
    stock->stride = (config->object_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    pool_lock_init(&stock->lock, config->lock_inherits_priority);
    int code = free_stack_open(&stock->free);
    if (code < 0)
        return code;
    code = stock_map_open(&stock->map, stock->stride);
    if (code < 0)
        free_stack_close(&stock->free);
    return code;
}

void stock_close(struct stock *stock)
{
    for (size_t i = 0; i < stock_map_count(&stock->map); i++) {
        struct stock_batch *batch = stock_map_at(&stock->map, i);
        pool_memory_free(batch->range);
        stock_batch_free(stock, batch);
    }
    stock_free_ranges(stock->numbers.free);
    stock_map_close(&stock->map);
    free_stack_close(&stock->free);
}

bool stock_plan_locked(struct stock *stock, int64_t count)
{
    int64_t bound = stock->max ? stock->max : STOCK_COUNT_MAX;
    if (stock->draining || stock->owned + stock->pending + count > bound)
        return false;
    stock->pending += count;
    return true;
}

int stock_preheat(struct stock *stock, int64_t count)
{
    pool_lock_acquire(&stock->lock);
    bool fits = stock_plan_locked(stock, count);
    pool_lock_release(&stock->lock);
    return fits ? stock_grow(stock, count) : -ERANGE;
}

// --- get --------------------------------------------------------------------------------------------------

bool stock_pop_few(struct stock *stock, uint32_t *number, bool alone)
{
    if (*number != STOCK_FEW_LEFT)
        return false;
    uint64_t gate = atomic_load(&stock->gate);
    uint32_t closed = atomic_load(&stock->closed);
    uint64_t head = free_stack_look(&stock->free), entry;
    *number = FREE_STACK_NONE;
    do {
        if ((uint32_t)head == FREE_STACK_NONE)
            return false;
        entry = free_stack_entry(&stock->free, (uint32_t)head);
        if (free_stack_depth_of(entry) <= closed)
            return false;
    } while (!free_stack_exchange(&stock->free, &head, free_stack_popped(head, entry), alone));
    *number = (uint32_t)head;
    uint32_t left = free_stack_depth_of(entry) - 1;
    // Only in the same epoch: then at_empty did not change.
    for (uint64_t now = gate; (uint32_t)now > left;) {
        if (stock_is_another_epoch(now, gate))
            return false;
        if (atomic_compare_exchange_weak(&stock->gate, &now, (now & ~(uint64_t)UINT32_MAX) | left))
            break;
    }
    return stock_is_settled(stock, gate, head, alone);
}

// May release the lock in between.
static uint32_t pop_or_fill_locked(struct stock *stock)
{
    for (;;) {
        uint32_t number = free_stack_pop(&stock->free);
        struct stock_batch *batch = stock->reserves;
        if (number != FREE_STACK_NONE)
            return number;
        if (stock->unsorted_count > 0) {
            if (stock_sort_some_locked(stock))
                stock_pause_locked(stock);
            continue;
        }
        if (!batch)
            return FREE_STACK_NONE;
        // The gate is shut until it is set with the batch counted.
        stock_shut_locked(stock);
        if (free_stack_fill(&stock->free, (uint32_t)batch->range->first))
            stock_leave_reserve_locked(stock, batch);
        stock_settle_locked(stock);
    }
}

static void take_back_locked(struct stock *stock, uint32_t number)
{
    stock->not_hits++;
    struct stock_batch *batch = stock_batch_of_locked(stock, number);
    if (batch->home < 0)
        free_stack_push(&stock->free, number, false);
    else
        stock_go_home_locked(stock, batch, number);
}

// Other gets meanwhile read the gate, and count by the depth that they find; so does this one. May release the lock in
// between.
bool stock_pop_locked(struct stock *stock, uint32_t *number)
{
    if (*number != FREE_STACK_NONE) { // popped before, with an older gate
        if (!stock_is_past_max_locked(stock, stock_in_use_locked(stock) - 1))
            return true;
        take_back_locked(stock, *number);
        *number = FREE_STACK_NONE;
        return false;
    }
    if (stock_is_past_max_locked(stock, stock_in_use_locked(stock)))
        return false;
    *number = pop_or_fill_locked(stock);
    if (*number == FREE_STACK_NONE)
        return true;
    int64_t were_free = free_stack_depth_of(free_stack_entry(&stock->free, *number));
    if (!stock_is_past_max_locked(stock, stock_at_empty_locked(stock) - were_free))
        return true;
    take_back_locked(stock, *number);
    *number = FREE_STACK_NONE;
    return false;
}

void stock_count_miss_locked(struct stock *stock)
{
    stock->misses++;
    stock->not_hits++;
}

// The kind of a stray, before the object. As aligned as malloc.
enum { STRAY_BYTES = ALIGNMENT };
_Static_assert(sizeof(enum kind) <= STRAY_BYTES, "the header has room for it");

static void *make_stray(const struct stock *stock, enum kind kind)
{
    char *block = pool_memory_alloc(STRAY_BYTES + stock->object_bytes);
    if (!block)
        return NULL;
    if (object_construct(&stock->config, block + STRAY_BYTES) < 0) {
        pool_memory_free(block);
        return NULL;
    }
    memcpy(block, &kind, sizeof kind);
    poison(block, STRAY_BYTES);
    return block + STRAY_BYTES;
}

static enum kind kind_of(void *object)
{
    char *block = (char *)object - STRAY_BYTES;
    enum kind kind;
    unpoison(block, STRAY_BYTES);
    poison_is_defined(block, STRAY_BYTES);
    memcpy(&kind, block, sizeof kind);
    return kind;
}

static void free_stray(const struct stock *stock, void *object)
{
    object_destruct(&stock->config, object, stock->object_bytes);
    pool_memory_free((char *)object - STRAY_BYTES);
}

static void begin_stray_locked(struct stock *stock, enum kind kind)
{
    stock->strays++;
    stock->being_made++;
    stock->misses_out += kind == STRAY_MISS;
    stock->misses_being_made += kind == STRAY_MISS;
    stock_settle_locked(stock);
}

// Not more than `max` when other threads meanwhile got objects up to it: either they see this stray, or this thread
// sees them.
bool stock_reserve_miss_locked(struct stock *stock)
{
    begin_stray_locked(stock, STRAY_MISS);
    if (!stock->max || !stock_is_past_max_locked(stock, stock_in_use_locked(stock) - 1))
        return true;
    stock->strays--;
    stock->being_made--;
    stock->misses_out--;
    stock->misses_being_made--;
    return false;
}

// For a stray that was begun.
static void *end_stray(struct stock *stock, enum kind kind)
{
    void *object = make_stray(stock, kind);
    pool_lock_acquire(&stock->lock);
    stock->being_made--;
    stock->misses_being_made -= kind == STRAY_MISS;
    if (object) {
        ++*(kind == STRAY_MISS ? &stock->misses : &stock->overflow);
        stock->bytes_allocated += STRAY_BYTES + (int64_t)stock->object_bytes;
    } else {
        stock->strays--;
        stock->misses_out -= kind == STRAY_MISS;
        stock->failed++;
    }
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    return object;
}

void *stock_make_miss(struct stock *stock)
{
    return end_stray(stock, STRAY_MISS);
}

static void emit_refusal(const struct pool_config *config, int64_t owned, int64_t in_use)
{
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = owned, .to = owned};
    event.trigger = in_use;
    pool_emit(config, &event);
}

// The get may have taken an object of a retiring batch home, and it may have been the batch's last.
static void release_and_collect(struct stock *stock)
{
    bool retires = stock->retiring > 0;
    pool_lock_release(&stock->lock);
    if (retires)
        stock_free_home(stock);
}

void *stock_past_bound_unlock(struct stock *stock, const struct pool_config *config)
{
    if (config->overflow == POOL_OVERFLOW_HEAP) {
        begin_stray_locked(stock, STRAY_OVERFLOW);
        release_and_collect(stock);
        return end_stray(stock, STRAY_OVERFLOW);
    }
    bool first = !stock->refusing;
    int64_t owned = stock->owned, in_use = stock_in_use_locked(stock);
    stock->refusing = true;
    stock->refused++;
    stock_settle_locked(stock);
    release_and_collect(stock);
    if (first)
        emit_refusal(config, owned, in_use);
    return NULL;
}

// --- put --------------------------------------------------------------------------------------------------

// When a batch retires, the object is a stray, or the map is being changed.
static void put_locking(struct stock *stock, void *object)
{
    pool_lock_acquire(&stock->lock);
    struct stock_batch *batch = stock_map_batch(&stock->map, object), *gone = NULL;
    struct number_range *unused = NULL;
    if (batch) {
        size_t offset = (size_t)((char *)object - batch->memory);
        uint32_t number = (uint32_t)batch->range->first + stock_map_quotient(&stock->map, offset);
        poison(object, stock->object_bytes);
        if (batch->home < 0)
            free_stack_push(&stock->free, number, false);
        else
            stock_go_home_locked(stock, batch, number);
        if (batch->home == batch->count)
            unused = stock_forget_locked(stock, gone = batch);
    } else {
        stock->strays--;
        stock->misses_out -= kind_of(object) == STRAY_MISS;
    }
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    stock_free_ranges(unused);
    if (gone)
        stock_batch_free(stock, gone);
    if (!batch)
        free_stray(stock, object);
}

void stock_put_elsewhere(struct stock *stock, void *object, bool alone)
{
    uint32_t number = stock_map_find(&stock->map, object);
    if (number == FREE_STACK_NONE || atomic_load_explicit(&stock->puts_lock, memory_order_relaxed))
        put_locking(stock, object);
    else
        stock_push(stock, object, number, alone);
}

bool stock_owns(struct stock *stock, const void *object)
{
    pool_lock_acquire(&stock->lock);
    bool owns = stock_map_batch(&stock->map, object) != NULL;
    pool_lock_release(&stock->lock);
    return owns;
}

// --- statistics, fork -------------------------------------------------------------------------------------

void stock_stats(struct stock *stock, struct pool_stats *stats)
{
    pool_lock_acquire(&stock->lock);
    int64_t free_count = stock_count_locked(stock);
    stats->hits = stock->pops - stock->not_hits;
    stats->misses = stock->misses;
    stats->overflow = stock->overflow;
    stats->refused = stock->refused;
    stats->failed = stock->failed;
    stats->owned = stock->owned;
    stats->in_use = stock->at_empty - free_count;
    stats->peak_in_use = stock->peak;
    stats->bytes_allocated = stock->bytes_allocated;
    stats->peak_bytes_owned = stock->peak_bytes;
    int64_t bookkeeping = stock_bookkeeping_locked(stock);
    pool_lock_release(&stock->lock);
    stats->gets = stats->hits + stats->misses + stats->overflow + stats->refused + stats->failed;
    stats->puts = stats->hits + stats->misses + stats->overflow - stats->in_use;
    stats->bytes_owned = stats->owned * (int64_t)stock->stride + bookkeeping;
    stats->overhead_bytes = stats->bytes_owned - stats->owned * (int64_t)stock->object_bytes;
}

void stock_beside(struct stock *stock, struct pool_beside *beside)
{
    pool_lock_acquire(&stock->lock);
    *beside = (struct pool_beside){stock->strays, stock->rounding_bytes};
    pool_lock_release(&stock->lock);
}

void stock_fork_prepare(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
}

void stock_fork_parent(struct stock *stock)
{
    pool_lock_release(&stock->lock);
}

// A thread that was in the middle of a pop or a push had the object; it stays in use for ever.
void stock_fork_child(struct stock *stock)
{
    stock->pending = 0;
    stock->strays -= stock->being_made;
    stock->misses_out -= stock->misses_being_made;
    stock->being_made = stock->misses_being_made = 0;
    while (stock_sort_some_locked(stock)) // a resize of another thread does not go on here
        ;
    pool_lock_make_free(&stock->lock);
    stock_settle_locked(stock);
}

bool stock_is_valid(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    uint32_t depth, found = 0;
    uint64_t head = free_stack_count(&stock->free, &depth);
    bool valid = true;
    for (uint32_t number = (uint32_t)head; number != FREE_STACK_NONE; found++) {
        uint64_t entry = free_stack_entry(&stock->free, number);
        valid = valid && free_stack_depth_of(entry) == depth - found &&
                stock_map_find(&stock->map, stock_object(stock, number)) == number;
        number = (uint32_t)entry;
    }
    int64_t owned = 0, reserved = 0, home = 0, retiring = 0;
    for (size_t i = 0; i < stock_map_count(&stock->map); i++) {
        const struct stock_batch *batch = stock_map_at(&stock->map, i);
        owned += batch->count;
        reserved += batch->is_reserve ? batch->count : 0;
        home += batch->home > 0 ? batch->home : 0;
        retiring += batch->home >= 0;
        valid = valid && (i == 0 || stock_map_at(&stock->map, i - 1)->memory < batch->memory);
    }
    int64_t in_use = stock_in_use_locked(stock), unsorted = 0;
    for (uint32_t at = stock->unsorted; unsorted < stock->unsorted_count && at != FREE_STACK_NONE; unsorted++)
        at = (uint32_t)free_stack_entry(&stock->free, at);
    valid = valid && unsorted == stock->unsorted_count;
    valid = valid && found == depth && owned == stock->owned && reserved == stock->reserved &&
            home == stock->home && retiring == stock->retiring;
    valid = valid && stock->being_made >= 0 && stock->strays >= stock->being_made && in_use >= stock->strays;
    valid = valid && stock->misses_out >= stock->misses_being_made && stock->misses_out <= stock->strays &&
            stock->misses_being_made >= 0;
    pool_lock_release(&stock->lock);
    return valid;
}
