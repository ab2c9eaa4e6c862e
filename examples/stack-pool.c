// SPDX-License-Identifier: Apache-2.0
// A pool strategy outside Poolmark's tree: a stack of free objects under one mutex. It makes objects in batches,
// grows by the factor that it is told, keeps to a bound and counts. Poolmark loads it while it runs:
//
//     cc -O2 -fPIC -shared -o stack-pool.so stack-pool.c $(pkg-config --cflags poolmark)
//     poolmark-bench --check-pool ./stack-pool.so        does it keep the contract?
//     poolmark bench --pool ./stack-pool.so --filter '/(stack|slab|direct-glibc)/'
//     poolmark-broker --pool ./stack-pool.so
//
// The header is all that it needs; pool_plugin.h says what each function has to do. A free object holds the link
// to the next, so it cannot keep constructed objects, and does not say that it could.
#include <poolmark/pool_plugin.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { ALIGNMENT = 16, PAGE_BYTES = 4096 };

struct free_object {
    struct free_object *next;
};

struct batch {
    struct batch *next;
    size_t bytes; // of its objects, which follow; a multiple of ALIGNMENT
};
_Static_assert(sizeof(struct batch) % ALIGNMENT == 0, "objects follow a batch's head");

struct pool {
    struct poolmark_head head;
    struct poolmark_config_v1 config; // constant, as is stride
    size_t stride;                    // bytes from an object to the next
    pthread_mutex_t lock;             // guards the rest
    struct free_object *free;
    struct batch *batches;
    int64_t overflow_out; // objects of malloc that are in use
    bool refusing;        // the last get was refused
    struct poolmark_stats_v1 counts;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static char *objects_of(struct batch *batch)
{
    return (char *)(batch + 1);
}

// Makes `count` objects. Needs the lock, or a pool that nobody has yet.
static int add_batch(struct pool *pool, int64_t count)
{
    size_t bytes = (size_t)count * pool->stride;
    if (bytes / pool->stride != (size_t)count || bytes > PTRDIFF_MAX - sizeof(struct batch))
        return -ENOMEM;
    struct batch *batch = malloc(sizeof *batch + bytes);
    if (!batch)
        return -ENOMEM;
    *batch = (struct batch){.next = pool->batches, .bytes = bytes};
    pool->batches = batch;
    for (size_t at = 0; pool->config.touch && at < bytes; at += PAGE_BYTES)
        *(volatile char *)(objects_of(batch) + at) = 0;
    if (pool->config.touch)
        *(volatile char *)(objects_of(batch) + bytes - 1) = 0;
    for (size_t at = bytes; at > 0; at -= pool->stride) {
        struct free_object *object = (void *)(objects_of(batch) + at - pool->stride);
        object->next = pool->free;
        pool->free = object;
    }
    pool->counts.owned += count;
    pool->counts.bytes_owned += (int64_t)(sizeof *batch + bytes);
    pool->counts.bytes_allocated += (int64_t)bytes;
    return 0;
}

// The rule of growth: owned x growth, at least one more, at most max.
static int64_t next_owned(const struct pool *pool)
{
    int64_t owned = pool->counts.owned, next = (int64_t)((double)owned * pool->config.growth);
    if (next <= owned)
        next = owned + 1;
    return pool->config.max && next > pool->config.max ? pool->config.max : next;
}

static bool is_at_max(const struct pool *pool)
{
    return pool->config.max && pool->counts.owned >= pool->config.max;
}

// Fills in the event, which is told when the lock is released. False: no memory.
static bool expand(struct pool *pool, struct poolmark_event_v1 *event)
{
    int64_t from = pool->counts.owned, start = now_ns();
    if (add_batch(pool, next_owned(pool) - from) < 0)
        return false;
    int64_t end = now_ns();
    *event = (struct poolmark_event_v1){.kind = POOLMARK_EVENT_EXPAND,
                                        .at_ns = end,
                                        .duration_ns = end > start ? end - start : 1,
                                        .from = from,
                                        .to = pool->counts.owned,
                                        .trigger = pool->counts.in_use};
    pool->counts.expansions++;
    if (event->duration_ns > pool->counts.longest_expansion_ns)
        pool->counts.longest_expansion_ns = event->duration_ns;
    return true;
}

static void stack_close(struct pool *pool)
{
    for (struct batch *batch = pool->batches, *next; batch; batch = next) {
        next = batch->next;
        free(batch);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static int stack_open(struct pool **opened, const struct poolmark_config_v1 *config, char *why,
                      size_t why_bytes)
{
    (void)why, (void)why_bytes;
    struct pool *pool = aligned_alloc(ALIGNMENT, (sizeof *pool + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config,
                          .stride = (config->object_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
    pthread_mutex_init(&pool->lock, NULL);
    pool->counts.bytes_owned = sizeof *pool;
    if (config->initial > 0 && add_batch(pool, config->initial) < 0) {
        stack_close(pool);
        return -ENOMEM;
    }
    *opened = pool;
    return 0;
}

static void *pop(struct pool *pool)
{
    struct free_object *object = pool->free;
    if (object)
        pool->free = object->next;
    return object;
}

// Past the bound. `event` is filled in by the first refusal in a row.
static void *get_past_max(struct pool *pool, struct poolmark_event_v1 *event)
{
    if (pool->config.refuses) {
        pool->counts.refused++;
        if (!pool->refusing)
            *event = (struct poolmark_event_v1){.kind = POOLMARK_EVENT_REFUSE,
                                                .at_ns = now_ns(),
                                                .from = pool->counts.owned,
                                                .to = pool->counts.owned,
                                                .trigger = pool->counts.in_use};
        pool->refusing = true;
        return NULL;
    }
    void *object = malloc(pool->stride);
    pool->counts.overflow += object != NULL;
    pool->counts.failed += object == NULL;
    pool->overflow_out += object != NULL;
    pool->counts.bytes_allocated += object ? (int64_t)pool->stride : 0;
    return object;
}

static void *get_locked(struct pool *pool, struct poolmark_event_v1 *event)
{
    void *object = pop(pool);
    pool->counts.gets++;
    if (object)
        pool->counts.hits++;
    else if (is_at_max(pool))
        object = get_past_max(pool, event);
    else if (expand(pool, event) && (object = pop(pool)))
        pool->counts.misses++;
    else
        pool->counts.failed++;
    if (!object)
        return NULL;
    pool->refusing = false;
    if (++pool->counts.in_use > pool->counts.peak_in_use)
        pool->counts.peak_in_use = pool->counts.in_use;
    // Ahead of need. Without memory it is tried again in the next get.
    if (event->at_ns == 0 && !is_at_max(pool) &&
        pool->counts.in_use >= pool->counts.owned * pool->config.expand_at_percent / 100)
        (void)expand(pool, event);
    return object;
}

static void *stack_get(struct pool *pool)
{
    struct poolmark_event_v1 event = {.at_ns = 0}; // 0: nothing to tell
    pthread_mutex_lock(&pool->lock);
    void *object = get_locked(pool, &event);
    pthread_mutex_unlock(&pool->lock);
    if (event.at_ns)
        pool->config.tell(pool, &event);
    return object;
}

static bool owns(struct pool *pool, const void *object)
{
    for (struct batch *batch = pool->batches; batch; batch = batch->next)
        if ((uintptr_t)object - (uintptr_t)objects_of(batch) < batch->bytes)
            return true;
    return false;
}

static void stack_put(struct pool *pool, void *object)
{
    pthread_mutex_lock(&pool->lock);
    pool->counts.puts++;
    pool->counts.in_use--;
    bool overflow = pool->overflow_out > 0 && !owns(pool, object);
    if (overflow) {
        pool->overflow_out--;
    } else {
        struct free_object *freed = object;
        freed->next = pool->free;
        pool->free = freed;
    }
    pthread_mutex_unlock(&pool->lock);
    if (overflow)
        free(object);
}

static int stack_preheat(struct pool *pool, int64_t count)
{
    pthread_mutex_lock(&pool->lock);
    int code = -ERANGE;
    if (!pool->config.max || count <= pool->config.max - pool->counts.owned)
        code = add_batch(pool, count);
    pthread_mutex_unlock(&pool->lock);
    return code;
}

static void stack_stats(struct pool *pool, struct poolmark_stats_v1 *stats)
{
    pthread_mutex_lock(&pool->lock);
    *stats = pool->counts;
    pthread_mutex_unlock(&pool->lock);
    stats->overhead_bytes = stats->bytes_owned - stats->owned * (int64_t)pool->config.object_bytes;
}

const struct poolmark_strategy_v1 poolmark_strategy_v1 = {
    .abi = POOLMARK_STRATEGY_ABI,
    .bytes = sizeof(struct poolmark_strategy_v1),
    .name = "stack",
    .version = "1.0",
    .summary = "an example from a library: a stack of free objects under one mutex",
    .can = POOLMARK_CAN_GROW | POOLMARK_CAN_PREHEAT | POOLMARK_CAN_BOUND,
    .growth = POOLMARK_GROWTH_FACTOR,
    .open = stack_open,
    .get = stack_get,
    .put = stack_put,
    .close = stack_close,
    .stats = stack_stats,
    .preheat = stack_preheat,
};
