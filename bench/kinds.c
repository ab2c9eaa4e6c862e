// SPDX-License-Identifier: Apache-2.0
#include "bench/kinds.h"

const size_t kind_bytes[KIND_COUNT] = {64, 256, 1024, 3072, 4096, KIND_BYTES_MAX};
const unsigned char kind_of_lot[KIND_LOTS] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5};

static int open_kind(struct gb_state *state, struct bench_case *bench, struct kinds *kinds, int kind)
{
    struct pool_config config = bench_config(bench, bench->workload->objects);
    config.object_bytes = kinds->sized ? KIND_BYTES_MAX : kind_bytes[kind];
    bench_open_config(state, bench, &config);
    kinds->pools[kind] = bench->access;
    bench->pool = NULL;
    return gb_skipped(state) ? -1 : 0;
}

void kinds_open(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct kinds *kinds = bench->shared = bench_map(state, sizeof *kinds);
    if (!kinds)
        return;
    kinds->sized = pool_strategy_caps(bench->strategy) & POOL_CAP_SIZED;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (kinds->sized && kind > 0)
            kinds->pools[kind] = kinds->pools[0];
        else if (open_kind(state, bench, kinds, kind) < 0)
            return;
    }
}

void kinds_close(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct kinds *kinds = bench->shared;
    (void)state;
    for (int kind = 0; kinds && kind < KIND_COUNT; kind++) {
        if (kind == 0 || !kinds->sized)
            pool_close(kinds->pools[kind].pool);
    }
    bench_unmap(kinds, sizeof *kinds);
    bench->shared = NULL;
}

int64_t kinds_sweep(const struct kinds *kinds)
{
    int64_t bytes = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (kinds->pools[kind].pool && (kind == 0 || !kinds->sized))
            bytes += pool_sweep(kinds->pools[kind].pool);
    }
    return bytes;
}
