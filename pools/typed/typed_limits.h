// SPDX-License-Identifier: Apache-2.0
// What the typed pools of this folder have in common. They are pools in the style of Go's sync.Pool: of byte
// buffers (typed_bytes.h) and of maps (typed_map.h) that keep their capacity from one user to the next.
//
//   - An object is empty when it is got. The put empties it (`reset`), whoever puts it and whatever is in it.
//   - It keeps the memory that it has grown to, up to `keep_max`. One that grew larger gives all its memory
//     back in the put: a single large message does not stay in the pool for ever. The object itself stays,
//     and its next get gives it the first `capacity` again.
//   - A typed pool is a pool of pools/pool.h, with any strategy but `null`, whose three hooks make, empty and
//     free the objects. The pool's own counts and bounds are of objects. Its bytes_owned are of the objects
//     without the memory that they have grown to.
//
// Threads: as pools/pool.h says of a pool. An object belongs to the thread that got it.
#ifndef POOLMARK_POOLS_TYPED_TYPED_LIMITS_H
#define POOLMARK_POOLS_TYPED_TYPED_LIMITS_H

#include "pools/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

struct typed_limits {
    size_t capacity; // of a new object: bytes, or entries; at least 1
    size_t keep_max; // one that has grown to more capacity is not kept; at least `capacity`
    bool wipe; // the put also overwrites with zeros what the user wrote, for secrets; not a map's values
};

enum {
    TYPED_JSON_BYTES = 1024, // first capacity of a buffer for JSON
    TYPED_SLICE_BYTES = 512, // of a buffer for bytes
    TYPED_MAP_ENTRIES = 16,  // of a map
    TYPED_KEEP_FACTOR = 64,  // keep_max of the defaults, in first capacities
};

#define TYPED_CAPACITY_MAX ((size_t)1 << 30) // of limits
#define TYPED_LIMITS(first)                                                                                  \
    {                                                                                                        \
        .capacity = (first), .keep_max = (size_t)(first)*TYPED_KEEP_FACTOR, .wipe = false                    \
    }

// Opens the pool below a typed one. `config` is the user's: its object_bytes, hooks and object_context must
// be unset. `hooks` has these four. -EINVAL names what is wrong with the limits, the config or the strategy;
// otherwise as pool_open.
int typed_pool_open(struct pool **pool, const struct pool_strategy *strategy,
                    const struct pool_config *config, const struct pool_config *hooks, size_t object_bytes,
                    const struct typed_limits *limits, struct err *err) __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
