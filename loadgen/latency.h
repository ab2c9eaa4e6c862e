// SPDX-License-Identifier: Apache-2.0
// Latency samples on their way from many worker processes to the parent, which records them.
//
// A worker collects samples in a private batch. When the batch is full or old, the worker empties it into a
// stripe: one of a few sets of histograms in shared memory. Workers share stripes, so that a thousand workers
// need no thousand sets. A stripe's lock is a process-shared robust mutex. When a worker is killed while it
// holds the lock, the next one goes on, and at most that worker's last batch is lost. The parent moves the
// samples of the stripes into interval histograms.
//
// An act that has not ended when the run gives it up is a sample too (censored). Its latency is at least its
// age, so the histogram gets the age, and the sample is counted as censored. No percentile improves because
// of a message that never came.
//
// Corrected latencies count from the intended time. Uncorrected ones are those of a closed loop: a client
// with one connect or message under way, which begins the next when it is due and the one before has ended. A
// closed loop records a standstill of the target only once, in the act that was under way. The difference of
// the two shows how much the target stood still.
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
    LATENCY_ACK_UNCORRECTED,      // from the PUBLISH, if the pair's message before was acknowledged by then
    LATENCY_DELIVERY,             // from the intended time to the subscriber
    LATENCY_DELIVERY_UNCORRECTED, // from the PUBLISH, if the pair's message before had arrived by then
    LATENCY_ARRIVAL,              // from the intended time, or the loss, to CONNACK
    LATENCY_ARRIVAL_UNCORRECTED,  // from the last call to CONNACK
    LATENCY_DELIVERY_BEFORE, // scenario slow: as LATENCY_DELIVERY, of messages due before readers were slow,
    LATENCY_DELIVERY_AFTER,  // and after that; both, and LATENCY_DELIVERY, at those that read
    LATENCY_DELIVERY_SLOW,   // at slow readers, whenever due
    LATENCY_RECOVERY,        // from reading again to the arrival of a message that was due after that
    LATENCY_SUBSCRIBE,       // from the intended time of a SUBSCRIBE to SUBACK (FLEET_SUBSCRIBE)
    LATENCY_UNSUBSCRIBE,     // from the intended time of an UNSUBSCRIBE to UNSUBACK
    LATENCY_REPLAY, // from the intended time of a SUBSCRIBE to the last retained message that it matches
    LATENCY_LAG,    // from the intended time to the act: how late the generator was
    LATENCY_COUNT,
};

const char *latency_name(enum latency_kind kind); // "connect", "ack_uncorrected": tag and metric prefix

struct latency_shared; // in memory that parent and workers share

// Maps the stripes. Call it before the workers are forked. -errno with the text on failure.
int latency_shared_open(struct latency_shared **shared, int stripes, struct err *err)
    __attribute__((warn_unused_result));
void latency_shared_close(struct latency_shared *shared);

enum { LATENCY_BATCH = 256 };

struct latency_batch { // a worker's own; zeroed, then `shared` and `stripe` set
    struct latency_shared *shared;
    int stripe;
    int count;
    int64_t oldest_ns; // when the first sample of the batch came in
    // Messages that arrive together have latencies of one histogram step: such a run takes one entry of
    // `samples`. For each kind: the number of its last run, plus 1; 0: none.
    int last[LATENCY_COUNT];
    struct {
        int64_t min_ns, max_ns;
        int32_t count;
        int16_t kind;
        bool censored;
    } samples[LATENCY_BATCH];
};

void latency_add(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns, int64_t now_ns);
// Adds a sample that has not ended: `value_ns` is its age.
void latency_add_censored(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns,
                          int64_t now_ns);
void latency_flush(struct latency_batch *batch);
// Flushes a batch whose first sample is 100 ms old or more.
void latency_flush_old(struct latency_batch *batch, int64_t now_ns);

// Adds the samples of the stripes to into[kind], and their censored samples to the count censored[kind]
// (`censored` may be NULL). Empties the stripes. Only the parent calls it.
void latency_collect(struct latency_shared *shared, struct hist *into[LATENCY_COUNT],
                     int64_t censored[LATENCY_COUNT]);

#endif
