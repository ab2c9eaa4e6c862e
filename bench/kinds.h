// SPDX-License-Identifier: Apache-2.0
// Objects of several sizes, as a server has them: many small ones, few large ones. A strategy with one
// object size has a pool for each size. One that serves any size (POOL_CAP_SIZED) has one pool for all.
// malloc gets the size.
//
// For workloads with their own setup: bench->shared is the kinds, and bench->pool stays NULL.
#ifndef POOLMARK_BENCH_KINDS_H
#define POOLMARK_BENCH_KINDS_H

#include "bench/way.h"

enum { KIND_COUNT = 6, KIND_LOTS = 16, KIND_BYTES_MAX = 16384 };

struct kinds {
    struct pool_inline pools[KIND_COUNT]; // empty without pools; all the same pool when sized
    bool sized;
};

extern const size_t kind_bytes[KIND_COUNT];
extern const unsigned char kind_of_lot[KIND_LOTS]; // an object's size is that of a random lot

// setup and teardown of a workload. Each pool has `objects` of the workload's row ready, if it can.
void kinds_open(struct gb_state *state, void *bench_case);
void kinds_close(struct gb_state *state, void *bench_case);

// Sweeps all its pools.
int64_t kinds_sweep(const struct kinds *kinds);

static inline unsigned kind_draw(uint64_t random)
{
    return kind_of_lot[(random >> 32) % KIND_LOTS];
}

ALWAYS_INLINE void *kind_get(const struct kinds *kinds, unsigned kind, enum bench_way way)
{
    if (way == WAY_POOL && kinds->sized)
        return pool_get_bytes(kinds->pools[kind].pool, kind_bytes[kind]);
    return bench_get(&kinds->pools[kind], kind_bytes[kind], way);
}

ALWAYS_INLINE void kind_put(const struct kinds *kinds, unsigned kind, void *object, enum bench_way way)
{
    bench_put(&kinds->pools[kind], object, way);
}

#endif
