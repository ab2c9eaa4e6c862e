// SPDX-License-Identifier: Apache-2.0
// uthash takes memory for its table and its buckets, and frees both when the last entry goes. Here it takes
// them from a list that the map keeps (`spare`), and frees them to it. Bucket arrays double, so all sizes that
// a map ever had together are less than twice the largest.
#include "pools/typed/typed_map.h"

#include "base/err.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(bytes) take_block(map, bytes)
#define uthash_free(block, bytes) keep_block(map, block)
#include <uthash.h>

struct entry {
    struct typed_map_entry shown; // first: what the caller sees
    UT_hash_handle hh;
    struct entry *next_free;
    char key[TYPED_MAP_KEY_INLINE + 1]; // a longer key has memory of its own
};

struct chunk {
    struct chunk *next;
    size_t count;
    struct entry entries[];
};

struct block {
    _Alignas(16) struct block *next;
    size_t bytes;
};

struct typed_map {
    struct entry *head;            // uthash's
    struct entry *free;            // removed entries
    struct chunk *first, *current; // entries up to `used` of `current` were handed out since the last clear
    size_t used, capacity, long_keys;
    struct block *spare;
    typed_map_release *release;
    bool wipe; // keys and values are overwritten when the map is emptied
};

struct typed_map_pool {
    struct pool *below;
    struct typed_limits limits;
    typed_map_release *release;
    _Atomic int64_t dropped; // relaxed: a count
};

static void *take_block(struct typed_map *map, size_t bytes)
{
    for (struct block **at = &map->spare; *at; at = &(*at)->next) {
        struct block *block = *at;
        if (block->bytes == bytes) {
            *at = block->next;
            return block + 1;
        }
    }
    struct block *block = pool_memory_alloc(sizeof *block + bytes);
    if (!block)
        return NULL;
    block->bytes = bytes;
    return block + 1;
}

static void keep_block(struct typed_map *map, void *memory)
{
    struct block *block = (struct block *)memory - 1;
    block->next = map->spare;
    map->spare = block;
}

static int grow(struct typed_map *map, size_t count)
{
    if (count > (SIZE_MAX - sizeof(struct chunk)) / sizeof(struct entry))
        return -ENOMEM;
    struct chunk *chunk = pool_memory_alloc(sizeof *chunk + count * sizeof chunk->entries[0]);
    if (!chunk)
        return -ENOMEM;
    chunk->next = NULL;
    chunk->count = count;
    if (map->current)
        map->current->next = chunk;
    else
        map->first = chunk;
    map->current = chunk;
    map->used = 0;
    map->capacity += count;
    return 0;
}

static struct entry *new_entry(struct typed_map *map)
{
    struct entry *entry = map->free;
    if (entry) {
        map->free = entry->next_free;
        return entry;
    }
    if (map->used == map->current->count) {
        if (map->current->next) {
            map->current = map->current->next;
            map->used = 0;
        } else if (grow(map, map->capacity) < 0) {
            return NULL;
        }
    }
    return &map->current->entries[map->used++];
}

static int set_key(struct typed_map *map, struct entry *entry, const char *key, size_t key_bytes)
{
    char *own = entry->key;
    if (key_bytes > TYPED_MAP_KEY_INLINE) {
        own = pool_memory_alloc(key_bytes + 1);
        if (!own)
            return -ENOMEM;
        map->long_keys++;
    }
    if (key_bytes)
        memcpy(own, key, key_bytes);
    own[key_bytes] = '\0';
    entry->shown = (struct typed_map_entry){.key = own, .key_bytes = key_bytes};
    return 0;
}

static void free_key(struct typed_map *map, struct entry *entry)
{
    if (entry->shown.key == entry->key)
        return;
    if (map->wipe)
        explicit_bzero((char *)(uintptr_t)entry->shown.key, entry->shown.key_bytes);
    pool_memory_free((char *)(uintptr_t)entry->shown.key);
    map->long_keys--;
}

static void give_back(struct typed_map *map, struct entry *entry)
{
    entry->next_free = map->free;
    map->free = entry;
}

static struct entry *find(const struct typed_map *map, const char *key, size_t key_bytes)
{
    struct entry *entry;
    HASH_FIND(hh, map->head, key, key_bytes, entry);
    return entry;
}

static void release(const struct typed_map *map, void *value)
{
    if (map->release && value)
        map->release(value);
}

int typed_map_set(struct typed_map *map, const char *key, size_t key_bytes, void *value)
{
    if (key_bytes > TYPED_MAP_KEY_MAX)
        return -ENAMETOOLONG;
    struct entry *entry;
    unsigned hash;
    HASH_VALUE(key, key_bytes, hash);
    HASH_FIND_BYHASHVALUE(hh, map->head, key, key_bytes, hash, entry);
    if (entry) {
        void *old = entry->shown.value;
        entry->shown.value = value;
        if (old != value)
            release(map, old);
        return 0;
    }
    entry = new_entry(map);
    if (!entry)
        return -ENOMEM;
    if (set_key(map, entry, key, key_bytes) < 0) {
        give_back(map, entry);
        return -ENOMEM;
    }
    entry->shown.value = value;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->head, entry->shown.key, key_bytes, hash, entry);
    if (!entry->hh.tbl) { // uthash has undone it
        free_key(map, entry);
        give_back(map, entry);
        return -ENOMEM;
    }
    return 0;
}

const struct typed_map_entry *typed_map_find(const struct typed_map *map, const char *key, size_t key_bytes)
{
    if (key_bytes > TYPED_MAP_KEY_MAX)
        return NULL;
    struct entry *entry = find(map, key, key_bytes);
    return entry ? &entry->shown : NULL;
}

int typed_map_remove(struct typed_map *map, const char *key, size_t key_bytes)
{
    struct entry *entry = key_bytes > TYPED_MAP_KEY_MAX ? NULL : find(map, key, key_bytes);
    if (!entry)
        return -ENOENT;
    HASH_DELETE(hh, map->head, entry);
    free_key(map, entry);
    release(map, entry->shown.value);
    give_back(map, entry);
    return 0;
}

// All entries that were handed out since the last clear, removed ones too.
static void wipe_entries(struct typed_map *map)
{
    for (struct chunk *chunk = map->first; chunk; chunk = chunk->next) {
        size_t count = chunk == map->current ? map->used : chunk->count;
        explicit_bzero(chunk->entries, count * sizeof chunk->entries[0]);
        if (chunk == map->current)
            return;
    }
}

void typed_map_clear(struct typed_map *map)
{
    if (map->release || map->long_keys) {
        for (struct entry *entry = map->head; entry; entry = entry->hh.next) {
            free_key(map, entry);
            release(map, entry->shown.value);
        }
    }
    HASH_CLEAR(hh, map->head);
    if (map->wipe)
        wipe_entries(map);
    map->free = NULL;
    map->current = map->first;
    map->used = 0;
}

size_t typed_map_count(const struct typed_map *map)
{
    return HASH_COUNT(map->head);
}

size_t typed_map_capacity(const struct typed_map *map)
{
    return map->capacity;
}

const struct typed_map_entry *typed_map_first(const struct typed_map *map)
{
    return map->head ? &map->head->shown : NULL;
}

const struct typed_map_entry *typed_map_next(const struct typed_map_entry *shown)
{
    const struct entry *next = ((const struct entry *)(const void *)shown)->hh.next;
    return next ? &next->shown : NULL;
}

// Gives all memory back; the map must be empty.
static void give_memory_back(struct typed_map *map)
{
    while (map->first) {
        struct chunk *chunk = map->first;
        map->first = chunk->next;
        pool_memory_free(chunk);
    }
    while (map->spare) {
        struct block *block = map->spare;
        map->spare = block->next;
        pool_memory_free(block);
    }
    map->current = NULL;
    map->used = map->capacity = 0;
}

struct typed_map *typed_map_new(size_t capacity, typed_map_release *release_value)
{
    struct typed_map *map = pool_memory_alloc(sizeof *map);
    if (!map)
        return NULL;
    *map = (struct typed_map){.release = release_value};
    if (capacity < 1 || grow(map, capacity) < 0) {
        pool_memory_free(map);
        return NULL;
    }
    return map;
}

void typed_map_delete(struct typed_map *map)
{
    if (!map)
        return;
    typed_map_clear(map);
    give_memory_back(map);
    pool_memory_free(map);
}

static int construct(void *context, void *object)
{
    const struct typed_map_pool *pool = context;
    struct typed_map fresh = {.release = pool->release, .wipe = pool->limits.wipe};
    if (grow(&fresh, pool->limits.capacity) < 0)
        return -ENOMEM;
    memcpy(object, &fresh, sizeof fresh);
    return 0;
}

static void destruct(void *context, void *object)
{
    (void)context;
    typed_map_clear(object);
    give_memory_back(object);
}

static void reset(void *context, void *object)
{
    struct typed_map_pool *pool = context;
    struct typed_map *map = object;
    typed_map_clear(map);
    if (map->capacity > pool->limits.keep_max) {
        give_memory_back(map);
        atomic_fetch_add_explicit(&pool->dropped, 1, memory_order_relaxed);
    }
}

int typed_map_pool_open(struct typed_map_pool **opened, const struct pool_strategy *strategy,
                        const struct pool_config *config, const struct typed_limits *limits,
                        typed_map_release *release_value, struct err *err)
{
    struct typed_map_pool *pool = pool_memory_alloc(sizeof *pool);
    if (!pool)
        return err_set(err, -ENOMEM, "a pool of maps: out of memory");
    *pool = (struct typed_map_pool){.limits = *limits, .release = release_value};
    const struct pool_config hooks = {
        .construct = construct, .destruct = destruct, .reset = reset, .object_context = pool};
    int code = typed_pool_open(&pool->below, strategy, config, &hooks, sizeof(struct typed_map), limits, err);
    if (code < 0) {
        pool_memory_free(pool);
        return code;
    }
    *opened = pool;
    return 0;
}

struct typed_map *typed_map_get(struct typed_map_pool *pool)
{
    struct typed_map *map = pool_get(pool->below);
    // The last user's was too large.
    if (map && !map->first && grow(map, pool->limits.capacity) < 0) {
        pool_put(pool->below, map);
        return NULL;
    }
    return map;
}

void typed_map_put(struct typed_map_pool *pool, struct typed_map *map)
{
    pool_put(pool->below, map);
}

struct pool *typed_map_pool_below(const struct typed_map_pool *pool)
{
    return pool->below;
}

int64_t typed_map_pool_dropped(const struct typed_map_pool *pool)
{
    return atomic_load_explicit(&pool->dropped, memory_order_relaxed);
}

void typed_map_pool_close(struct typed_map_pool *pool)
{
    if (!pool)
        return;
    pool_close(pool->below);
    pool_memory_free(pool);
}
