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
