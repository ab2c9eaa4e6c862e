// SPDX-License-Identifier: Apache-2.0
// What the generator itself adds to a latency: one pair publishes through a peer that answers at once
// (responder.h), at 1000 messages a second for two seconds, with the same workers and the same engine as the
// run that follows. What is measured is the engine, the loopback twice and the peer's own work, so it is an
// upper bound.
#ifndef POOLMARK_LOADGEN_SELF_LATENCY_H
#define POOLMARK_LOADGEN_SELF_LATENCY_H

#include "base/err.h"
#include "loadgen/engine.h"

#include <stdint.h>

struct self_latency {
    int64_t p50_ns, p99_ns, max_ns;
    int64_t messages; // measured; 0: nothing arrived
};

// Forks what it needs and leaves nothing running. Call it before the process has threads.
int self_latency_measure(struct self_latency *latency, const struct engine *engine, struct err *err)
    __attribute__((warn_unused_result));

#endif
