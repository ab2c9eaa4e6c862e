// SPDX-License-Identifier: Apache-2.0
// Where pools get memory: malloc, posix_memalign and mmap, so that the allocator the process was started
// with is measured. A counter in front of them lets tests make them fail.
#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <malloc.h>
#ifdef POISON_ASAN
#include <pthread.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

enum { MALLOC_ALIGNMENT = 16, PAGE_BYTES = 4096 };

// Global to the process, as its memory is. An ordinary run only reads `watched`, and nothing writes it then.
// Relaxed: tests switch it while no other thread allocates, or do not care which request it is.
static atomic_bool watched;
static atomic_bool failing_stays;
static _Atomic int64_t fail_at, requests;

static bool request_fails(void)
{
    if (__builtin_expect(!atomic_load_explicit(&watched, memory_order_relaxed), 1))
        return false;
    int64_t number = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    int64_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return number == at || (number > at && atomic_load_explicit(&failing_stays, memory_order_relaxed));
}

int64_t pool_memory_fail_after(int64_t after, bool stay)
{
    atomic_store_explicit(&watched, false, memory_order_relaxed);
    atomic_store_explicit(&fail_at, after, memory_order_relaxed);
    atomic_store_explicit(&failing_stays, stay, memory_order_relaxed);
    int64_t came = atomic_exchange_explicit(&requests, 0, memory_order_relaxed);
    atomic_store_explicit(&watched, after >= 0, memory_order_relaxed);
    return came;
}

static _Atomic(pool_map_told *) map_told;

void pool_memory_tell_maps(pool_map_told *told)
{
    atomic_store_explicit(&map_told, told, memory_order_release);
}

static void tell_map(void *block, size_t bytes, bool is_mapped)
{
    // Acquire pairs with the release above: what `told` uses is there.
    pool_map_told *told = atomic_load_explicit(&map_told, memory_order_acquire);
    if (told)
        told(block, bytes, is_mapped);
}

// Allocators handle fork themselves, except AddressSanitizer's: a child could find it locked by a thread
// that it does not have. So there a fork waits until no pool call is in the allocator.
#ifdef POISON_ASAN
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static void enter(void)
{
    pthread_rwlock_rdlock(&gate);
}

static void leave(void)
{
    pthread_rwlock_unlock(&gate);
}

void pool_memory_fork_prepare(void)
{
    pthread_rwlock_wrlock(&gate);
}

void pool_memory_fork_parent(void)
{
    pthread_rwlock_unlock(&gate);
}

void pool_memory_fork_child(void)
{
    gate = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
}
#else
static void enter(void)
{
}

static void leave(void)
{
}

void pool_memory_fork_prepare(void)
{
}

void pool_memory_fork_parent(void)
{
}

void pool_memory_fork_child(void)
{
}
#endif

void *pool_memory_alloc(size_t bytes)
{
    if (request_fails())
        return NULL;
    enter();
    // Some allocators align blocks below 16 bytes to 8 only.
    void *block = malloc(bytes < MALLOC_ALIGNMENT ? MALLOC_ALIGNMENT : bytes);
    leave();
    return block;
}

void *pool_memory_alloc_aligned(size_t alignment, size_t bytes)
{
    void *block = NULL;
    if (request_fails())
        return NULL;
    enter();
    int code = posix_memalign(&block, alignment, bytes);
    leave();
    return code == 0 ? block : NULL;
}

void pool_memory_free(void *block)
{
    enter();
    free(block);
    leave();
}

size_t pool_memory_block_bytes(void *block)
{
    return block ? malloc_usable_size(block) + sizeof(size_t) : 0;
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

// For more alignment than a page's it maps too much and unmaps the surplus.
void *pool_memory_map(size_t bytes, size_t alignment)
{
    size_t wanted = whole_pages(bytes), extra = alignment > PAGE_BYTES ? alignment - PAGE_BYTES : 0;
    if (request_fails())
        return NULL;
    char *block = mmap(NULL, wanted + extra, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    size_t before = extra ? (alignment - (uintptr_t)block % alignment) % alignment : 0;
    if (before)
        munmap(block, before);
    if (extra - before)
        munmap(block + before + wanted, extra - before);
    tell_map(block + before, wanted, true);
    return block + before;
}

void pool_memory_unmap(void *block, size_t bytes)
{
    if (!block)
        return;
    tell_map(block, whole_pages(bytes), false);
    munmap(block, whole_pages(bytes));
}

bool pool_memory_is_conceivable(int64_t bytes)
{
    struct sysinfo machine;
    if (sysinfo(&machine) != 0)
        return true;
    uint64_t most = ((uint64_t)machine.totalram + machine.totalswap) * machine.mem_unit;
    return bytes >= 0 && (uint64_t)bytes <= most;
}

// Kernels before 5.14 have no MADV_POPULATE_WRITE: there, each page is written once.
int pool_memory_populate(void *pages, size_t bytes)
{
    if (request_fails())
        return -ENOMEM;
    int code;
    do
        code = madvise(pages, bytes, MADV_POPULATE_WRITE);
    while (code < 0 && (errno == EINTR || errno == EAGAIN));
    if (code == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -ENOMEM;
    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        ((volatile char *)pages)[at] = 0;
    return 0;
}
