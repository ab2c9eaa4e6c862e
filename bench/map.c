// SPDX-License-Identifier: Apache-2.0
#include "bench/map.h"

#include <sys/mman.h>

void *bench_map(struct gb_state *state, size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory != MAP_FAILED)
        return memory;
    gb_skip(state, "no memory for the harness");
    return NULL;
}

void bench_unmap(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}
