// SPDX-License-Identifier: Apache-2.0
// Memory of the watched processes while clients connect, at some sixty counts of connections. The curve tells
// a target that had served before: what it kept serves the first connections again, so its memory is flat
// first and grows then. A slope over both parts would be too small.
//
// A reserve that a pool makes when the target starts gives the same curve. What tells them apart is CPU time:
// to serve connections takes more of it than to make their objects, so a target that has used too little
// before the run has not served so many.
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
};

// Reads the processes: statm and stat. -1 in both values when one of them cannot be read.
struct curve_point curve_read(const int64_t *pids, int count, int64_t connections);
// Adds a point. `going_on`: the clients connected since the point before it without a pause.
void curve_add(struct curve *curve, struct curve_point point, bool going_on);
// Whether a point is due at so many connections, of `all` in the end.
bool curve_wants(const struct curve *curve, int64_t connections, int64_t all);

// The number of connections that the memory which the target had before has served, where that is more than
// `low` by a tenth of the others: a slope from `low` on is too small then. Otherwise 0.
int64_t curve_kept(const struct curve *curve, int64_t low);

#endif
