// SPDX-License-Identifier: Apache-2.0
// The allocator that serves malloc in this process, and its statistics. It is looked up at run time among the
// loaded symbols, since it may be preloaded (glibc, tcmalloc, jemalloc, mimalloc). Any thread may call.
#ifndef POOLMARK_BASE_HEAP_H
#define POOLMARK_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_stats {
    int64_t in_use_bytes; // allocated and not freed; -1: the allocator does not report it
    int64_t mapped_bytes; // taken from the system and not given back; -1: not reported
    int64_t single_bytes; // of these, in blocks that are mapped singly; -1: not reported
};

const char *heap_name(void); // "glibc", "tcmalloc", "jemalloc", "mimalloc" or "unknown" (a sanitizer's)

// The version by the library ("2.36"), or "". Writes it to `text` (24 bytes hold any) and returns `text`.
char *heap_version(char *text, size_t size);

// The environment variables that configure an allocator, as "NAME=VALUE NAME=VALUE" in the order of their names.
// They change speed and memory of a program (MALLOC_PERTURB_ alone makes glibc three times slower), so they
// belong to its configuration. The same prefixes as in scripts/python/poolmark/facts/allocators.py. Writes to
// `text`, cut to `size`, and returns it. Not while another thread changes the environment.
char *heap_settings(char *text, size_t size);

// Too slow for a hot path: walks the allocator's own lists.
struct heap_stats heap_read(void);

// Glibc lays freed blocks of up to 128 bytes aside, however many, and joins all of them with their neighbours at once when
// somebody asks for a block of more than a thousand bytes: 600 000 of them take more than 10 ms. From now on each is joined
// when it is freed. Before the program has threads. Does nothing to other allocators.
void heap_join_at_once(void);

void heap_trim(void);                   // gives free memory back to the system: malloc_trim and the like
int64_t heap_usable_bytes(void *block); // malloc_usable_size of the loaded allocator

#endif
