// SPDX-License-Identifier: Apache-2.0
// The catalogue of metrics: those that a program may put into "metrics" of its record. Each program has one
// table, beside the code that records. `record_use` passes it to the record, and a metric that is not in it
// makes record_close fail. Tables, documents, the checks of suites and comparisons read it by `--describe`.
//
//     const struct metric catalogue[] = {
//         {"pool.expansions", "1", "none", METRIC_SECONDARY, "expansions of all pools"},
//         METRIC_LATENCY("ack", METRIC_PRIMARY, "intended publish time to PUBACK or PUBCOMP"),
//         {0},
//     };
//
// A name has words between dots. N stands for a number, another word in capitals for any word
// (`step.N.POOL.owned`).
#ifndef POOLMARK_BASE_METRIC_H
#define POOLMARK_BASE_METRIC_H

#include <jansson.h>
#include <stdbool.h>

// Traits: METRIC_SECONDARY or METRIC_PRIMARY, with any of the others.
enum {
    METRIC_SECONDARY = 0, // shown, and judged on request
    METRIC_PRIMARY = 1,   // decides a comparison, unless the suite names others
    // A difference or a slope, which may be below 0. No other metric is: a record with another is refused.
    METRIC_SIGNED = 2,
    METRIC_FAULT = 4, // a count of what went wrong: 0 in a run in which nothing did
    METRIC_IF_ANY =
        8,            // of a fault: only there when there were any; metric_json() adds this to the definition
    METRIC_TAIL = 16, // decided by the few worst: it varies more from run to run
};

struct metric {
    const char *name;   // NULL ends a table
    const char *unit;   // "ns", "s", "B", "1", "1/s", "%"
    const char *better; // "lower", "higher"; "none" when neither is good by itself
    unsigned traits;
    const char *definition;
};

// Rows of a latency of acts that have ended. Only p99 may be primary, since all of them come from the same samples.
#define METRIC_LATENCY_ENDED(prefix, rank, definition)                                                       \
    {prefix ".p50", "ns", "lower", METRIC_SECONDARY, definition ": median"},                                 \
        {prefix ".p99", "ns", "lower", (rank) | METRIC_TAIL, definition ": 1 in 100 took longer"},           \
        {prefix ".p99_9", "ns", "lower", METRIC_TAIL, definition ": 1 in 1000 took longer"},                 \
        {prefix ".max", "ns", "lower", METRIC_TAIL, definition ": the longest"},                             \
        {prefix ".mean", "ns", "lower", METRIC_SECONDARY, definition ": mean"},                              \
    {                                                                                                        \
        prefix ".count", "1", "none", METRIC_SECONDARY, definition ": how many values these are of"          \
    }
// The same, with acts that have not ended among them.
#define METRIC_LATENCY(prefix, rank, definition)                                                             \
    METRIC_LATENCY_ENDED(prefix, rank, definition),                                                          \
    {                                                                                                        \
        prefix ".censored", "1", "none", METRIC_SECONDARY,                                                   \
            definition ": of these, how many had not ended and count with their age"                         \
    }

// The row that describes the metric `name`, or NULL.
const struct metric *metric_find(const struct metric *catalogue, const char *name);

// Whether the row is among those that `patterns` name: words between spaces, in which * stands for any text
// ("connect.* clients.failed").
bool metric_is_among(const struct metric *metric, const char *patterns);

// The same patterns as a list.
json_t *metric_patterns_json(const char *patterns);

// The whole table: [{"name", "unit", "better", "primary", "signed", "fault", "if_any", "tail", "definition"}].
json_t *metric_json(const struct metric *catalogue);

#endif
