// SPDX-License-Identifier: Apache-2.0
// The slabs of a store by address, and those with free objects by how full they are. Only for the store's
// own files (pools/slab/store.h). Needs the store's `lock` unless stated otherwise.
#ifndef POOLMARK_POOLS_SLAB_STORE_LISTS_H
#define POOLMARK_POOLS_SLAB_STORE_LISTS_H

#include "pools/slab/store.h"

uint32_t slab_lists_of(const struct slab_store *store, const struct slab *slab); // the list where it belongs
void slab_lists_move(struct slab_store *store, struct slab *slab); // to that list, after its counts changed

// The register changes under both `lock` and `grow_lock`, so a holder of either may read it.
size_t slab_register_find(const struct slab_store *store, const void *address); // index, or its place

// Under grow_lock alone; takes `lock`. Makes room for one more slab, so that adding cannot fail. 0 or
// -ENOMEM.
void slab_register_fit(struct slab_store *store); // gives back room that so few slabs do not need; grow_lock
int slab_register_reserve(struct slab_store *store) __attribute__((warn_unused_result));
void slab_register_add(struct slab_store *store, struct slab *slab);
void slab_register_remove(struct slab_store *store, struct slab *slab);

// Plain sums, since a lock is held; the counts are atomic for readers without it.
static inline int64_t slab_count_of(_Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static inline void slab_count_add(_Atomic int64_t *count, int64_t more)
{
    atomic_store_explicit(count, slab_count_of(count) + more, memory_order_relaxed);
}

#endif
