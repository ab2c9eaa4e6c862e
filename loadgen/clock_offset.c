// SPDX-License-Identifier: Apache-2.0
#include "loadgen/clock_offset.h"

void clock_offset_add(struct clock_offset *offset, int64_t left_ns, int64_t there_ns, int64_t back_ns,
                      int64_t came_ns)
{
    int64_t under_way_ns = came_ns - left_ns - (back_ns - there_ns);
    if (came_ns < left_ns || back_ns < there_ns || under_way_ns < 0)
        return;
    offset->rounds++;
    int64_t bound_ns = (under_way_ns + 1) / 2;
    if (bound_ns >= offset->bound_ns)
        return;
    offset->bound_ns = bound_ns;
    int64_t out_ns = there_ns - left_ns, in_ns = back_ns - came_ns;
    offset->offset_ns = out_ns / 2 + in_ns / 2 + (out_ns % 2 + in_ns % 2) / 2;
    offset->at_ns = left_ns + (came_ns - left_ns) / 2;
}

void clock_line_add(struct clock_line *line, const struct clock_offset *offset)
{
    if (line->count == 0)
        line->first = *offset;
    line->before = line->count == 0 ? *offset : line->last;
    line->last = *offset;
    if (offset->bound_ns > line->worst_bound_ns)
        line->worst_bound_ns = offset->bound_ns;
    line->count++;
}

int64_t clock_line_at(const struct clock_line *line, int64_t at_ns)
{
    const struct clock_offset *a = &line->before, *b = &line->last;
    if (line->count == 0)
        return 0;
    int64_t span_ns = b->at_ns - a->at_ns, moved_ns = b->offset_ns - a->offset_ns;
    // What is within the bounds is no drift.
    if (span_ns <= 0 || (moved_ns < 0 ? -moved_ns : moved_ns) <= a->bound_ns + b->bound_ns)
        return b->offset_ns;
    return b->offset_ns + (int64_t)((double)moved_ns / (double)span_ns * (double)(at_ns - b->at_ns));
}

double clock_line_drift_ppb(const struct clock_line *line)
{
    int64_t span_ns = line->last.at_ns - line->first.at_ns;
    if (line->count < 2 || span_ns <= 0)
        return 0;
    return (double)(line->last.offset_ns - line->first.offset_ns) * 1e9 / (double)span_ns;
}

double clock_line_drift_bound_ppb(const struct clock_line *line)
{
    int64_t span_ns = line->last.at_ns - line->first.at_ns;
    if (line->count < 2 || span_ns <= 0)
        return 0;
    return (double)(line->first.bound_ns + line->last.bound_ns) * 1e9 / (double)span_ns;
}
