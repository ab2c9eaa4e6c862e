// SPDX-License-Identifier: Apache-2.0
// The messages of one publisher at one subscriber: which sequences have arrived, which are missing, which came
// twice. Sequences count from 0 and mostly arrive in order [MQTT-4.6.0-5], so a stream is the next sequence and
// a list of gaps. One thread. Memory: 32 bytes, and 24 for each gap.
//
//     struct stream stream = {0};
//     stream_take(&stream, 0, sent_ns);   // 1: the first time
//     stream_take(&stream, 3, sent_ns);   // 1; 1 and 2 are missing now
//     stream_take(&stream, 1, sent_ns);   // 1: late
//     stream_take(&stream, 1, sent_ns);   // 0: a second time
//     stream_missing(&stream, 5)          // 2 of the 5 that were sent: 2 and 4
#ifndef POOLMARK_LOADGEN_STREAM_H
#define POOLMARK_LOADGEN_STREAM_H

#include <stdint.h>

struct stream_gap {
    uint64_t from, to; // sequences from .. to - 1 have not arrived
    int64_t before_ns; // sent_ns of the message that overtook them: they were sent before that
};

struct stream {
    uint64_t next;           // the sequence after the highest that has arrived
    int64_t last_arrived_ns; // the caller's
    struct stream_gap *gaps; // rising
    uint32_t gap_count, gap_capacity;
};

// Takes a message that arrived. 1: the first time, 0: it has arrived before, -ENOMEM: nothing was changed.
int stream_take(struct stream *stream, uint64_t sequence, int64_t sent_ns)
    __attribute__((warn_unused_result));

// How many of the first `sent` messages have not arrived. `sent` is at least `next`.
uint64_t stream_missing(const struct stream *stream, uint64_t sent);

void stream_free(struct stream *stream);

#endif
