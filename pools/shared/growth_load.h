// SPDX-License-Identifier: Apache-2.0
// The second rule of growth: by the load that the pool has seen. It replaces x 1.5 where the config says
// POOL_RULE_ADAPTIVE.
//
// Two figures are measured: how many objects arrive a second (the rise of the objects in use from a mark
// below the trigger to the trigger, so that an idle hour before a storm has no part in it), and how long one
// object takes to make. While n objects are made, which takes n x make, arrivals x n x make more are asked
// for. So objects for GROWTH_LOAD_AHEAD_NS of arrivals are
//
//     step = arrivals x ahead / (1 - arrivals x make)
//
// and as many as allowed when objects arrive faster than they can be made. Bounds: not less than a sixteenth
// of what is owned, nor than a piece (growth.h); not more than the config's `growth` allows. Before anything
// was measured, as many as that. An expansion begins when so many are free as arrive until its first piece is
// there, and as many again; bounds: a sixteenth of what is owned, and what the config's expand_at_percent
// leaves.
//
// A load belongs to one pool;
// its functions need the pool's lock held.
#ifndef POOLMARK_POOLS_SHARED_GROWTH_LOAD_H
#define POOLMARK_POOLS_SHARED_GROWTH_LOAD_H

#include "pools/pool.h"

struct growth_load {
    double arrivals_per_s, make_ns; // 0: not known yet
    int64_t marked_ns, marked_in_use;
    bool marked;
    int64_t mark_at; // objects in use at which growth_load_is_reached marks; INT64_MAX: not, or done
    bool judged;     // the trigger is that of the load
};
#define GROWTH_LOAD_NONE ((struct growth_load){.mark_at = INT64_MAX, .judged = true})

enum { GROWTH_LOAD_LEAST_SHARE = 16 };
#define GROWTH_LOAD_AHEAD_NS (INT64_C(50) * 1000 * 1000)
// How late the pool's thread may notice the trigger (bell.h).
#define GROWTH_LOAD_NOTICE_NS (INT64_C(2) * 1000 * 1000)

// Where the next arrivals are counted from.
void growth_load_mark(struct growth_load *load, int64_t now_ns, int64_t in_use);
// The arrivals since the mark. A higher rate counts at once, a lower one by half. Without a mark, or when
// nothing arrived, the last rate stays.
void growth_load_arrive(struct growth_load *load, int64_t now_ns, int64_t in_use);
void growth_load_made(struct growth_load *load, int64_t count, int64_t took_ns);

// Objects owned after the next expansion, at most `max` (0: unbounded). As growth_next of growth.h.
int64_t growth_load_next(const struct growth_load *load, int64_t owned, double growth, int64_t max,
                         size_t object_bytes);

// Objects in use that start it. Not below growth_trigger(owned, expand_at_percent).
int64_t growth_load_trigger(const struct growth_load *load, int64_t owned, int64_t expand_at_percent,
                            size_t object_bytes);

// For a pool whose gets notice when a number of objects is in use. `trigger`: the earliest, by
// expand_at_percent; INT64_MAX: none. From an eighth below it on arrivals are counted (`mark_at`); at it the
// load says where the trigger really is.
void growth_load_aim(struct growth_load *load, int64_t trigger, int64_t in_use);
void growth_load_unmark(struct growth_load *load); // the trigger stays as it is
// To be called when so many are in use as `mark_at` or the trigger says, which it may set higher.
bool growth_load_is_reached(struct growth_load *load, int64_t in_use, int64_t owned,
                            int64_t expand_at_percent, size_t object_bytes, int64_t *trigger);

// Objects to have ready for arrivals until a piece is there, and as many again; 0 while nothing is known.
int64_t growth_load_ahead(const struct growth_load *load, int64_t piece);

#endif
