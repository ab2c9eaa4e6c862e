// SPDX-License-Identifier: Apache-2.0
// Does this processor run at its full speed now?
//
// On a virtual machine, and on any core that shares its execution units with another hardware thread, the
// same instructions take up to twice as long whenever the neighbour works: for some microseconds or for
// minutes, and nothing in the guest says so. What does not depend on memory, cache or the code that is
// measured shows it: a chain of additions, each of which waits for the one before, takes one cycle an
// addition and nothing else. A probe times such a chain, about a microsecond; it is at full speed when it
// takes no more than SPEED_TOLERANCE times the fastest.
//
// The fastest is the least that any probe of this process took, or what a caller says it is on this host:
// a process that lives in a slow spell alone would not know. Where a processor alone clocks higher by more
// than the tolerance than several together do, those are never at full speed by this.
//
// The speed is the processor's, so what is known of it is the process's. Threads: any, at any time.
#ifndef POOLMARK_BENCH_SPEED_H
#define POOLMARK_BENCH_SPEED_H

#include <stdbool.h>
#include <stdint.h>

// The clock's own 10 ns and a probe's 1 us leave some percent to chance; a neighbour costs 40 and more.
#define SPEED_TOLERANCE 1.10

// Nanoseconds an addition takes at full speed, so far as is known; 0 before the first probe.
double speed_step_ns(void);

// What was measured elsewhere on this host. A faster probe corrects it. 0 forgets all that is known.
void speed_set_step_ns(double step_ns);

// Probes for that long, so that the fastest is known.
void speed_learn(int64_t ns);

// One probe, about a microsecond: at full speed?
bool speed_is_full(void);

// How long somebody may wait for full speed in all; SPEED_PATIENCE_NS unless set, before anybody waits.
#define SPEED_PATIENCE_NS (INT64_C(200) * 1000 * 1000)
void speed_set_patience_ns(int64_t ns);

// Who waits, and how.
struct speed_wait {
    int64_t waited_ns;            // so far; never more than the patience
    bool stays;                   // on its processor; otherwise it looks for full speed on the others as well
    bool (*probe)(void *context); // NULL for speed_is_full
    void *context;
};

// Probes until several in a row are at full speed, but no longer than `most_ns`. Is it at full speed now?
// Learns what that is first, when nothing is known.
bool speed_await(struct speed_wait *wait, int64_t most_ns);

int speed_processors(void); // that the calling thread may run on

#endif
