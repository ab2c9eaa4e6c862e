// SPDX-License-Identifier: Apache-2.0
// When a pool grows, by how much, and in which pieces: the rule that all strategies that grow share, so that
// published sequences can be checked against it.
//
// An expansion is one step of the rule, and one event, however it is made. It is made in pieces: inline, each
// get that finds a step under way makes one piece and no more, so no get waits longer than a piece takes; on
// a thread of the pool's own, each piece can be used as soon as it is there. The step's duration is what its
// pieces took together; the longest expansion that statistics tell is the longest piece, since that is what a
// get waits.
//
//     growth_begin(&step, owned, growth_next(owned, 1.5, max) - owned, in_use, object_bytes);
//     int64_t count = growth_take(&step);                             // 0: all is being made
//     ... make `count` objects, without the lock ...
//     if (growth_made(&step, made, took_ns)) tell(growth_event(&step));   // that was the last
//
// The functions of a step want the pool's lock held.
#ifndef POOLMARK_POOLS_SHARED_GROWTH_H
#define POOLMARK_POOLS_SHARED_GROWTH_H

#include "pools/pool.h"

// Objects in use that set an expansion off: the integer part of expand_at_percent of those owned.
int64_t growth_trigger(int64_t owned, int64_t expand_at_percent);

// Objects owned after the next expansion: the integer part of owned x growth, at least one more, at most
// `max` (0: unbounded). Equals `owned` when that is `max` already.
int64_t growth_next(int64_t owned, double growth, int64_t max);

#define GROWTH_PIECE_BYTES_MIN ((int64_t)512 << 10)
#define GROWTH_PIECE_BYTES_MAX ((int64_t)1 << 20)

// Objects a piece: a 64th of the step, within the bounds above; at least one.
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

// Of `taken` objects so many were made; fewer than taken: no more are tried. Returns whether the step is
// over.
bool growth_made(struct growth_step *step, int64_t taken, int64_t made, int64_t took_ns);

// Of a step that is over and made something.
struct pool_event growth_event(const struct growth_step *step);

#endif
