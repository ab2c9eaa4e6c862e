// SPDX-License-Identifier: Apache-2.0
// An allocator by path for tests/test_heap.c: glibc's, with the version function of mimalloc since it has two
// digits for each part. For 2.4.5 that is 20405.
#include <stddef.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);
int mi_version(void);

void *malloc(size_t bytes)
{
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    return __libc_realloc(block, bytes);
}

void free(void *block)
{
    __libc_free(block);
}

int mi_version(void)
{
    return 20405;
}
