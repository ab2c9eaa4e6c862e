// SPDX-License-Identifier: Apache-2.0
// The intended time of each act, on the monotonic clock. Open loop: the time depends only on the start, the
// rate and its shape, and the act's number, never on the outcome of earlier acts. So all workers and ranks compute
// the same times without communication.
//
// A shape is a rate over time. The intended time of act n is where the integral of the rate reaches n:
//     constant   the rate
//     ramp       from `from_per_s` in a line to the rate, which is reached after `over_ns` and stays
//     stairs     `steps` equal times of `over_ns` together, from `from_per_s` by equal steps to the rate, which stays
//     poisson    a Poisson process of the rate: independent exponential intervals, which follow from the seed
// A lead goes before a ramp and before stairs, at their first rate.
//
//     struct schedule schedule = {.start_ns = order.at_ns, .rate_per_s = 1000};
//     int64_t intended_ns = schedule_at(&schedule, 42);   // start + 42 ms
//
// One thread for each struct schedule. A Poisson process has no formula for act n: it is a sum of n intervals, and the
// struct keeps the last sum. So acts in rising order cost some 20 ns each, an earlier one the whole way again.
#ifndef POOLMARK_LOADGEN_SCHEDULE_H
#define POOLMARK_LOADGEN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_POISSON,
    SCHEDULE_RAMP,
    SCHEDULE_STAIRS,
    SCHEDULE_KINDS,
};
extern const char *const schedule_names[]; // "constant", ..., and NULL

struct schedule_shape {
    enum schedule_kind kind;
    double from_per_s; // RAMP: 0 and up; STAIRS: above 0
    int64_t over_ns;   // RAMP, STAIRS: above 0
    int64_t lead_ns;   // RAMP, STAIRS: at from_per_s, before `over_ns` begins
    int64_t steps;     // STAIRS: 2 and up
    uint64_t seed;     // POISSON
    int64_t first;     // acts that orders before have taken: act 0 is act `first` of the shape, at the start
};

struct schedule {
    int64_t start_ns;
    double rate_per_s; // of all acts together; 0: every act is due at the start, as fast as possible
    struct schedule_shape shape;
    // POISSON, its own: intervals summed up, and their sum, the time of the last of these acts since the start.
    int64_t summed;
    long double sum_s;
};

int64_t schedule_at(struct schedule *schedule, int64_t act);

// Pairs take turns: message m of pair p is act m x pairs + p. schedule_turn gives message k of a worker that
// has pairs first .. first + count - 1.
struct schedule_turn {
    int64_t pair, message, intended_ns;
};
struct schedule_turn schedule_turn(struct schedule *schedule, int64_t pairs, int64_t first, int64_t count,
                                   int64_t k);

// The mean of the rate over a time, which is not empty; of a Poisson process the rate of the process.
double schedule_mean_per_s(const struct schedule *schedule, int64_t from_ns, int64_t to_ns);

#endif
