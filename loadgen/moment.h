// SPDX-License-Identifier: Apache-2.0
// A run at one moment, with the second before it: what the views show (views.h). One thread.
//
//     struct moment moment = {.at_ns = started_ns};
//     moment_take(&moment, run, clock_now_ns());   // each second; rates and latencies are of the time between
#ifndef POOLMARK_LOADGEN_MOMENT_H
#define POOLMARK_LOADGEN_MOMENT_H

#include "loadgen/latency.h"
#include "loadgen/tally.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct run;

struct moment_latency {
    int64_t count;                  // samples since the moment before
    int64_t p50_ns, p99_ns, max_ns; // of these; -1: too few (base/hist.h)
    int64_t total_count;            // of the whole run
    double total_ns;                // their sum
};

struct moment {
    const char *phase; // static
    int64_t at_ns;
    double elapsed_s;
    int64_t wanted; // connections
    int64_t top;    // of the last step; 0: the run has no steps
    bool connecting, publishing;
    double asked_per_s;                    // now, of the order under way; 0: as fast as it goes
    double connects_per_s, messages_per_s; // messages: sent
    double deliveries_per_s;  // arrived; a message with several subscribers arrives several times
    int64_t target_rss_bytes; // -1: not known
    struct tally tally;       // of the clients; its messages include those of the probes
    struct moment_latency latency[LATENCY_COUNT];
};

// `moment` holds the moment before; at first only its at_ns counts. Reads run->second and empties it.
void moment_take(struct moment *moment, struct run *run, int64_t now_ns);

// {"timeout": 3, ...}: reasons with a count that is not zero. A new reference.
json_t *moment_reasons(const int64_t counts[REASON_COUNT]);

#endif
