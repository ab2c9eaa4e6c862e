// SPDX-License-Identifier: Apache-2.0
// Named pools that are managed while they are used: made, found, listed, resized, trimmed, drained and closed
// by name, with one page of statistics for all. For tens of pools: a look-up compares names one by one, so find
// a pool once and keep it, not for each get.
//
//     struct pool_registry *registry;
//     if (pool_registry_open(&registry, &err) < 0) ...
//     config.name = "connections";
//     if (pool_registry_add(registry, pool_strategy_find("slab"), &config, &err) < 0) ...
//
//     struct pool *pool = pool_registry_find(registry, "connections"); // a reference
//     void *object = pool_get(pool);
//     pool_put(pool, object);
//     pool_registry_release(registry, pool);
//
// Lifetimes:
//   - A found pool lives until it is released. Each find needs one release, on any thread.
//   - Whoever has objects of a pool has, or relies on, a reference to it.
//   - pool_registry_remove closes a pool that nobody has a reference to and of which no object is in use. It
//     waits as long as it is told to, and refuses otherwise (-EBUSY).
//   - The registry owns its pools: do not pool_close them.
//
// Threads: any thread may call anything between open and close. Resizes and drains of one pool take effect
// one after the other; the making, draining or closing of a pool does not hold up calls about others. Not from a
// listener or a construct, destruct or reset of a pool. Do not fork while another thread is in a call of the
// registry, and use the registry in the child.
#ifndef POOLMARK_POOLS_POOL_REGISTRY_H
#define POOLMARK_POOLS_POOL_REGISTRY_H

#include "pools/pool.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pool_registry;

// A name is 1 to POOL_REGISTRY_NAME_MAX bytes of valid UTF-8 without control characters. The page for
// Prometheus escapes what a label's value may not have as it is.
enum { POOL_REGISTRY_NAME_MAX = 100, POOL_REGISTRY_POOLS_MAX = 4096 };

int pool_registry_open(struct pool_registry **registry, struct err *err) __attribute__((warn_unused_result));

// Closes all pools and the registry. No other thread may use it any more. -EBUSY: a pool is referenced or has
// objects in use; `err` names it, nothing was closed, and the registry goes on. NULL is allowed.
int pool_registry_close(struct pool_registry *registry, struct err *err) __attribute__((warn_unused_result));

// Opens a pool by the name in its config. -EEXIST: there is one of that name, also while it is being made or
// closed; -EINVAL: the name, POOL_THREADS_ONE, or as pool_open; -ENOMEM; -ENOSPC: POOL_REGISTRY_POOLS_MAX. The
// caller gets no reference.
int pool_registry_add(struct pool_registry *registry, const struct pool_strategy *strategy,
                      const struct pool_config *config, struct err *err) __attribute__((warn_unused_result));

// The pool of that name, referenced; NULL: there is none, or it is being closed.
struct pool *pool_registry_find(struct pool_registry *registry, const char *name)
    __attribute__((warn_unused_result));
// Ends one reference. Checked builds abort when there is none; others ignore it. NULL is ignored.
void pool_registry_release(struct pool_registry *registry, struct pool *pool);

// pool_resize by name. -ENOENT: no such pool; otherwise as pool_resize.
int pool_registry_resize(struct pool_registry *registry, const char *name, int64_t max, struct err *err)
    __attribute__((warn_unused_result));

// pool_drain by name: the pool stays, gives no objects any more, and can be removed once they are all back.
// 0 and the bytes given back at once (`bytes` may be NULL); -ENOENT.
int pool_registry_drain(struct pool_registry *registry, const char *name, int64_t *bytes, struct err *err)
    __attribute__((warn_unused_result));

// pool_trim by name. 0 and the bytes given back (`bytes` may be NULL); -ENOENT.
int pool_registry_trim(struct pool_registry *registry, const char *name, int64_t *bytes, struct err *err)
    __attribute__((warn_unused_result));

// pool_sweep of every pool. Bytes given back.
int64_t pool_registry_sweep(struct pool_registry *registry);

// Closes the pool of that name. While it is referenced, this waits up to `wait_ns` (0: not at all; negative:
// as long as it takes), and the name cannot be found. -EBUSY: it is still referenced, or objects are in use
// though nobody has a reference; the pool goes on and can be found again. -ENOENT: no such pool. -EALREADY:
// another thread is closing it. `err` says how many references or objects. Other calls about that pool that are
// under way are waited for in any case. Draining is a call of its own.
int pool_registry_remove(struct pool_registry *registry, const char *name, int64_t wait_ns, struct err *err)
    __attribute__((warn_unused_result));

struct pool_listing {
    char name[POOL_REGISTRY_NAME_MAX + 1];
    const struct pool_strategy *strategy;
    size_t object_bytes;
    int64_t references; // not yet released
    struct pool_stats stats;
};

// Fills in up to `most` pools, in the order in which they were made. Returns how many there are, which may be
// more. Pools that are being made or closed are left out.
int64_t pool_registry_list(struct pool_registry *registry, struct pool_listing *pools, int64_t most);

enum pool_page { POOL_PAGE_TEXT, POOL_PAGE_PROMETHEUS };

// Writes the statistics of all pools to `to`: a table for people, or the families poolmark_pool_* in
// Prometheus's text format (0.0.4). `to` is flushed. -ENOMEM; -EIO: it could not be written.
int pool_registry_page(struct pool_registry *registry, enum pool_page page, FILE *to)
    __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
