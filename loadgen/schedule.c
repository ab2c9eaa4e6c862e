// SPDX-License-Identifier: Apache-2.0
#include "loadgen/schedule.h"

#include "base/clock.h"

int64_t schedule_at(const struct schedule *schedule, int64_t act)
{
    if (!(schedule->rate_per_s > 0))
        return schedule->start_ns;
    // Long double (64 bits of mantissa here) keeps every nanosecond, even over centuries.
    return schedule->start_ns + (int64_t)((long double)act * NS_PER_S / (long double)schedule->rate_per_s);
}

struct schedule_turn schedule_turn(const struct schedule *schedule, int64_t pairs, int64_t first,
                                   int64_t count, int64_t k)
{
    struct schedule_turn turn = {.pair = first + k % count, .message = k / count};
    turn.intended_ns = schedule_at(schedule, turn.message * pairs + turn.pair);
    return turn;
}
