// SPDX-License-Identifier: Apache-2.0
#include "bench/way.h"

static void *give_own(size_t bytes)
{
    static _Thread_local _Alignas(64) char object[BENCH_BARE_BYTES];
    (void)bytes;
    return object;
}

static void take_nothing(void *object)
{
    (void)object;
}

void *(*const bench_bare_get)(size_t bytes) = give_own;
void (*const bench_bare_put)(void *object) = take_nothing;

_Alignas(BENCH_LINE) struct bench_ready
    bench_ready; // a line of its own: the other thread writes to neighbours

void bench_ready_open(struct gb_state *state, size_t object_bytes, int64_t objects)
{
    size_t lines = (object_bytes + BENCH_LINE - 1) / BENCH_LINE | 1;
    bench_ready = (struct bench_ready){.stride = lines * BENCH_LINE};
    bench_ready.first = bench_map(state, (size_t)objects * bench_ready.stride);
    if (!bench_ready.first)
        return;
    bench_ready.at = bench_ready.first;
    bench_ready.end = bench_ready.first + (size_t)objects * bench_ready.stride;
}

void bench_ready_close(void)
{
    bench_unmap(bench_ready.first, (size_t)(bench_ready.end - bench_ready.first));
    bench_ready = (struct bench_ready){0};
}
