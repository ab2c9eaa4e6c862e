// SPDX-License-Identifier: Apache-2.0
// The intended time of each act, on the monotonic clock. Open loop: the time depends only on the start, the
// rate and the act's number, never on the outcome of earlier acts. Pure functions; any thread may call.
//
//     struct schedule schedule = {.start_ns = order.at_ns, .rate_per_s = 1000};
//     int64_t intended_ns = schedule_at(&schedule, 42);   // start + 42 ms
#ifndef POOLMARK_LOADGEN_SCHEDULE_H
#define POOLMARK_LOADGEN_SCHEDULE_H

#include <stdint.h>

struct schedule {
    int64_t start_ns;
    double rate_per_s; // of all acts together; 0: every act is due at the start, as fast as possible
};

int64_t schedule_at(const struct schedule *schedule, int64_t act);

// Pairs take turns: message m of pair p is act m x pairs + p. schedule_turn gives message k of a worker that
// has pairs first .. first + count - 1.
struct schedule_turn {
    int64_t pair, message, intended_ns;
};
struct schedule_turn schedule_turn(const struct schedule *schedule, int64_t pairs, int64_t first,
                                   int64_t count, int64_t k);

#endif
