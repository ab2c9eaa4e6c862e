// SPDX-License-Identifier: Apache-2.0
// Tells AddressSanitizer and Valgrind which memory of a pool must not be accessed: free objects of
// strategies that keep the memory. Poison an object when it comes back (then it must not hold links),
// unpoison it before it is given out, and unpoison a whole block before it goes back to the allocator or the
// system.
//
// No cost in plain builds. Valgrind's requests are compiled into checked builds (CHECK=1) only.
#ifndef POOLMARK_POOLS_SHARED_POISON_H
#define POOLMARK_POOLS_SHARED_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISON_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ASAN 1
#endif
#endif
#ifdef POISON_ASAN
#include <sanitizer/asan_interface.h>
#endif

#if defined(POOLMARK_CHECK) && !defined(POISON_ASAN) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define POISON_VALGRIND 1
#include <valgrind/memcheck.h>
#endif
#endif

static inline void poison(void *memory, size_t bytes)
{
#if defined(POISON_ASAN)
    ASAN_POISON_MEMORY_REGION(memory, bytes);
#elif defined(POISON_VALGRIND)
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

// Afterwards the memory may be accessed; its contents are undefined.
static inline void unpoison(void *memory, size_t bytes)
{
#if defined(POISON_ASAN)
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#elif defined(POISON_VALGRIND)
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

// After unpoison: the contents count as written.
static inline void poison_is_defined(void *memory, size_t bytes)
{
#if defined(POISON_VALGRIND)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

// The same for objects of a pool that Valgrind knows as one. Its reports then tell which object was
// accessed, and where it was got and put. `pool`, the pool's address, identifies it.
static inline void poison_pool_open(const void *pool)
{
#if defined(POISON_VALGRIND)
    VALGRIND_CREATE_MEMPOOL(pool, 0, 0);
#else
    (void)pool;
#endif
}

static inline void poison_pool_close(const void *pool)
{
#if defined(POISON_VALGRIND)
    VALGRIND_DESTROY_MEMPOOL(pool);
#else
    (void)pool;
#endif
}

static inline void poison_put(const void *pool, void *object, size_t bytes)
{
#if defined(POISON_VALGRIND)
    (void)bytes;
    VALGRIND_MEMPOOL_FREE(pool, object);
#else
    (void)pool;
    poison(object, bytes);
#endif
}

static inline void unpoison_got(const void *pool, void *object, size_t bytes)
{
#if defined(POISON_VALGRIND)
    VALGRIND_MEMPOOL_ALLOC(pool, object, bytes);
#else
    (void)pool;
    unpoison(object, bytes);
#endif
}

#endif
