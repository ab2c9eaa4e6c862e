// SPDX-License-Identifier: Apache-2.0
// Memory of the watched processes while clients connect, at some sixty counts of connections. The curve tells
// a target that had served before: what it kept serves the first connections again, so its memory is flat
// first and grows then. A slope over both parts would be too small.
//
// A reserve that a pool makes when the target starts gives the same curve. What tells them apart is CPU time:
// to serve connections takes more of it than to make their objects, so a target that has used too little
// before the run has not served so many.
//
// Few connections take so little memory that the curve cannot show a flat beginning among the noise of readings.
// Then CPU time alone has to tell: the number of connections that the target can have served, at most, must be
// below the point from which the slope counts. So a run takes that point late enough (curve_low), or has no
// figure. The target's table of descriptors bounds that number too: it grows with the most connections that the
// target ever had at once, and never shrinks.
//
// CPU time before the run is no proof of service: a target that makes a reserve when it starts uses it too. Where it is known
// otherwise that the target has served no more than so many at once (curve_bound), that counts.
#ifndef POOLMARK_LOADGEN_CURVE_H
#define POOLMARK_LOADGEN_CURVE_H

#include <stdbool.h>
#include <stdint.h>

enum { CURVE_POINTS = 128 };

struct curve_point {
    int64_t connections, rss_bytes, cpu_ns; // of all watched processes; -1: not read
};

struct curve {
    struct curve_point points[CURVE_POINTS]; // connections rise
    int count;
    int64_t connects_cpu_ns;   // of the time in which clients connected
    int64_t connects;          // made in it
    struct curve_point before; // the last reading, also if it became no point
    int64_t slots;             // of the target's tables of descriptors before the first connect; 0: not known
    bool bounded;              // it is known that before the run the target
    int64_t bound;             // had no more connections at once than these
};

// Reads the processes: statm and stat. -1 in both values when one of them cannot be read.
struct curve_point curve_read(const int64_t *pids, int count, int64_t connections);
// Adds a point. `going_on`: the clients connected since the point before it without a pause.
void curve_add(struct curve *curve, struct curve_point point, bool going_on);
// It is known that the target had no more connections at once before the run. The least of several bounds counts.
void curve_bound(struct curve *curve, int64_t connections);
// Whether a point is due at so many connections, of `all` in the end.
bool curve_wants(const struct curve *curve, int64_t connections, int64_t all);

// The number of connections that the memory which the target had before has served, where that is more than
// `low` by a tenth of the others: a slope from `low` on is too small then. Otherwise 0.
int64_t curve_kept(const struct curve *curve, int64_t low);

// The size of the tables of descriptors of all these processes; 0: not known.
int64_t curve_slots(const int64_t *pids, int count);

// The most connections that the target can have served at once before the run: by its CPU time, if one took four
// fifths of what one takes in the run, by its descriptors, and by curve_bound. 0: there are no points.
int64_t curve_served_most(const struct curve *curve);

// Where the slope should begin, at `low` or later: past the connections that memory from before can have served,
// and before half of `all`. `low` when that cannot be done.
int64_t curve_low(const struct curve *curve, int64_t low, int64_t all);

// Whether a slope from `low` on is of a fresh target, or of one that has used up what it kept: the target can have
// served too few, or the curve has grown enough after `low` that curve_kept would have found more.
bool curve_is_fresh(const struct curve *curve, int64_t low);

// The number of connections with which curve_low would find a place.
int64_t curve_enough(const struct curve *curve);

#endif
