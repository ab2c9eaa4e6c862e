// SPDX-License-Identifier: Apache-2.0
// The allocator that this process really runs on, and what it reports: looked up at run time among the loaded
// symbols, since it may have been preloaded (glibc, tcmalloc, jemalloc, mimalloc). Any thread may call.
#ifndef POOLMARK_BASE_HEAP_H
#define POOLMARK_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_stats {
    int64_t in_use_bytes; // handed out and not freed; -1 when the allocator does not say
    int64_t mapped_bytes; // taken from the system and not given back; -1 when it does not say
};

const char *heap_name(void); // "glibc", "tcmalloc", "jemalloc", "mimalloc" or "unknown" (a sanitizer's)

// As the library says ("2.36"), or "". Writes it to `text` (24 bytes hold any) and returns that.
char *heap_version(char *text, size_t size);

// Not for every call of a hot path: walks the allocator's own lists.
struct heap_stats heap_read(void);
void heap_trim(void);                   // give back what can be: malloc_trim and its kin
int64_t heap_usable_bytes(void *block); // malloc_usable_size of the loaded allocator

#endif
