// SPDX-License-Identifier: Apache-2.0
// The fast path of strategy `slab`, compiled into the caller: a get or put compares and moves a pointer,
// without a call. For C and C++. It works with a pool of any strategy: without a fast path it calls pool_get
// and pool_put. So a program need not know which strategy it was started with.
//
//     struct pool_inline inlined;
//     pool_inline_open(&inlined, pool);
//     void *object = pool_inline_get(&inlined);     // as pool_get(pool), on any thread
//     pool_inline_put(&inlined, object);            // as pool_put(pool, object)
//
// Both kinds of calls may be mixed, also on the same objects. The caller owns the struct; it needs no closing
// and is valid while the pool is open. pool_inline_open returns -ENOTSUP when there is no fast path: the pool
// has another strategy; the build has to see each call (CHECK, a handicap, a sanitizer, or Valgrind); or the
// caller was compiled with another version of this header than the library.
//
// Everything below pool_inline_open is internal and may change with POOL_INLINE_VERSION.
#ifndef POOLMARK_POOLS_POOL_INLINE_H
#define POOLMARK_POOLS_POOL_INLINE_H

#include "pools/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

extern __thread int
    pool_thread_slot_cached; // pools/shared/thread_slot.h; for C++ too, whose thread_local is a call

// ThreadSanitizer does not know membarrier(2), so under it `busy` is a lock. Caller and library must agree.
#if defined(__SANITIZE_THREAD__)
#define POOL_INLINE_LOCKS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define POOL_INLINE_LOCKS 1
#endif
#endif
#ifndef POOL_INLINE_LOCKS
#define POOL_INLINE_LOCKS 0
#endif

#define POOL_INLINE_ROW_BYTES 128 // two cache lines: processors fetch neighbouring lines in pairs
#define POOL_INLINE_LINE_BYTES 64 // what objects of magazines are aligned to, and overflow objects are not
#define POOL_INLINE_VERSION (1u << 16 | POOL_INLINE_LOCKS << 15 | (unsigned)sizeof(struct pool_row))

// The part of a thread's row that the fast path uses; see pools/slab/pool.h. A row of zeros serves nothing.
struct pool_row {
    void **top;         // a get takes top[-1] while top > low; a put writes top[0] while top < high
    void **low, **high; // the ends of the row's range (traps)
    int64_t gets, puts; // that this row served
    int busy;           // 1: the owner is in the fast path
};

struct pool_inline {
    struct pool *pool;
    char *rows; // a row every POOL_INLINE_ROW_BYTES; a thread's slot is the number of its row
};

// 0; or -ENOTSUP, and then pool_inline_get and _put call the pool.
int pool_inline_open_version(struct pool_inline *inlined, struct pool *pool, unsigned version);
static inline int pool_inline_open(struct pool_inline *inlined, struct pool *pool)
{
    return pool_inline_open_version(inlined, pool, POOL_INLINE_VERSION);
}

// No fence here: the thread that takes rows back issues a membarrier instead. The compiler must still not
// move a read of the traps before the store to `busy`.
static inline void pool_row_enter(struct pool_row *row)
{
#if POOL_INLINE_LOCKS
    while (__atomic_exchange_n(&row->busy, 1, __ATOMIC_ACQUIRE))
        ;
#else
    __atomic_store_n(&row->busy, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

// Release: a thread that reads 0 sees all that was done in the row.
static inline void pool_row_leave(struct pool_row *row)
{
    __atomic_store_n(&row->busy, 0, __ATOMIC_RELEASE);
}

// Relaxed throughout: only the owner writes while the row is open; others read sums.
static inline void *pool_row_take(struct pool_row *row)
{
    void *object = (void *)0;
    pool_row_enter(row);
    void **top = __atomic_load_n(&row->top, __ATOMIC_RELAXED);
    if (__builtin_expect(top > __atomic_load_n(&row->low, __ATOMIC_RELAXED), 1)) {
        __atomic_store_n(&row->gets, __atomic_load_n(&row->gets, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&row->top, top - 1, __ATOMIC_RELAXED);
        object = top[-1];
    }
    pool_row_leave(row);
    return object;
}

static inline bool pool_row_give(struct pool_row *row, void *object)
{
    pool_row_enter(row);
    void **top = __atomic_load_n(&row->top, __ATOMIC_RELAXED);
    bool fits = (top < __atomic_load_n(&row->high, __ATOMIC_RELAXED)) &
                ((uintptr_t)object % POOL_INLINE_LINE_BYTES == 0);
    if (__builtin_expect(fits, 1)) {
        *top = object;
        __atomic_store_n(&row->puts, __atomic_load_n(&row->puts, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&row->top, top + 1, __ATOMIC_RELAXED);
    }
    pool_row_leave(row);
    return fits;
}

static inline struct pool_row *pool_inline_row(const struct pool_inline *inlined)
{
    return (struct pool_row *)(void *)(inlined->rows +
                                       (size_t)(unsigned)pool_thread_slot_cached * POOL_INLINE_ROW_BYTES);
}

static inline void *pool_inline_get(const struct pool_inline *inlined)
{
    void *object = pool_row_take(pool_inline_row(inlined));
    return __builtin_expect(object != (void *)0, 1) ? object : pool_get(inlined->pool);
}

// NULL is ignored.
static inline void pool_inline_put(const struct pool_inline *inlined, void *object)
{
    if (__builtin_expect(!object, 0))
        return;
    if (!pool_row_give(pool_inline_row(inlined), object))
        pool_put(inlined->pool, object);
}

#ifdef __cplusplus
}
#endif

#endif
