// SPDX-License-Identifier: Apache-2.0
// Tells AddressSanitizer and Valgrind which memory of a pool nobody may touch: free objects of strategies
// that keep the memory. Poison when an object comes back (nothing may be linked through it then), unpoison
// before it is given out, and unpoison a whole block before it goes back to the allocator or the system.
//
// Costs nothing in plain builds; Valgrind's requests are there in checked builds (CHECK=1) only.
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

// Afterwards the memory may be touched and its contents are undefined.
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

// After unpoison: the contents are what somebody wrote before.
static inline void poison_is_defined(void *memory, size_t bytes)
{
#if defined(POISON_VALGRIND)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

// The same for objects of a pool that Valgrind is told about, so that its reports say which object of the
// pool was touched, and where it was got and put. `pool` is the pool's address, its name to Valgrind.
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
