// SPDX-License-Identifier: Apache-2.0
// A run at one moment, with the second before it: what the views show (views.h). One thread.
//
//     struct moment moment = {.at_ns = started_ns};
//     moment_take(&moment, run, clock_now_ns());   // each second; rates and latencies are of the time between
#ifndef POOLMARK_LOADGEN_MOMENT_H
#define POOLMARK_LOADGEN_MOMENT_H

#include "loadgen/asked.h"
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
    struct moment_rate {
        bool under_way;     // an order of that kind, for a part of the time at least
        double asked_per_s; // acts that were due in the time; 0: none were, or it goes as fast as it can
        double had_per_s;   // messages: sent
    } rates[ASKED_KINDS];
    double deliveries_per_s;  // arrived; a message with several subscribers arrives several times
    int64_t target_rss_bytes; // resident; -1: not known
    struct tally tally;       // of the clients; its messages include those of the probes
    struct moment_latency latency[LATENCY_COUNT];
};

// What the views know of a kind of acts.
struct moment_kind {
    const char *name;          // "connects"
    enum latency_kind latency; // of its acts
    enum tally_count due;      // by the schedule; connects: begun
    enum tally_count had;      // what had_per_s is of
};
extern const struct moment_kind moment_kinds[ASKED_KINDS];

// `moment` holds the moment before; at first only its at_ns counts. Reads run->second and empties it.
void moment_take(struct moment *moment, struct run *run, int64_t now_ns);

// Sets the counts of clients, arrivals, messages and subscriptions so far, and what went wrong with messages; the same keys in each
// object of --json.
void moment_set_counts(json_t *json, const struct tally *tally);

// {"timeout": 3, ...}: reasons with a count that is not zero. A new reference.
json_t *moment_reasons(const int64_t counts[REASON_COUNT]);

#endif
