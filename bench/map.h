// SPDX-License-Identifier: Apache-2.0
// Memory of the harness, never from malloc: neither the measured allocator nor its counters see it.
#ifndef POOLMARK_BENCH_MAP_H
#define POOLMARK_BENCH_MAP_H

#include "bench/gbench.h"

#include <stddef.h>

// `bytes` of memory, zero and faulted in. Without memory it skips the run and returns NULL.
void *bench_map(struct gb_state *state, size_t bytes);
void bench_unmap(void *memory, size_t bytes); // NULL is allowed

#endif
