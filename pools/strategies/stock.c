// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/stock.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

enum { PAGE_BYTES = 4096, LINE_BYTES = 64, ALIGNMENT = 16, BATCHES_AT_FIRST = 16 };

void stock_init(struct stock *stock, const struct pool_config *config)
{
    *stock = (struct stock){
        .config = *config, .object_bytes = config->object_bytes, .max = config->max, .gate = INT64_MAX};
    pool_lock_init(&stock->lock, config->lock_inherits_priority);
    stock->stride = (config->object_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t memory_bytes(const struct stock *stock, int64_t count)
{
    return stock->stride * (size_t)count;
}

static size_t rack_bytes(int64_t count)
{
    return sizeof(struct stock_batch) + (size_t)count * sizeof(void *);
}

static void free_batch(const struct stock *stock, struct stock_batch *batch)
{
    object_destruct_all(&stock->config, batch->memory, stock->stride, batch->count);
    unpoison(batch->memory, memory_bytes(stock, batch->count));
    pool_memory_free(batch->memory);
    pool_memory_free(batch);
}

// Touches no shared state. NULL when out of memory.
static struct stock_batch *make_batch(const struct stock *stock, int64_t count)
{
    size_t bytes = memory_bytes(stock, count);
    struct stock_batch *batch = pool_memory_alloc(rack_bytes(count));
    if (!batch)
        return NULL;
    *batch = (struct stock_batch){.count = count, .home = -1};
    batch->memory = pool_memory_alloc_aligned(LINE_BYTES, bytes);
    if (!batch->memory)
        goto fail_memory;
    if (stock->config.touch) {
        // One write a page; volatile, since nobody reads it.
        for (size_t at = 0; at < bytes; at += PAGE_BYTES)
            *(volatile char *)(batch->memory + at) = 0;
        *(volatile char *)(batch->memory + bytes - 1) = 0;
    }
    if (object_construct_all(&stock->config, batch->memory, stock->stride, count) < 0)
        goto fail_construct;
    // Filling the rack faults its pages in too. Lowest address on top: objects go out in rising order.
    for (int64_t i = 0; i < count; i++)
        batch->rack[count - 1 - i] = batch->memory + stock->stride * (size_t)i;
    poison(batch->memory, bytes);
    return batch;

fail_construct:
    pool_memory_free(batch->memory);
fail_memory:
    pool_memory_free(batch);
    return NULL;
}

static void use_rack(struct stock *stock, struct stock_batch *batch, int64_t objects)
{
    stock->current = batch;
    stock->low = batch->rack + (objects > 1);
    stock->limit = batch->rack + batch->count;
    stock->top = batch->rack + objects;
}

static void link_rack(struct stock_batch **list, struct stock_batch *batch)
{
    batch->next = *list;
    *list = batch;
}

static struct stock_batch *unlink_rack(struct stock_batch **list)
{
    struct stock_batch *batch = *list;
    *list = batch->next;
    return batch;
}

// A rack that its thread filled long ago is in no cache here, nor its pages' addresses: the last pop but one
// sends for them, so that the exchange need not wait.
static void fetch_next_rack(const struct stock *stock)
{
    __builtin_prefetch(&stock->full, 1);
    if (!stock->full)
        return;
    __builtin_prefetch(stock->current, 1);
    __builtin_prefetch(stock->full->rack + stock->full->count - 1);
}

bool stock_next_rack_locked(struct stock *stock)
{
    if (stock->current && stock->low > stock->current->rack) {
        stock->low = stock->current->rack;
        fetch_next_rack(stock);
        return true;
    }
    if (!stock->full)
        return false;
    link_rack(&stock->empty, stock->current);
    struct stock_batch *batch = unlink_rack(&stock->full);
    use_rack(stock, batch, batch->count);
    return true;
}

static void push_locked(struct stock *stock, void *object)
{
    if (__builtin_expect(stock->top == stock->limit, 0)) {
        link_rack(&stock->full, stock->current);
        use_rack(stock, unlink_rack(&stock->empty), 0);
    }
    *stock->top++ = object;
}

// Makes room for one more in the array of batches; gives up the lock while it allocates. -ENOMEM: nothing
// changed.
static int make_room_locked(struct stock *stock)
{
    while (stock->batch_count == stock->batch_room) {
        size_t room = stock->batch_room ? stock->batch_room * 2 : BATCHES_AT_FIRST;
        pool_lock_release(&stock->lock);
        struct stock_batch **larger = pool_memory_alloc(room * sizeof *larger), **unused = larger;
        pool_lock_acquire(&stock->lock);
        if (!larger)
            return -ENOMEM;
        if (room > stock->batch_room) { // nobody else was faster
            if (stock->batch_count)
                memcpy(larger, stock->batches, stock->batch_count * sizeof *larger);
            unused = stock->batches;
            stock->batches = larger;
            stock->batch_room = room;
        }
        pool_lock_release(&stock->lock);
        pool_memory_free(unused);
        pool_lock_acquire(&stock->lock);
    }
    return 0;
}

// How many batches begin at or below the address.
static size_t batches_up_to(const struct stock *stock, const void *address)
{
    size_t low = 0, high = stock->batch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)stock->batches[middle]->memory <= (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_locked(struct stock *stock, struct stock_batch *batch)
{
    size_t at = batches_up_to(stock, batch->memory);
    memmove(stock->batches + at + 1, stock->batches + at, (stock->batch_count - at) * sizeof *stock->batches);
    stock->batches[at] = batch;
    stock->batch_count++;
    stock->owned += batch->count;
    stock->bytes_allocated += (int64_t)(memory_bytes(stock, batch->count) + rack_bytes(batch->count));
    if (stock->draining) { // it was being made when that began
        batch->home = batch->count;
        stock->retiring++;
    } else if (stock->current)
        link_rack(&stock->full, batch);
    else
        use_rack(stock, batch, batch->count);
}

bool stock_plan_locked(struct stock *stock, int64_t count)
{
    if (stock->draining || (stock->max && stock->owned + stock->pending + count > stock->max))
        return false;
    stock->pending += count;
    return true;
}

int stock_grow(struct stock *stock, int64_t count)
{
    struct stock_batch *batch = make_batch(stock, count);
    pool_lock_acquire(&stock->lock);
    int code = batch ? make_room_locked(stock) : -ENOMEM;
    if (code == 0)
        add_locked(stock, batch);
    stock->pending -= count;
    bool drains = code == 0 && stock->draining;
    pool_lock_release(&stock->lock);
    if (batch && code < 0)
        free_batch(stock, batch);
    if (drains)
        (void)stock_drain(stock);
    return code;
}

int stock_preheat(struct stock *stock, int64_t count)
{
    pool_lock_acquire(&stock->lock);
    bool fits = stock_plan_locked(stock, count);
    pool_lock_release(&stock->lock);
    return fits ? stock_grow(stock, count) : -ERANGE;
}

// The batch that the object is in, or NULL.
static struct stock_batch *batch_of_locked(const struct stock *stock, const void *object)
{
    size_t at = batches_up_to(stock, object);
    if (at == 0)
        return NULL;
    struct stock_batch *batch = stock->batches[at - 1];
    bool is_in = (uintptr_t)object - (uintptr_t)batch->memory < memory_bytes(stock, batch->count);
    return is_in ? batch : NULL;
}

bool stock_owns(struct stock *stock, const void *object)
{
    pool_lock_acquire(&stock->lock);
    bool owns = batch_of_locked(stock, object) != NULL;
    pool_lock_release(&stock->lock);
    return owns;
}

void *stock_stray(struct stock *stock, enum stock_stray kind)
{
    void *object = pool_memory_alloc(stock->object_bytes);
    if (object && object_construct(&stock->config, object) < 0) {
        pool_memory_free(object);
        object = NULL;
    }
    pool_lock_acquire(&stock->lock);
    stock->being_made--;
    if (!object) {
        stock->in_use--;
        stock->strays--;
        stock->failed++;
    } else {
        if (kind == STOCK_MISS)
            stock->misses++;
        else
            stock->overflow++;
        stock->bytes_allocated += (int64_t)stock->object_bytes;
        if (stock->in_use > stock->peak)
            stock->peak = stock->in_use;
    }
    pool_lock_release(&stock->lock);
    return object;
}

static void emit_refusal(const struct pool_config *config, int64_t owned, int64_t in_use)
{
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = owned, .to = owned};
    event.trigger = in_use;
    pool_emit(config, &event);
}

void *stock_past_bound_unlock(struct stock *stock, const struct pool_config *config)
{
    if (config->overflow == POOL_OVERFLOW_HEAP) {
        stock_reserve_locked(stock);
        pool_lock_release(&stock->lock);
        return stock_stray(stock, STOCK_OVERFLOW);
    }
    bool first = !stock->refusing;
    int64_t owned = stock->owned, in_use = stock->in_use;
    stock->refusing = true;
    stock->refused++;
    pool_lock_release(&stock->lock);
    if (first)
        emit_refusal(config, owned, in_use);
    return NULL;
}

// --- giving back ----------------------------------------------------------------------------------------

static void forget_locked(struct stock *stock, struct stock_batch *batch)
{
    size_t at = batches_up_to(stock, batch->memory) - 1;
    memmove(stock->batches + at, stock->batches + at + 1,
            (stock->batch_count - at - 1) * sizeof *stock->batches);
    stock->batch_count--;
    stock->owned -= batch->count;
    stock->retiring--;
}

// Some batch retires, or a stray is out. Called with the lock held; lets it go.
static __attribute__((noinline)) void put_closely_unlock(struct stock *stock, void *object)
{
    struct stock_batch *batch = batch_of_locked(stock, object), *gone = NULL;
    if (!batch) {
        stock->strays--;
        pool_lock_release(&stock->lock);
        object_destruct(&stock->config, object, stock->object_bytes);
        pool_memory_free(object);
        return;
    }
    poison(object, stock->object_bytes);
    if (batch->home < 0)
        push_locked(stock, object);
    else if (++batch->home == batch->count)
        forget_locked(stock, gone = batch);
    pool_lock_release(&stock->lock);
    if (gone)
        free_batch(stock, gone);
}

// Batches of `excess` objects in all retire, the small ones as well as the large; what is free of them leaves
// `free`, which has all free objects. Returns how many are left in it.
static int64_t retire_locked(struct stock *stock, int64_t excess, void **free, int64_t count)
{
    for (size_t i = stock->batch_count; i-- > 0;) {
        struct stock_batch *batch = stock->batches[i];
        if (batch->home >= 0 || batch->count > excess)
            continue;
        excess -= batch->count;
        batch->home = 0;
        stock->retiring++;
    }
    int64_t left = 0;
    for (int64_t i = 0; i < count; i++) {
        struct stock_batch *batch = batch_of_locked(stock, free[i]);
        if (batch->home < 0)
            free[left++] = free[i];
        else
            batch->home++;
    }
    return left;
}

static int64_t copy_rack(void **to, const struct stock_batch *batch, int64_t objects)
{
    memcpy(to, batch->rack, (size_t)objects * sizeof *to);
    return objects;
}

static int64_t free_count_locked(const struct stock *stock)
{
    int64_t count = stock->current ? stock->top - stock->current->rack : 0;
    for (const struct stock_batch *batch = stock->full; batch; batch = batch->next)
        count += batch->count;
    return count;
}

static void copy_free_locked(const struct stock *stock, void **to)
{
    for (const struct stock_batch *batch = stock->full; batch; batch = batch->next)
        to += copy_rack(to, batch, batch->count);
    if (stock->current)
        (void)copy_rack(to, stock->current, stock->top - stock->current->rack);
}

// Lays the free objects into the racks of the batches that stay.
static void fill_racks_locked(struct stock *stock, void **free, int64_t count)
{
    stock->current = stock->full = stock->empty = NULL;
    stock->top = stock->low = stock->limit = NULL;
    for (size_t i = 0; i < stock->batch_count; i++) {
        struct stock_batch *batch = stock->batches[i];
        if (batch->home >= 0)
            continue;
        int64_t objects = count < batch->count ? count : batch->count;
        memcpy(batch->rack, free, (size_t)objects * sizeof *free);
        free += objects;
        count -= objects;
        if (!stock->current)
            use_rack(stock, batch, objects);
        else if (objects == batch->count)
            link_rack(&stock->full, batch);
        else if (objects == 0)
            link_rack(&stock->empty, batch);
        else { // the only one that is neither: the one before it is full
            link_rack(&stock->full, stock->current);
            use_rack(stock, batch, objects);
        }
    }
}

// Called with the lock held; lets it go. Frees the batches that are home, and returns their bytes.
static int64_t free_home_unlock(struct stock *stock)
{
    struct stock_batch *gone = NULL;
    for (size_t i = stock->batch_count; i-- > 0;) {
        struct stock_batch *batch = stock->batches[i];
        if (batch->home != batch->count)
            continue;
        forget_locked(stock, batch);
        link_rack(&gone, batch);
    }
    pool_lock_release(&stock->lock);
    int64_t bytes = 0;
    while (gone) {
        struct stock_batch *batch = unlink_rack(&gone);
        bytes += (int64_t)(memory_bytes(stock, batch->count) + rack_bytes(batch->count));
        free_batch(stock, batch);
    }
    return bytes;
}

// Memory for as many pointers as there are objects free, or NULL. With the lock held, which it lets go
// meanwhile.
static void **make_list_locked(struct stock *stock)
{
    int64_t room = 0;
    void **list = NULL;
    while (room < free_count_locked(stock) || !list) {
        room = free_count_locked(stock) + 1;
        pool_lock_release(&stock->lock);
        pool_memory_free(list);
        list = pool_memory_alloc((size_t)room * sizeof *list);
        pool_lock_acquire(&stock->lock);
        if (!list)
            return NULL;
    }
    return list;
}

int64_t stock_resize(struct stock *stock, int64_t max)
{
    int64_t bytes = 0;
    pool_lock_acquire(&stock->lock);
    stock->max = max;
    // Without memory for the list nothing retires: the pool stays too large, and keeps to its bound all the
    // same.
    void **list = max && stock->owned > max ? make_list_locked(stock) : NULL;
    if (list && !stock->draining && stock->max && stock->owned > stock->max) {
        int64_t retired = 0;
        for (size_t i = 0; i < stock->batch_count; i++)
            retired += stock->batches[i]->home >= 0 ? stock->batches[i]->count : 0;
        int64_t count = free_count_locked(stock);
        copy_free_locked(stock, list);
        count = retire_locked(stock, stock->owned - retired - stock->max, list, count);
        fill_racks_locked(stock, list, count);
        bytes = free_home_unlock(stock);
    } else {
        pool_lock_release(&stock->lock);
    }
    pool_memory_free(list);
    return bytes;
}

static void come_home_locked(struct stock *stock, void **objects, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        batch_of_locked(stock, objects[i])->home++;
}

int64_t stock_drain(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    stock->draining = true;
    for (size_t i = 0; i < stock->batch_count; i++) {
        if (stock->batches[i]->home >= 0)
            continue;
        stock->batches[i]->home = 0;
        stock->retiring++;
    }
    for (struct stock_batch *batch = stock->full; batch; batch = batch->next)
        come_home_locked(stock, batch->rack, batch->count);
    if (stock->current)
        come_home_locked(stock, stock->current->rack, stock->top - stock->current->rack);
    stock->current = stock->full = stock->empty = NULL;
    stock->top = stock->low = stock->limit = NULL;
    return free_home_unlock(stock);
}

void stock_put(struct stock *stock, void *object)
{
    pool_lock_acquire(&stock->lock);
    stock->in_use--;
    if (__builtin_expect((stock->strays | stock->retiring) != 0, 0)) {
        put_closely_unlock(stock, object);
        return;
    }
    poison(object, stock->object_bytes);
    push_locked(stock, object);
    pool_lock_release(&stock->lock);
}

void stock_stats(struct stock *stock, struct pool_stats *stats)
{
    pool_lock_acquire(&stock->lock);
    stats->hits = stock->hits;
    stats->misses = stock->misses;
    stats->overflow = stock->overflow;
    stats->refused = stock->refused;
    stats->failed = stock->failed;
    stats->owned = stock->owned;
    stats->in_use = stock->in_use - stock->being_made;
    stats->peak_in_use = stock->peak;
    stats->bytes_allocated = stock->bytes_allocated;
    size_t bookkeeping = stock->batch_count * rack_bytes(0) + stock->batch_room * sizeof(void *);
    pool_lock_release(&stock->lock);
    stats->gets = stats->hits + stats->misses + stats->overflow + stats->refused + stats->failed;
    stats->puts = stats->hits + stats->misses + stats->overflow - stats->in_use;
    int64_t object_memory = stats->owned * (int64_t)stock->stride;
    stats->bytes_owned = object_memory + (int64_t)bookkeeping + stats->owned * (int64_t)sizeof(void *);
    stats->overhead_bytes = stats->bytes_owned - stats->owned * (int64_t)stock->object_bytes;
}

void stock_fork_prepare(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
}

void stock_fork_parent(struct stock *stock)
{
    pool_lock_release(&stock->lock);
}

void stock_fork_child(struct stock *stock)
{
    stock->pending = 0;
    stock->in_use -= stock->being_made;
    stock->strays -= stock->being_made;
    stock->being_made = 0;
    pool_lock_make_free(&stock->lock);
}

static int64_t places_of(const struct stock_batch *list)
{
    int64_t places = 0;
    for (; list; list = list->next)
        places += list->count;
    return places;
}

bool stock_is_valid(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    void **bottom = stock->current ? stock->current->rack : NULL;
    int64_t full = places_of(stock->full), empty = places_of(stock->empty);
    int64_t places = full + empty + (stock->limit - bottom);
    int64_t objects = full + (stock->top - bottom), retiring = 0;
    for (size_t i = 0; i < stock->batch_count; i++) {
        const struct stock_batch *batch = stock->batches[i];
        objects += batch->home > 0 ? batch->home : 0;
        places += batch->home >= 0 ? batch->count : 0;
        retiring += batch->home >= 0;
    }
    bool valid = stock->top >= stock->low && stock->low >= bottom && stock->top <= stock->limit;
    valid = valid && retiring == stock->retiring && places == stock->owned &&
            objects == stock->owned - stock->in_use + stock->strays;
    valid = valid && stock->being_made >= 0 && stock->strays >= stock->being_made &&
            stock->in_use >= stock->strays;
    for (size_t i = 1; i < stock->batch_count; i++)
        valid = valid && stock->batches[i - 1]->memory < stock->batches[i]->memory;
    pool_lock_release(&stock->lock);
    return valid;
}

void stock_close(struct stock *stock)
{
    for (size_t i = 0; i < stock->batch_count; i++)
        free_batch(stock, stock->batches[i]);
    pool_memory_free(stock->batches);
}
