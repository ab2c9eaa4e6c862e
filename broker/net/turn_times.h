// SPDX-License-Identifier: Apache-2.0
// How long the turns of a loop take, in processor time of its thread, and how much work they do.
//
// Most turns are short, and reading a clock in each would cost too much. So a turn is timed only if the kernel's coarse clock
// ticked in it (every 1 to 10 ms). Every turn longer than a tick is timed. The clock of processor time is expensive. It is read
// about once a millisecond, so a time may be too large by that much.
//
// The loop's thread begins and ends turns. Any thread may ask.
#ifndef POOLMARK_BROKER_NET_TURN_TIMES_H
#define POOLMARK_BROKER_NET_TURN_TIMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TURN_LONG_MS = 10 };

struct turn_times {
    int64_t began_ns;            // this turn, by the coarse clock
    int64_t cpu_ns, cpu_read_ns; // processor time, and when it was read, by the coarse clock
    uint32_t work_since;         // of turns since then
    _Atomic int64_t longest_ns, most_work;
};

void turn_times_begin(struct turn_times *times, int64_t coarse_ns);
bool turn_times_end(struct turn_times *times, uint32_t work); // true: it was longer than TURN_LONG_MS

int64_t turn_times_longest_ns(const struct turn_times *times);
int64_t turn_times_most_work(const struct turn_times *times);

#endif
