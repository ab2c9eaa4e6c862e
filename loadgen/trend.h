// SPDX-License-Identifier: Apache-2.0
// Does memory grow? The slope of readings over time with its confidence interval, and a verdict. The method is in
// docs/design.md ("A trend of memory"); scripts/python/poolmark/records/trend.py computes the same from memory.csv.
//
//     struct trend trend;
//     trend_judge(&trend, points, count);     // points in the order of time
//     trend_text(&trend, text, sizeof text);  // "growing by 12 MiB an hour (10 to 14 MiB; 34 % an hour)"
//
// The first tenth of the time is left out: pools and caches reach their size then. A slope of medians does not
// see what is in the last few per cent of the time alone, so the end is compared with all windows of its length
// before it. Pure functions; any thread.
#ifndef POOLMARK_LOADGEN_TREND_H
#define POOLMARK_LOADGEN_TREND_H

#include <stddef.h>
#include <stdint.h>

enum { TREND_BINS_MAX = 60, TREND_BINS_MIN = 20 };

struct trend_point {
    int64_t at_ns, bytes;
};

enum trend_verdict {
    TREND_TOO_SHORT, // the interval holds both a level and a growth that matters
    TREND_LEVEL,     // the whole interval is within 2 % (at least 128 KiB) an hour
    TREND_GROWING,   // the whole interval is above 0
    TREND_FALLING,   // the whole interval is below 0
    TREND_HIGHER, // it would be level or falling, and its end is above all before: a step, or a growth that began there
    TREND_LOWER, // it would be level or growing, and its end is below all before
};

struct trend {
    enum trend_verdict verdict;
    int64_t readings; // that were judged
    int bins;
    double hours;            // that they span
    double level_bytes;      // their median
    double slope, low, high; // bytes an hour, and the interval of 95 %; NaN: too few readings
    double correlation;      // of neighbouring bins, what the slope leaves; 0 to 0.98
    double
        end_bytes; // by how much the last end_hours are above (below: negative) the middle of all before, where that is beyond
    double
        end_hours; // what windows of that length had before, and more than 2 % (at least 128 KiB); else both 0
};

void trend_judge(struct trend *trend, const struct trend_point *points, size_t count);

const char *
trend_verdict_name(enum trend_verdict verdict); // "too short to tell", "level", "higher at the end"
// The figures behind the verdict, without its name: "by 12.0 MiB an hour (...)".
const char *trend_text(const struct trend *trend, char *text, size_t size);

// Is the growth above `percent` of the level an hour? 1: all of the interval is; 0: none of it is; -1: too short to
// tell, also where the end is above all before.
int trend_exceeds(const struct trend *trend, double percent);

#endif
