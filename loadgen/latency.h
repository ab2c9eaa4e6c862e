// SPDX-License-Identifier: Apache-2.0
// Latency samples on their way from many worker processes to the one that records them.
//
// A worker collects samples in a private batch and empties it, when full or old, into one of a few sets of
// histograms in shared memory (a stripe; workers share them, so that a thousand workers need no thousand
// sets). A stripe's lock is a process-shared robust mutex: when a worker is killed while it holds it, the
// next one goes on, and at most that worker's last batch is lost. The parent moves what the stripes have
// gathered into interval histograms.
//
// What has not ended when a run gives it up is a sample too: its value is at least its age. It is put into
// the histogram with that (censored), and counted as such, so that no percentile is better for what never
// came.
//
// Corrected latencies count from the intended time. The uncorrected ones beside them are what a closed loop
// would have recorded, a client with one connect or one message under way at a time, which begins the next
// when it is due and the one before has ended: the figure that hides a standstill but for the one that was
// under way. How much a target stood still is the difference of the two.
#ifndef POOLMARK_LOADGEN_LATENCY_H
#define POOLMARK_LOADGEN_LATENCY_H

#include "base/err.h"
#include "base/hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum latency_kind {
    LATENCY_CONNECT,              // from the intended time to CONNACK
    LATENCY_CONNECT_UNCORRECTED,  // from the call to CONNACK
    LATENCY_ACK,                  // from the intended time to PUBACK or PUBCOMP
    LATENCY_ACK_UNCORRECTED,      // from the PUBLISH, if the pair's message before had been acknowledged
    LATENCY_DELIVERY,             // from the intended time to the subscriber
    LATENCY_DELIVERY_UNCORRECTED, // from the PUBLISH, if the pair's message before had arrived
    LATENCY_LAG,                  // from the intended time to the act: how late the generator was
    LATENCY_COUNT,
};

const char *latency_name(enum latency_kind kind); // "connect", "ack_uncorrected": tag and metric prefix

struct latency_shared; // in memory that parent and workers share

// Maps the stripes; before the workers are forked. -ENOMEM.
int latency_shared_open(struct latency_shared **shared, int stripes, struct err *err)
    __attribute__((warn_unused_result));
void latency_shared_close(struct latency_shared *shared);

enum { LATENCY_BATCH = 256 };

struct latency_batch { // a worker's own; zeroed, then `shared` and `stripe` set
    struct latency_shared *shared;
    int stripe;
    int count;
    int64_t oldest_ns; // when the first sample of the batch came in
    // Messages that arrive together have latencies that the histogram does not tell apart: a run of these is
    // one sample. The last run of each kind, its number + 1; 0: none.
    int last[LATENCY_COUNT];
    struct {
        int64_t min_ns, max_ns;
        int32_t count;
        int16_t kind;
        bool censored;
    } samples[LATENCY_BATCH];
};

void latency_add(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns, int64_t now_ns);
// Of what has not ended: `value_ns` is its age.
void latency_add_censored(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns,
                          int64_t now_ns);
void latency_flush(struct latency_batch *batch);
// Flushes what has been waiting for 100 ms or more.
void latency_flush_old(struct latency_batch *batch, int64_t now_ns);

// Adds what the stripes hold to into[kind], and to censored[kind] (may be NULL) how many of these had not
// ended; empties the stripes. The parent's.
void latency_collect(struct latency_shared *shared, struct hist *into[LATENCY_COUNT],
                     int64_t censored[LATENCY_COUNT]);

#endif
