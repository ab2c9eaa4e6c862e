// SPDX-License-Identifier: Apache-2.0
// Which slabs a store has, by address, and which of them have free objects, by how full they are. For the
// store's own files alone (pools/slab/store.h), under its `lock` where nothing else is said.
#ifndef POOLMARK_POOLS_SLAB_STORE_LISTS_H
#define POOLMARK_POOLS_SLAB_STORE_LISTS_H

#include "pools/slab/store.h"

uint32_t slab_lists_of(const struct slab_store *store, const struct slab *slab); // where it belongs
void slab_lists_move(struct slab_store *store, struct slab *slab); // there, after its counts changed

// The register changes under `lock` and `grow_lock`: who has one may read it.
size_t slab_register_find(const struct slab_store *store, const void *address); // where it is, or would be

// Under grow_lock alone, which takes `lock`: room for one more, so that adding cannot fail. 0 or -ENOMEM.
int slab_register_reserve(struct slab_store *store) __attribute__((warn_unused_result));
void slab_register_add(struct slab_store *store, struct slab *slab);
void slab_register_remove(struct slab_store *store, struct slab *slab);

// Plain sums: a lock is held, the counts are atomic for readers without it.
static inline int64_t slab_count_of(_Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static inline void slab_count_add(_Atomic int64_t *count, int64_t more)
{
    atomic_store_explicit(count, slab_count_of(count) + more, memory_order_relaxed);
}

#endif
