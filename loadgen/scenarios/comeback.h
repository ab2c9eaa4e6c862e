// SPDX-License-Identifier: Apache-2.0
// Clients that try again: the options (one owner of them), their check, their part of the record, and what they are in an order or
// in the configuration. One thread.
//
// Two ways: clients that an order lets come back (churn, burst, storm, soak, mix: arrivals.h), and clients that come back by themselves
// whenever a connect fails or the connection is lost (connect, publish, steps, subscribe, slow: comeback_keep, loadgen/worker_return.c).
#ifndef POOLMARK_LOADGEN_SCENARIOS_COMEBACK_H
#define POOLMARK_LOADGEN_SCENARIOS_COMEBACK_H

#include "base/err.h"
#include "base/opts.h"
#include "loadgen/backoff.h"
#include "loadgen/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct comeback {
    int64_t first_ns, most_ns, give_up_ns;
    double jitter;
};

// Four rows, for a struct comeback.
#define OPTIONS_BACKOFF(at)                                                                                  \
    {"backoff",                                                                                              \
     "D",                                                                                                    \
     OPT_DURATION,                                                                                           \
     (at) + offsetof(struct comeback, first_ns),                                                             \
     "0",                                                                                                    \
     0,                                                                                                      \
     1e18,                                                                                                   \
     NULL,                                                                                                   \
     "how long a client waits after a failed connect before it tries again; where clients do not leave by "  \
     "the "                                                                                                  \
     "scenario, one that loses its connection comes back too; 0: it does not try again",                     \
     NULL},                                                                                                  \
        {"backoff-max",                                                                                      \
         "D",                                                                                                \
         OPT_DURATION,                                                                                       \
         (at) + offsetof(struct comeback, most_ns),                                                          \
         "0",                                                                                                \
         0,                                                                                                  \
         1e18,                                                                                               \
         NULL,                                                                                               \
         "the wait doubles at each try, up to this (exponential back-off); 0: it stays the same",            \
         NULL},                                                                                              \
        {"jitter",                                                                                           \
         "N",                                                                                                \
         OPT_NUMBER,                                                                                         \
         (at) + offsetof(struct comeback, jitter),                                                           \
         "0",                                                                                                \
         0,                                                                                                  \
         1,                                                                                                  \
         NULL,                                                                                               \
         "the random share by which a wait is shortened: 0 none, 1 any",                                     \
         NULL},                                                                                              \
    {                                                                                                        \
        "give-up", "D", OPT_DURATION, (at) + offsetof(struct comeback, give_up_ns), "30s", 0, 1e18, NULL,    \
            "how long clients try again after the last one was due, or a client after its connect was "      \
            "begun or its connection lost",                                                                  \
            NULL                                                                                             \
    }

// Do the waits fit together? -EINVAL with the text.
int comeback_check(const struct comeback *comeback, struct err *err) __attribute__((warn_unused_result));
void comeback_describe(json_t *json, const struct comeback *comeback);

struct backoff comeback_backoff(const struct comeback *comeback);
// Clients that back off do so before their first try too: with a bound or with jitter.
bool comeback_waits_first(const struct comeback *comeback);

// Of a scenario whose clients come back by themselves: checks the options, and copies them to where workers find them.
int comeback_keep(struct config *config, const struct comeback *comeback, struct err *err)
    __attribute__((warn_unused_result));

#endif
