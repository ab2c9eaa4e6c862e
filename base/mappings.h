// SPDX-License-Identifier: Apache-2.0
// Where the memory of this process is: its mappings by kind (/proc/self/smaps, proc(5)), in proportional set size
// (PSS) with what is swapped out of it: the kernel takes that from the process's use, not from what it owns. The kinds
// add up to the PSS of the process and its swap.
//
// The kernel merges anonymous mappings that touch each other. So the caller names the ranges that it knows, such as
// stacks, and a range that is a part of a mapping counts by its pages (/proc/self/pagemap). Only pages of its own
// count: not the zero page, and not what a child of fork shares.
//
//     struct mapping_range stack = {from, to, MAPPING_STACK};
//     struct mappings mappings;
//     if (mappings_read(&mappings, &stack, 1) < 0) ...
#ifndef POOLMARK_BASE_MAPPINGS_H
#define POOLMARK_BASE_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum mapping_kind {
    MAPPING_CODE, // pages of files: the program, its libraries, their constants
    MAPPING_DATA, // anonymous pages of the program and its libraries: what they wrote to, and zero data (.bss)
    MAPPING_STACK, // the main thread's; those above a guard page of glibc's, of the default size; those of the caller
    MAPPING_HEAP,  // the break, and arenas of glibc
    MAPPING_POOL,  // of the caller
    MAPPING_OTHER, // all the rest
    MAPPING_KINDS
};

struct mapping_range {
    uintptr_t from, to; // without `to`; whole pages
    enum mapping_kind kind;
};

struct mappings {
    int64_t pss_bytes[MAPPING_KINDS], whole_bytes; // the second is the sum of the first
    int64_t anonymous_bytes, huge_bytes;           // of these: anonymous, and anonymous in huge pages
    int64_t swap_bytes;                            // of the anonymous: swapped out
    int64_t heap_span_bytes;                       // addresses of MAPPING_HEAP, resident or not
    int64_t arena_count;                           // of glibc, without that of the break
};

// `known` has `count` ranges that do not overlap; the first has priority where they do. 0, or -errno with nothing
// written. Walks the page tables of the process, about a millisecond for 250 MiB. Any thread; what other threads map
// meanwhile may be in or not.
int mappings_read(struct mappings *mappings, const struct mapping_range *known, size_t count)
    __attribute__((warn_unused_result));

// The same from the text of smaps. `pagemap` is only read when a known range is a part of a mapping.
int mappings_parse(struct mappings *mappings, FILE *smaps, int pagemap, const struct mapping_range *known,
                   size_t count) __attribute__((warn_unused_result));

#endif
