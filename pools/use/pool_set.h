// SPDX-License-Identifier: Apache-2.0
// Named pools that belong together: opened, managed, swept, reported and closed as one. The set owns its
// pools.
//
// A set does not change between open and close, so any thread may look up and iterate. pool.h says what a
// thread may do with a pool.
//
//     struct pool_spec specs[] = {{expand, connections_config}, {malloc_, buffers_config}};
//     if (pool_set_open(&set, specs, 2, &err) < 0) ...
//     struct pool *buffers = pool_set_at(set, 1);
//     pool_set_close(set);
#ifndef POOLMARK_POOLS_USE_POOL_SET_H
#define POOLMARK_POOLS_USE_POOL_SET_H

#include "base/csv.h"
#include "pools/pool.h"
#include "pools/pool_registry.h"

#include <stdio.h>

struct pool_set;

struct pool_spec {
    const struct pool_strategy *strategy;
    struct pool_config config; // its name is the pool's name in the set
};

// All or none: when one pool cannot be opened, those before it are closed again. -EINVAL: a name twice, or as
// pool_open; -ENOMEM. `err` names the pool. `specs` is not kept.
int pool_set_open(struct pool_set **set, const struct pool_spec *specs, size_t count, struct err *err)
    __attribute__((warn_unused_result));

// The pools by name, for what manages them while they are used (pools/pool_pressure.h). It lives as long as the
// set, which has a reference to each pool.
struct pool_registry *pool_set_registry(const struct pool_set *set);

struct pool *pool_set_at(const struct pool_set *set, size_t index); // in the order of the specs

int64_t pool_set_sweep(struct pool_set *set); // bytes given back by all pools
void pool_set_report_rows(const struct pool_set *set, struct csv *csv,
                          int64_t at_ns);                         // one row of pools.csv for each pool
void pool_set_report_table(const struct pool_set *set, FILE *to); // for people

// In reverse order; NULL is allowed. All objects are back. Checked builds abort when one is not; others leave its
// pool as it is.
void pool_set_close(struct pool_set *set);

#endif
