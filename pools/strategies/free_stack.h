// SPDX-License-Identifier: Apache-2.0
// A lock-free stack of numbers (R. K. Treiber, 1986): which objects of a pool are free.
//
// The head is one word: the number on top, and a tag that counts pops. A pop reads the head and the entry of
// the number on top, and exchanges the head if it is still the same word. Entries are not in the objects but
// in chunks, which stay until the stack is closed. So a late pop reads at worst a stale entry, never an
// object.
//
// ABA: between a pop's read and its exchange the same number may come back to the top with another one
// below. It can come back only after it was popped, and each pop changes the tag, so the exchange fails. A
// push needs no new tag: until the number on top is popped, its entry does not change. The tag has 32 bits
// and wraps after 2^32 pops. To be fooled, a pop would have to sleep between two instructions for an exact
// multiple of 2^32 pops (20 s at least, of a stack that does nothing else), and find the same number on top.
//
// An entry has the number below and the depth of the stack from here down. The numbers below a number do not
// change while it is in the stack. So the depth is exact for the thread that popped the number, at no cost.
// This is how a pool knows, without another shared count, how many of its objects are in use.
//
// Memory orders: a push releases and a pop acquires, so a thread that pops an object sees all that was
// written to it and to its entry. Entries are relaxed: a value read counts only if the exchange succeeds.
// Exchanges are sequentially consistent, since callers read other words right after them
// (pools/strategies/stock.h).
//
//     free_stack_push(&stack, number, false);
//     uint64_t head = free_stack_look(&stack), entry = free_stack_entry(&stack, (uint32_t)head);
//     if (free_stack_exchange(&stack, &head, free_stack_popped(head, entry), false))
//         ... (uint32_t)head was popped ...
#ifndef POOLMARK_POOLS_STRATEGIES_FREE_STACK_H
#define POOLMARK_POOLS_STRATEGIES_FREE_STACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FREE_STACK_CHUNK_BITS = 18,
    FREE_STACK_CHUNK = 1 << FREE_STACK_CHUNK_BITS, // numbers
    FREE_STACK_CHUNKS = 1 << (32 - FREE_STACK_CHUNK_BITS),
    FREE_STACK_SEGMENT = 256, // numbers whose objects lie side by side
};
#define FREE_STACK_NONE UINT32_MAX

// A process with one thread needs no atomic exchange: no other thread can interfere. glibc's malloc checks
// the same.
#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define FREE_STACK_IS_ALONE() (__libc_single_threaded != 0)
#endif
#endif
#ifndef FREE_STACK_IS_ALONE
#define FREE_STACK_IS_ALONE() false
#endif

// A test hooks in here, between a read of the head and the exchange that follows it.
#ifndef FREE_STACK_SEAM
#define FREE_STACK_SEAM() ((void)0)
#endif
#ifndef FREE_STACK_TAG_STEP
#define FREE_STACK_TAG_STEP (UINT64_C(1) << 32)
#endif

struct free_stack_chunk {
    _Atomic uint64_t entries[FREE_STACK_CHUNK];                   // depth, number below
    char *_Atomic objects[FREE_STACK_CHUNK / FREE_STACK_SEGMENT]; // address of each segment's first object
};

struct free_stack {
    _Atomic uint64_t head;                  // tag, number on top
    struct free_stack_chunk *_Atomic first; // chunks[0]: the most used
    struct free_stack_chunk *_Atomic
        *chunks; // FREE_STACK_CHUNKS, mapped; each is set before its numbers are used
};

// Relaxed: a number is published by the head, after its chunk.
static inline struct free_stack_chunk *free_stack_chunk(const struct free_stack *stack, uint32_t number)
{
    uint32_t at = number >> FREE_STACK_CHUNK_BITS;
    if (__builtin_expect(at == 0, 1))
        return atomic_load_explicit(&stack->first, memory_order_relaxed);
    return atomic_load_explicit(&stack->chunks[at], memory_order_relaxed);
}

static inline _Atomic uint64_t *free_stack_slot(const struct free_stack *stack, uint32_t number)
{
    return &free_stack_chunk(stack, number)->entries[number % FREE_STACK_CHUNK];
}

static inline uint64_t free_stack_look(const struct free_stack *stack)
{
    return atomic_load_explicit(&stack->head, memory_order_acquire);
}

// The entry of a number that is on top, or was a moment ago.
static inline uint64_t free_stack_entry(const struct free_stack *stack, uint32_t number)
{
    return atomic_load_explicit(free_stack_slot(stack, number), memory_order_relaxed);
}

static inline uint32_t free_stack_depth_of(uint64_t entry)
{
    return (uint32_t)(entry >> 32);
}

static inline uint64_t free_stack_make_entry(uint32_t depth, uint32_t below)
{
    return (uint64_t)depth << 32 | below;
}

// The head after a pop of the number on top of `head`, whose entry is `entry`.
static inline uint64_t free_stack_popped(uint64_t head, uint64_t entry)
{
    return ((head & ~(uint64_t)UINT32_MAX) + FREE_STACK_TAG_STEP) | (uint32_t)entry;
}

// False: the head changed, and `head` is its new value. `alone`: no other thread uses the stack.
static inline bool free_stack_exchange(struct free_stack *stack, uint64_t *head, uint64_t to, bool alone)
{
    if (alone) {
        atomic_store_explicit(&stack->head, to, memory_order_relaxed);
        return true;
    }
    FREE_STACK_SEAM();
    return atomic_compare_exchange_weak_explicit(&stack->head, head, to, memory_order_seq_cst,
                                                 memory_order_acquire);
}

static inline uint32_t free_stack_depth_at(const struct free_stack *stack, uint64_t head)
{
    uint32_t top = (uint32_t)head;
    return top == FREE_STACK_NONE ? 0 : free_stack_depth_of(free_stack_entry(stack, top));
}

static inline void free_stack_push(struct free_stack *stack, uint32_t number, bool alone)
{
    uint64_t head = free_stack_look(stack);
    _Atomic uint64_t *slot = free_stack_slot(stack, number);
    do {
        uint32_t depth = free_stack_depth_at(stack, head) + 1;
        atomic_store_explicit(slot, free_stack_make_entry(depth, (uint32_t)head), memory_order_relaxed);
    } while (!free_stack_exchange(stack, &head, (head & ~(uint64_t)UINT32_MAX) | number, alone));
}

// FREE_STACK_NONE when there is none. Outside the fast path.
static inline uint32_t free_stack_pop(struct free_stack *stack)
{
    uint64_t head = free_stack_look(stack), entry;
    do {
        if ((uint32_t)head == FREE_STACK_NONE)
            return FREE_STACK_NONE;
        entry = free_stack_entry(stack, (uint32_t)head);
    } while (!free_stack_exchange(stack, &head, free_stack_popped(head, entry), false));
    return (uint32_t)head;
}

// Takes all numbers in one pop; their entries stay unchanged. Returns the first, or FREE_STACK_NONE.
static inline uint32_t free_stack_take_all(struct free_stack *stack)
{
    uint64_t head = atomic_load(&stack->head); // also an empty one is ordered after the caller's writes
    do {
        if ((uint32_t)head == FREE_STACK_NONE)
            return FREE_STACK_NONE;
    } while (!free_stack_exchange(stack, &head, free_stack_popped(head, FREE_STACK_NONE), false));
    return (uint32_t)head;
}

// Puts in a whole chain, whose entries were made for an empty stack. False when the stack is not empty.
static inline bool free_stack_fill(struct free_stack *stack, uint32_t first)
{
    uint64_t head = free_stack_look(stack);
    while ((uint32_t)head == FREE_STACK_NONE)
        if (free_stack_exchange(stack, &head, (head & ~(uint64_t)UINT32_MAX) | first, false))
            return true;
    return false;
}

// The head, and the depth of the stack at that moment.
static inline uint64_t free_stack_count(const struct free_stack *stack, uint32_t *depth)
{
    uint64_t head = atomic_load(&stack->head), again;
    for (;; head = again) {
        uint32_t top = (uint32_t)head;
        // Acquire: reads the entry before the head is read again.
        *depth = top == FREE_STACK_NONE ? 0
                                        : free_stack_depth_of(atomic_load_explicit(
                                              free_stack_slot(stack, top), memory_order_acquire));
        again = atomic_load(&stack->head);
        if (again == head)
            return head;
    }
}

int free_stack_open(struct free_stack *stack) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void free_stack_close(struct free_stack *stack);
// Makes numbers `first` to `first + count - 1` usable. 0 or -ENOMEM. Any thread, any time.
int free_stack_make_room(struct free_stack *stack, uint32_t first, uint32_t count)
    __attribute__((warn_unused_result));
int64_t free_stack_bytes(int64_t numbers); // memory that the numbers below this one have written

#endif
