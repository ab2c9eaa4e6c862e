// SPDX-License-Identifier: Apache-2.0
// How often an operation of a benchmark asks the allocator for memory, and for how many bytes.
//
// Counting costs time, so it is done in a process of its own: poolmark-bench starts itself for that benchmark
// alone, with one thread, and with a library before all others that counts (bench/preload_count.c; the
// program contains it). An allocator that is preloaded stays the allocator. The process that measures time
// has no counter in it.
//
//     if (allocations_are_counted()) ... the process that counts: allocations_tell(&before, ops) after the loop
//     else if (allocations_of(bench->name, &found, &err) == 0) ... found.requests, found.bytes
//
// Not thread-safe: one thread calls.
#ifndef POOLMARK_BENCH_ALLOCATIONS_H
#define POOLMARK_BENCH_ALLOCATIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct allocations {
    double requests, bytes; // of an operation
};

struct allocation_counts {
    int64_t counts[2]; // requests, bytes
};

bool allocations_are_counted(void); // is this process one that counts?

// In the process that counts: the counts so far; and what `ops` operations have added since, for the process
// that waits for it.
void allocations_read(struct allocation_counts *now);
void allocations_tell(const struct allocation_counts *before, int64_t ops);

// Starts the process that counts for the benchmark of that name and waits for its answer. The last answer is
// kept, so asking again for the same name costs nothing. -ENOTSUP: a sanitizer's build, or another program
// than poolmark-bench; -errno: it could not be started, or gave no answer.
int allocations_of(const char *name, struct allocations *found, struct err *err)
    __attribute__((warn_unused_result));

#endif
