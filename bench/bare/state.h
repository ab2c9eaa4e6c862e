// SPDX-License-Identifier: Apache-2.0
// What the bare client has. For bench/bare alone; one thread.
#ifndef POOLMARK_BENCH_BARE_STATE_H
#define POOLMARK_BENCH_BARE_STATE_H

#include "base/csv.h"
#include "base/hist.h"
#include "bench/bare/bare.h"
#include "bench/bare/stream.h"

struct bare_files {
    struct csv *csv;
    struct hist_log *log;
    void *memory;                  // of the histograms
    struct hist *delivery, *lag;   // with a rate: from when a message was due
    int64_t from_ns, from_wall_ns; // of the histograms: the end of the warm-up
};

struct bare {
    const struct bare_config *config;
    int64_t publishers, readers;
    struct bare_stream *publisher, *reader; // of pairs the two of one pair have one number
    struct bare_packet packet;
    uint8_t *buffer; // of a receive
    uint8_t *rest;   // for each reader the beginning of a packet
    size_t *rest_bytes;
    int epoll;
    bool no_pwait2; // epoll_pwait2 is refused here
    int64_t sent, received;
    int64_t start_ns, warm_ns, end_ns;                // of the schedule
    int64_t warmed_at_ns, warmed, ended_at_ns, ended; // when that was noticed, and what had been received
    struct bare_files files;
};

// Files in the folder `config->record`, or none: then all of these do nothing. The histograms are there in any case.
int bare_files_open(struct bare *bare, struct err *err) __attribute__((warn_unused_result));
int bare_files_close(struct bare *bare, struct err *err) __attribute__((warn_unused_result));
// A line of bare.csv: the counts now, with the CPU time of this process and of the target.
void bare_files_row(struct bare *bare, const char *phase, int64_t at_ns);

#endif
