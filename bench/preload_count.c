// SPDX-License-Identifier: Apache-2.0
// Counts what is asked of the allocator: a library that is loaded before all others (LD_PRELOAD), in the
// process that bench/allocations.h starts for it. It stands in for malloc and its relatives, and passes each
// call on to the next definition: glibc's, or that of an allocator that is preloaded after it. It is no part
// of a program.
//
// A request is a call that gives memory: of malloc, calloc, aligned_alloc, posix_memalign, memalign, and each
// realloc. Its bytes are those asked for. Memory that a pool maps itself is none.
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Read by bench/allocations.c, by name: requests, bytes.
void poolmark_count_read(int64_t counts[2]);

static _Atomic int64_t requests, bytes_asked; // relaxed: one thread counts at a time

static void count(size_t bytes)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&bytes_asked, (int64_t)bytes, memory_order_relaxed);
}

void poolmark_count_read(int64_t counts[2])
{
    counts[0] = atomic_load_explicit(&requests, memory_order_relaxed);
    counts[1] = atomic_load_explicit(&bytes_asked, memory_order_relaxed);
}

// dlsym may allocate while it looks for the first: from here, and never freed.
static struct {
    _Alignas(16) char memory[16384];
    _Atomic size_t used;
} early;

static void *early_get(size_t bytes)
{
    size_t whole = (bytes + 15) & ~(size_t)15;
    if (whole < bytes || whole > sizeof early.memory)
        return NULL;
    size_t at = atomic_fetch_add(&early.used, whole);
    return at <= sizeof early.memory - whole ? early.memory + at : NULL;
}

static int is_early(const void *block)
{
    return (uintptr_t)block - (uintptr_t)early.memory < sizeof early.memory;
}

// Volatile: dlsym is declared as a leaf, so the compiler takes it that nothing here is called meanwhile.
static __thread volatile int looking __attribute__((tls_model("initial-exec")));

// The next definition, looked up once: every thread finds the same one. NULL while this thread looks one up.
static void *next(_Atomic(void *) *known, const char *name)
{
    void *found = atomic_load_explicit(known, memory_order_relaxed);
    if (found || looking)
        return found;
    looking = 1;
    found = dlsym(RTLD_NEXT, name);
    looking = 0;
    if (!found)
        abort();
    atomic_store_explicit(known, found, memory_order_relaxed);
    return found;
}

void *malloc(size_t bytes)
{
    static _Atomic(void *) known;
    void *(*call)(size_t) = (void *(*)(size_t))next(&known, "malloc");
    if (!call)
        return early_get(bytes);
    count(bytes);
    return call(bytes);
}

void *calloc(size_t members, size_t bytes)
{
    static _Atomic(void *) known;
    void *(*call)(size_t, size_t) = (void *(*)(size_t, size_t))next(&known, "calloc");
    size_t all;
    if (__builtin_mul_overflow(members, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    if (!call)
        return early_get(all);
    count(all);
    return call(members, bytes);
}

void free(void *block)
{
    static _Atomic(void *) known;
    if (!block || is_early(block))
        return;
    void (*call)(void *) = (void (*)(void *))next(&known, "free");
    if (call)
        call(block);
}

void *realloc(void *block, size_t bytes)
{
    static _Atomic(void *) known;
    if (is_early(block)) {
        size_t most = (size_t)(early.memory + sizeof early.memory - (char *)block);
        void *other = malloc(bytes);
        if (other)
            memcpy(other, block, bytes < most ? bytes : most);
        return other;
    }
    void *(*call)(void *, size_t) = (void *(*)(void *, size_t))next(&known, "realloc");
    if (!call)
        return block ? NULL : early_get(bytes);
    count(bytes);
    return call(block, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    static _Atomic(void *) known;
    void *(*call)(size_t, size_t) = (void *(*)(size_t, size_t))next(&known, "aligned_alloc");
    if (!call)
        return NULL;
    count(bytes);
    return call(alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes);
void *memalign(size_t alignment, size_t bytes)
{
    static _Atomic(void *) known;
    void *(*call)(size_t, size_t) = (void *(*)(size_t, size_t))next(&known, "memalign");
    if (!call)
        return NULL;
    count(bytes);
    return call(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    static _Atomic(void *) known;
    int (*call)(void **, size_t, size_t) = (int (*)(void **, size_t, size_t))next(&known, "posix_memalign");
    if (!call)
        return ENOMEM;
    count(bytes);
    return call(block, alignment, bytes);
}
