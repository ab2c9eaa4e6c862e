// SPDX-License-Identifier: Apache-2.0
// The schedule of what a scenario paces: its options (one owner of them), their check, their part of the record, and what they are in
// an order. Also the rate that a schedule asks for, beside which the rate that was had is judged. One thread.
//
//     OPTIONS_PACE(AT(pace)),
//     pace_check(&own->pace, "publish-rate", own->rate_per_s, &(struct pace_length){.ns = own->duration_ns}, err);
//     order.shape = pace_shape(&own->pace, config->seed, round);
#ifndef POOLMARK_LOADGEN_SCENARIOS_PACE_H
#define POOLMARK_LOADGEN_SCENARIOS_PACE_H

#include "base/err.h"
#include "base/opts.h"
#include "loadgen/fleet.h"
#include "loadgen/schedule.h"

#include <jansson.h>

struct pace {
    const char *name;  // of schedule_names
    double from_per_s; // after pace_check as it will be, as the following
    int64_t over_ns, steps;
};

#define PACE_STEPS_MAX 1000
// Four rows, for a struct pace.
#define OPTIONS_PACE(at)                                                                                     \
    {"schedule",                                                                                             \
     "NAME",                                                                                                 \
     OPT_CHOICE,                                                                                             \
     (at) + offsetof(struct pace, name),                                                                     \
     "constant",                                                                                             \
     0,                                                                                                      \
     0,                                                                                                      \
     schedule_names,                                                                                         \
     "how the scenario's rate goes over time: constant (equal intervals), poisson (random ones, by "         \
     "--seed), "                                                                                             \
     "ramp (from --schedule-from in a line to the rate), stairs (by equal steps)",                           \
     NULL},                                                                                                  \
        {"schedule-from",                                                                                    \
         "N/s",                                                                                              \
         OPT_RATE,                                                                                           \
         (at) + offsetof(struct pace, from_per_s),                                                           \
         "0",                                                                                                \
         0,                                                                                                  \
         1e9,                                                                                                \
         NULL,                                                                                               \
         "of ramp and stairs: the rate at first; 0: a ramp begins at 0, stairs at one step of the rate",     \
         NULL},                                                                                              \
        {"schedule-over",                                                                                    \
         "D",                                                                                                \
         OPT_DURATION,                                                                                       \
         (at) + offsetof(struct pace, over_ns),                                                              \
         "0",                                                                                                \
         0,                                                                                                  \
         1e18,                                                                                               \
         NULL,                                                                                               \
         "of ramp and stairs: how long until the whole rate is reached (ramp), or its step is over "         \
         "(stairs); it stays; 0: until all is done",                                                         \
         NULL},                                                                                              \
    {                                                                                                        \
        "schedule-steps", "N", OPT_COUNT, (at) + offsetof(struct pace, steps), "0", 0, PACE_STEPS_MAX, NULL, \
            "of stairs: how many, each as long; 0: 10", NULL                                                 \
    }

// How long that goes which is paced: so long, or so many acts. Both 0: not known here, then --schedule-over says it.
struct pace_length {
    int64_t ns, acts;
};

// Do the options fit together, and with the rate, which option `rate` has? Sets what was left open. -EINVAL with the text in `err`.
int pace_check(struct pace *pace, const char *rate, double rate_per_s, const struct pace_length *length,
               struct err *err) __attribute__((warn_unused_result));
void pace_describe(json_t *json, const struct pace *pace); // schedule, and its parameters

// Of the round-th order that begins the schedule anew, from 0: each has other random intervals.
struct schedule_shape pace_shape(const struct pace *pace, int64_t seed, int64_t round);

// From the first to the last intended time of so many acts of the order; 0 without a rate. Needs no at_ns.
int64_t pace_span_ns(const struct fleet_order *order, int64_t acts);

// The rate that the schedule of an order asks for from one time to another: its mean. A Poisson process asks for what was due,
// which is known when it is over: `due` acts. 0: there is no rate.
double pace_asked_per_s(const struct fleet_order *order, int64_t from_ns, int64_t to_ns, int64_t due);

#endif
