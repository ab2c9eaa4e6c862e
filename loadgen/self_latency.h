// SPDX-License-Identifier: Apache-2.0
// The latency that the generator itself adds. One pair publishes through a peer that answers at once
// (responder.h), at 1000 messages a second for two seconds, with the worker code and the engine of the run
// that follows. The result includes the engine, the loopback twice and the peer's own work, so it is an upper
// bound.
#ifndef POOLMARK_LOADGEN_SELF_LATENCY_H
#define POOLMARK_LOADGEN_SELF_LATENCY_H

#include "base/err.h"
#include "loadgen/engine.h"

#include <stdint.h>

struct self_latency {
    int64_t p50_ns, p99_ns, max_ns;
    int64_t messages; // measured messages; 0: none arrived
};

// Forks its own processes and leaves none running. Call it before the process has threads.
int self_latency_measure(struct self_latency *latency, const struct engine *engine, struct err *err)
    __attribute__((warn_unused_result));

#endif
