// SPDX-License-Identifier: Apache-2.0
#include "loadgen/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 4 };

static int make_room(struct stream *stream)
{
    if (stream->gap_count < stream->gap_capacity)
        return 0;
    uint32_t capacity = stream->gap_capacity ? stream->gap_capacity * 2 : CAPACITY_FIRST;
    struct stream_gap *gaps = realloc(stream->gaps, capacity * sizeof *gaps);
    if (!gaps)
        return -ENOMEM;
    stream->gaps = gaps;
    stream->gap_capacity = capacity;
    return 0;
}

// The number of the gap that has the sequence, or gap_count.
static uint32_t find(const struct stream *stream, uint64_t sequence)
{
    uint32_t low = 0, high = stream->gap_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (stream->gaps[middle].to <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < stream->gap_count && stream->gaps[low].from <= sequence ? low : stream->gap_count;
}

static int take_late(struct stream *stream, uint64_t sequence)
{
    uint32_t number = find(stream, sequence);
    if (number == stream->gap_count)
        return 0;
    struct stream_gap *gap = &stream->gaps[number];
    size_t after = (stream->gap_count - number - 1) * sizeof *gap;
    if (gap->to - gap->from == 1) {
        memmove(gap, gap + 1, after);
        stream->gap_count--;
    } else if (gap->from == sequence) {
        gap->from++;
    } else if (gap->to - 1 == sequence) {
        gap->to--;
    } else {
        if (make_room(stream) < 0)
            return -ENOMEM;
        gap = &stream->gaps[number];
        memmove(gap + 2, gap + 1, after);
        gap[1] = (struct stream_gap){.from = sequence + 1, .to = gap->to, .before_ns = gap->before_ns};
        gap->to = sequence;
        stream->gap_count++;
    }
    return 1;
}

int stream_take(struct stream *stream, uint64_t sequence, int64_t sent_ns)
{
    if (sequence < stream->next)
        return take_late(stream, sequence);
    if (sequence > stream->next) {
        if (make_room(stream) < 0)
            return -ENOMEM;
        stream->gaps[stream->gap_count++] =
            (struct stream_gap){.from = stream->next, .to = sequence, .before_ns = sent_ns};
    }
    stream->next = sequence + 1;
    return 1;
}

uint64_t stream_missing(const struct stream *stream, uint64_t sent)
{
    uint64_t missing = sent > stream->next ? sent - stream->next : 0;
    for (uint32_t i = 0; i < stream->gap_count; i++)
        missing += stream->gaps[i].to - stream->gaps[i].from;
    return missing;
}

void stream_free(struct stream *stream)
{
    free(stream->gaps);
    *stream = (struct stream){0};
}
