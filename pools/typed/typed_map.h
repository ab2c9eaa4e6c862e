// SPDX-License-Identifier: Apache-2.0
// A map from keys (bytes, copied) to pointers, and a pool of such maps. The hash table is uthash's. A map
// keeps all memory that it has grown to, the table too: filling one from the pool allocates nothing, unless
// it gets larger than ever before or a key is longer than TYPED_MAP_KEY_INLINE. typed_limits.h says what
// every typed pool does.
//
//     struct typed_limits limits = TYPED_LIMITS(TYPED_MAP_ENTRIES);
//     if (typed_map_pool_open(&pool, pool_strategy_find("slab"), &config, &limits, free, &err) < 0) ...
//     struct typed_map *map = typed_map_get(pool);                     // empty
//     if (typed_map_set(map, "topic", 5, strdup("a/b")) < 0) ...
//     for (const struct typed_map_entry *e = typed_map_first(map); e; e = typed_map_next(e)) ...
//     typed_map_put(pool, map);                                        // frees the values too
//
// Without a pool: typed_map_new and typed_map_delete. A map belongs to one thread at a time. uthash's hash
// has no secret: who chooses the keys can make them collide.
#ifndef POOLMARK_POOLS_TYPED_TYPED_MAP_H
#define POOLMARK_POOLS_TYPED_TYPED_MAP_H

#include "pools/typed/typed_limits.h"

#ifdef __cplusplus
extern "C" {
#endif

struct typed_map;

struct typed_map_entry {
    const char *key; // followed by a zero; valid until the entry is removed or the map is emptied
    size_t key_bytes;
    void *value;
};

enum { TYPED_MAP_KEY_INLINE = 31, TYPED_MAP_KEY_MAX = 65535 }; // bytes

// Called with each value that leaves a map, other than NULL: replaced, removed, emptied. NULL: values are not
// the map's. It must not call into the map.
typedef void typed_map_release(void *value);

// An empty map with memory for `capacity` entries (at least 1). NULL: no memory.
struct typed_map *typed_map_new(size_t capacity, typed_map_release *release)
    __attribute__((warn_unused_result));
void typed_map_delete(struct typed_map *map); // NULL is ignored

// Replaces the value of a key that is there already, and releases the old one. The same value again is kept and
// not released: of a counted value, give the map no further reference. 0: the value is the map's now. -ENOMEM, or -ENAMETOOLONG
// above TYPED_MAP_KEY_MAX: the map is unchanged, and the value still the caller's.
int typed_map_set(struct typed_map *map, const char *key, size_t key_bytes, void *value)
    __attribute__((warn_unused_result));
const struct typed_map_entry *typed_map_find(const struct typed_map *map, const char *key,
                                             size_t key_bytes);                 // NULL: not there
int typed_map_remove(struct typed_map *map, const char *key, size_t key_bytes); // 0; -ENOENT
void typed_map_clear(struct typed_map *map);                                    // keeps its memory

size_t typed_map_count(const struct typed_map *map);
size_t typed_map_capacity(const struct typed_map *map); // entries that it has memory for

// In the order in which the keys were first set. NULL after the last. Not while the map changes.
const struct typed_map_entry *typed_map_first(const struct typed_map *map);
const struct typed_map_entry *typed_map_next(const struct typed_map_entry *entry);

struct typed_map_pool;

// `config` as for pool_open, without object_bytes, hooks and object_context. -EINVAL: `err` names what is
// wrong; -ENOMEM.
int typed_map_pool_open(struct typed_map_pool **pool, const struct pool_strategy *strategy,
                        const struct pool_config *config, const struct typed_limits *limits,
                        typed_map_release *release, struct err *err) __attribute__((warn_unused_result));

struct typed_map *typed_map_get(struct typed_map_pool *pool) // NULL: refused (`max`, drained), or no memory
    __attribute__((warn_unused_result));
void typed_map_put(struct typed_map_pool *pool, struct typed_map *map); // NULL is ignored

// The pool below, for statistics, sweep, trim, resize and drain. Do not get, put or close through it.
struct pool *typed_map_pool_below(const struct typed_map_pool *pool);
int64_t typed_map_pool_dropped(const struct typed_map_pool *pool); // puts of maps that were too large

void typed_map_pool_close(struct typed_map_pool *pool); // as pool_close; NULL is allowed

#ifdef __cplusplus
}
#endif

#endif
