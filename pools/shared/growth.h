// SPDX-License-Identifier: Apache-2.0
// When a pool grows, by how much, and in which pieces. All growing strategies share this rule, so published
// sequences can be checked against it.
//
// An expansion is one step of the rule, and one event, but it is made in pieces. Inline: each get that finds
// a step under way makes one piece, so no get waits longer than a piece takes. On the pool's own thread:
// each piece can be used as soon as it is made. The step's duration is the sum over its pieces. The longest
// expansion in statistics is the longest piece, since a get waits no longer than that.
//
//     growth_begin(&step, owned, growth_next(owned, 1.5, max) - owned, in_use, object_bytes);
//     int64_t count = growth_take(&step);                             // 0: all pieces are taken
//     ... make `count` objects, without the lock ...
//     if (growth_made(&step, made, took_ns)) tell(growth_event(&step));   // that was the last
//
// The functions of a step need the pool's lock held.
#ifndef POOLMARK_POOLS_SHARED_GROWTH_H
#define POOLMARK_POOLS_SHARED_GROWTH_H

#include "pools/pool.h"

// Objects in use that start an expansion: the integer part of expand_at_percent of those owned.
int64_t growth_trigger(int64_t owned, int64_t expand_at_percent);

// Objects owned after the next expansion: the integer part of owned x growth, at least one more, at most
// `max` (0: unbounded). Equals `owned` when that is `max` already.
int64_t growth_next(int64_t owned, double growth, int64_t max);

#define GROWTH_PIECE_BYTES_MIN ((int64_t)512 << 10)
#define GROWTH_PIECE_BYTES_MAX ((int64_t)1 << 20)

// Objects in a piece: a 64th of the step, within the bounds above; at least one.
int64_t growth_piece(int64_t planned, size_t object_bytes);

struct growth_step {
    int64_t from, trigger;  // objects owned before; in use when it began
    int64_t planned, piece; // objects
    int64_t left;           // not taken by anyone yet
    int64_t making, made;
    int64_t spent_ns;
};

void growth_begin(struct growth_step *step, int64_t from, int64_t planned, int64_t trigger,
                  size_t object_bytes);
int64_t growth_take(struct growth_step *step); // objects to be made next; 0: none

// Of `taken` objects, `made` were made. Fewer than taken: no more pieces are tried. Returns whether the step
// is over.
bool growth_made(struct growth_step *step, int64_t taken, int64_t made, int64_t took_ns);

// The event of a step that is over and made something.
struct pool_event growth_event(const struct growth_step *step);

#endif
