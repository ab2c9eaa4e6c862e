// SPDX-License-Identifier: Apache-2.0
// A set of rows (pools/shared/thread_slot.h), one bit each: those with objects to take. So a search need not
// look at every row ever used. A row's membership is decided under that row's lock; the set is read without
// it, as a hint that may be out of date at once.
//
//     row_set_add(&set, slot);                                        // row locked
//     for (int at = row_set_first(&set, &walk, slot + 1); at >= 0; at = row_set_next(&set, &walk)) ...
#ifndef POOLMARK_POOLS_SHARED_ROW_SET_H
#define POOLMARK_POOLS_SHARED_ROW_SET_H

#include "pools/shared/thread_slot.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ROW_SET_BITS = 64, ROW_SET_WORDS = THREAD_SLOT_ROWS / ROW_SET_BITS };

struct row_set {
    _Atomic uint64_t words[ROW_SET_WORDS];
};

static inline uint64_t row_set_bit(int slot)
{
    return UINT64_C(1) << (slot % ROW_SET_BITS);
}

// All of them relaxed: the row's lock orders access to the row.
static inline bool row_set_has(struct row_set *set, int slot)
{
    return atomic_load_explicit(&set->words[slot / ROW_SET_BITS], memory_order_relaxed) & row_set_bit(slot);
}

// Writes only on a change: all threads read the words.
static inline void row_set_add(struct row_set *set, int slot)
{
    if (!row_set_has(set, slot))
        atomic_fetch_or_explicit(&set->words[slot / ROW_SET_BITS], row_set_bit(slot), memory_order_relaxed);
}

static inline void row_set_remove(struct row_set *set, int slot)
{
    if (row_set_has(set, slot))
        atomic_fetch_and_explicit(&set->words[slot / ROW_SET_BITS], ~row_set_bit(slot), memory_order_relaxed);
}

// Position of a walk over the set, which goes round once from some slot on.
struct row_set_walk {
    uint64_t left; // of the word it is at
    int word, words_left, begin;
};

static inline int row_set_next(struct row_set *set, struct row_set_walk *walk)
{
    while (walk->left == 0) {
        if (walk->words_left-- == 0)
            return -1;
        walk->word = (walk->word + 1) % ROW_SET_WORDS;
        walk->left = atomic_load_explicit(&set->words[walk->word], memory_order_relaxed);
        if (walk->words_left == 0) // back at the first word: the slots before the one it began at
            walk->left &= row_set_bit(walk->begin) - 1;
    }
    int slot = walk->word * ROW_SET_BITS + __builtin_ctzll(walk->left);
    walk->left &= walk->left - 1;
    return slot;
}

// The first slot in the set from `begin` on, 0 to THREAD_SLOT_ROWS; -1: the set is empty.
static inline int row_set_first(struct row_set *set, struct row_set_walk *walk, int begin)
{
    begin %= THREAD_SLOT_ROWS;
    walk->begin = begin;
    walk->word = begin / ROW_SET_BITS;
    walk->words_left = ROW_SET_WORDS;
    walk->left = atomic_load_explicit(&set->words[walk->word], memory_order_relaxed);
    walk->left &= ~(row_set_bit(begin) - 1);
    return row_set_next(set, walk);
}

#endif
