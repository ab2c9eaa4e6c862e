// SPDX-License-Identifier: Apache-2.0
// Theil-Sen: the median of the slopes between all pairs of bins (Theil 1950, Sen 1968). A few wild readings do
// not move it. Its interval is Sen's by ranks, with Kendall's variance. Readings of memory depend on those
// before, which makes that variance too small: it is multiplied by (1 + r) / (1 - r), r the correlation of
// neighbouring residuals (Yue and Wang 2004), corrected for its bias under a fitted line (Kendall 1954). No
// interval is narrower than what two readings of a level target may differ by.
//
// The end: of 1 to a sixth of all bins, its median is compared with those of all windows of as many bins before
// it, what the slope leaves of them. It is beyond them where it exceeds the highest by half of what highest and
// lowest differ by, and nine of ten bins before. Windows of one length have the same bursts and saw teeth in
// them; design.md has the rates of false alarms.
#include "loadgen/trend.h"

#include "base/median.h"
#include "base/units.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = TREND_BINS_MAX * (TREND_BINS_MAX - 1) / 2 };
static const double NS_PER_H = 3.6e12, NORMAL_95 = 1.959963984540054;
static const double CORRELATION_MAX = 0.98, LEVEL_SHARE_PER_H = 0.02;
enum { END_PART = 6 };      // the end is at most this part of the bins
enum { OUTSIDE_PART = 10 }; // so many of all bins before may be further out than the end
static const double BEYOND_SHARE = 0.5;
static const int64_t SLACK_BYTES =
    65536; // of two readings of a level target, or a thousandth (run_level_slack)

struct bins {
    int count;
    double hours[TREND_BINS_MAX], bytes[TREND_BINS_MAX]; // medians; hours from the first reading on
};

// Bins of equal numbers of readings. False: out of memory.
static bool fill(struct bins *bins, const struct trend_point *points, size_t count)
{
    double *values = malloc(count * sizeof *values);
    if (!values)
        return false;
    for (int i = 0; i < bins->count; i++) {
        size_t from = count * (size_t)i / (size_t)bins->count,
               to = count * (size_t)(i + 1) / (size_t)bins->count;
        for (size_t at = from; at < to; at++)
            values[at - from] = (double)(points[at].at_ns - points[0].at_ns) / NS_PER_H;
        bins->hours[i] = median_of(values, to - from);
        for (size_t at = from; at < to; at++)
            values[at - from] = (double)points[at].bytes;
        bins->bytes[i] = median_of(values, to - from);
    }
    free(values);
    return true;
}

static double correlation_of(const struct bins *bins, double level, double slope)
{
    double rest[TREND_BINS_MAX], mean = 0, all = 0, neighbours = 0;
    int n = bins->count;
    for (int i = 0; i < n; i++) {
        rest[i] = bins->bytes[i] - level - slope * bins->hours[i]; // of level memory exactly 0
        mean += rest[i] / n;
    }
    for (int i = 0; i < n; i++) {
        all += (rest[i] - mean) * (rest[i] - mean);
        if (i > 0)
            neighbours += (rest[i] - mean) * (rest[i - 1] - mean);
    }
    double found = all > 0 ? (n * (neighbours / all) + 2) / (n - 4) : 0;
    return found < 0 ? 0 : found > CORRELATION_MAX ? CORRELATION_MAX : found;
}

// The ranks among the sorted slopes that bound the interval: at most all of them.
static void ranks(int n, double correlation, int pairs, int *low, int *high)
{
    double variance = (double)n * (n - 1) * (2 * n + 5) / 18 * (1 + correlation) / (1 - correlation);
    double reach = NORMAL_95 * sqrt(variance);
    *low = (int)floor((pairs - reach) / 2) - 1;
    *high = (int)ceil((pairs + reach) / 2);
    if (*low < 0 || *high >= pairs) {
        *low = 0;
        *high = pairs - 1;
    }
}

static void find_slope(struct trend *trend, const struct bins *bins)
{
    double slopes[PAIRS_MAX], sorted[TREND_BINS_MAX];
    int pairs = 0, low, high;
    for (int i = 0; i < bins->count; i++)
        for (int j = i + 1; j < bins->count; j++)
            if (bins->hours[j] > bins->hours[i])
                slopes[pairs++] = (bins->bytes[j] - bins->bytes[i]) / (bins->hours[j] - bins->hours[i]);
    if (pairs == 0)
        return;
    for (int i = 0; i < bins->count; i++)
        sorted[i] = bins->bytes[i];
    trend->level_bytes = median_of(sorted, (size_t)bins->count);
    trend->hours = bins->hours[bins->count - 1] - bins->hours[0];
    trend->slope = median_of(slopes, (size_t)pairs); // sorts them
    trend->correlation = correlation_of(bins, trend->level_bytes, trend->slope);
    ranks(bins->count, trend->correlation, pairs, &low, &high);
    int64_t level = (int64_t)trend->level_bytes;
    double least = (double)(level / 1000 > SLACK_BYTES ? level / 1000 : SLACK_BYTES) / trend->hours;
    trend->low = fmin(slopes[low], trend->slope - least);
    trend->high = fmax(slopes[high], trend->slope + least);
}

// A growth an hour, or a step at the end, that is no level memory any more.
static double matters(const struct trend *trend)
{
    return fmax(trend->level_bytes * LEVEL_SHARE_PER_H, 2.0 * (double)SLACK_BYTES);
}

static double median_of_copy(const double *values, int count)
{
    double sorted[TREND_BINS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof *values);
    return median_of(sorted, (size_t)count);
}

// How far the last `length` bins are beyond all before; 0: they are not.
static double beyond(const double *rest, int count, int length, double least)
{
    double highest = -INFINITY, lowest = INFINITY, sorted[TREND_BINS_MAX];
    int before = count - length, outside = before / OUTSIDE_PART;
    memcpy(sorted, rest, (size_t)before * sizeof *rest);
    double middle = median_of(sorted, (size_t)before); // sorts them
    for (int at = 0; at + length <= count - length; at++) {
        double one = median_of_copy(rest + at, length);
        highest = fmax(highest, one);
        lowest = fmin(lowest, one);
    }
    double last = median_of_copy(rest + count - length, length), margin = BEYOND_SHARE * (highest - lowest);
    bool is_above = last > fmax(highest + margin, sorted[before - 1 - outside]);
    bool is_below = last < fmin(lowest - margin, sorted[outside]);
    return (is_above || is_below) && fabs(last - middle) > least ? last - middle : 0;
}

static void find_end(struct trend *trend, const struct bins *bins)
{
    double rest[TREND_BINS_MAX];
    for (int i = 0; i < bins->count; i++)
        rest[i] = bins->bytes[i] - trend->slope * bins->hours[i];
    for (int length = 1; length <= bins->count / END_PART; length++) {
        double shift = beyond(rest, bins->count, length, matters(trend));
        if (shift != 0 && fabs(shift) >= fabs(trend->end_bytes)) {
            trend->end_bytes = shift;
            trend->end_hours = trend->hours / (bins->count - 1) * length;
        }
    }
}

static enum trend_verdict verdict_of(const struct trend *trend)
{
    if (isnan(trend->low) || isnan(trend->high))
        return TREND_TOO_SHORT;
    if (trend->low > 0)
        return trend->end_bytes < 0 ? TREND_LOWER : TREND_GROWING;
    if (trend->high < 0)
        return trend->end_bytes > 0 ? TREND_HIGHER : TREND_FALLING;
    if (trend->low < -matters(trend) || trend->high > matters(trend))
        return TREND_TOO_SHORT;
    return trend->end_bytes > 0 ? TREND_HIGHER : trend->end_bytes < 0 ? TREND_LOWER : TREND_LEVEL;
}

void trend_judge(struct trend *trend, const struct trend_point *points, size_t count)
{
    *trend = (struct trend){.slope = NAN, .low = NAN, .high = NAN, .level_bytes = NAN};
    size_t skipped = 0;
    while (skipped < count &&
           points[skipped].at_ns < points[0].at_ns + (points[count - 1].at_ns - points[0].at_ns) / 10)
        skipped++;
    points += skipped;
    count -= skipped;
    trend->readings = (int64_t)count;
    struct bins bins = {.count = count < TREND_BINS_MAX ? (int)count : TREND_BINS_MAX};
    trend->bins = bins.count;
    if (bins.count >= TREND_BINS_MIN && fill(&bins, points, count))
        find_slope(trend, &bins);
    if (!isnan(trend->slope))
        find_end(trend, &bins);
    trend->verdict = verdict_of(trend);
}

const char *trend_verdict_name(enum trend_verdict verdict)
{
    static const char *const names[] = {[TREND_TOO_SHORT] = "too short to tell",
                                        [TREND_LEVEL] = "level",
                                        [TREND_GROWING] = "growing",
                                        [TREND_FALLING] = "falling",
                                        [TREND_HIGHER] = "higher at the end",
                                        [TREND_LOWER] = "lower at the end"};
    return names[verdict];
}

// Signed, unlike units_format_bytes.
static const char *signed_bytes(double bytes, char text[static 40])
{
    char size[32];
    snprintf(text, 40, "%s%s", bytes < 0 ? "-" : "",
             units_format_bytes((int64_t)fabs(bytes), size, sizeof size));
    return text;
}

const char *trend_text(const struct trend *trend, char *text, size_t size)
{
    char slope[40], low[40], high[40];
    if (isnan(trend->slope)) {
        snprintf(text, size, "%lld reading%s after the first tenth, it takes %d", (long long)trend->readings,
                 trend->readings == 1 ? "" : "s", TREND_BINS_MIN);
    } else {
        double percent = trend->level_bytes > 0 ? 100 * trend->slope / trend->level_bytes : 0;
        bool moves = trend->verdict == TREND_GROWING || trend->verdict == TREND_FALLING;
        int used =
            snprintf(text, size, "%s%s an hour (%s to %s with 95 %% confidence; %.3g %% an hour of %.3g MiB)",
                     moves ? "by " : "",
                     signed_bytes(trend->verdict == TREND_FALLING ? -trend->slope : trend->slope, slope),
                     signed_bytes(trend->low, low), signed_bytes(trend->high, high), percent,
                     trend->level_bytes / (1 << 20));
        if (trend->end_bytes != 0 && used > 0 && (size_t)used < size)
            snprintf(text + used, size - (size_t)used,
                     "; the last %.3g min are %s %s the middle of all before", 60 * trend->end_hours,
                     signed_bytes(fabs(trend->end_bytes), slope), trend->end_bytes > 0 ? "above" : "below");
    }
    return text;
}

int trend_exceeds(const struct trend *trend, double percent)
{
    double bound = trend->level_bytes * percent / 100;
    if (isnan(trend->low) || isnan(trend->high))
        return -1;
    return trend->low > bound ? 1 : trend->high <= bound && trend->end_bytes <= 0 ? 0 : -1;
}
