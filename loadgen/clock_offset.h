// SPDX-License-Identifier: Apache-2.0
// How far another host's monotonic clock is ahead of ours, and how well that is known. Monotonic clocks count from the
// start of their host, so the offset may be years; what counts is its bound.
//
// A message goes there and back (Cristian, "Probabilistic clock synchronization", 1989). We stamp when it leaves and comes
// back, the other stamps when it arrives and leaves again. The way takes no less than no time, so the other's clock is
// ahead by the offset, or by at most half of the time on the way more or less. Of many such rounds the one with the least
// time on the way is taken. Between two measurements the offset is on the line through both: clocks drift.
//
//     struct clock_offset offset = {.bound_ns = CLOCK_OFFSET_UNKNOWN};
//     for (...) clock_offset_add(&offset, left_ns, there_ns, back_ns, came_ns);
//     struct clock_line line = {0};
//     clock_line_add(&line, &offset);
//     theirs_ns = ours_ns + clock_line_at(&line, ours_ns);
#ifndef POOLMARK_LOADGEN_CLOCK_OFFSET_H
#define POOLMARK_LOADGEN_CLOCK_OFFSET_H

#include <stdint.h>

#define CLOCK_OFFSET_UNKNOWN INT64_MAX

struct clock_offset {
    int64_t at_ns;     // by our clock: the middle of the best round
    int64_t offset_ns; // their clock less ours
    int64_t bound_ns;  // the offset is that, give or take so much; CLOCK_OFFSET_UNKNOWN: no round yet
    int64_t rounds;
};

// One round: it left us, came there, left there and came back to us. Keeps it when its bound is less. Rounds whose times do
// not fit together are not counted.
void clock_offset_add(struct clock_offset *offset, int64_t left_ns, int64_t there_ns, int64_t back_ns,
                      int64_t came_ns);

struct clock_line {                          // measurements of one host in the order of time
    struct clock_offset first, before, last; // `before`: the one before the last
    int64_t worst_bound_ns;
    int count;
};

void clock_line_add(struct clock_line *line, const struct clock_offset *offset);

// Their clock less ours at that instant of ours: between the last two measurements, or beyond the last on the same line. 0
// without a measurement.
int64_t clock_line_at(const struct clock_line *line, int64_t at_ns);

// How much their clock gains, in parts of a thousand million, from the first measurement to the last; 0 of fewer than two.
// Its own bound: what both bounds make of it over that time.
double clock_line_drift_ppb(const struct clock_line *line);
double clock_line_drift_bound_ppb(const struct clock_line *line);

#endif
