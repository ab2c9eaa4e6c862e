// SPDX-License-Identifier: Apache-2.0
// Does this processor run at its full speed now?
//
// On a virtual machine, and on a core that shares its execution units with another hardware thread, the same
// instructions take up to twice as long while the neighbour works. That lasts some microseconds or minutes,
// and the guest is not told. A probe detects it: a chain of additions, each of which waits for the one
// before, takes one cycle an addition, whatever memory, cache or the measured code do. A probe takes about a
// microsecond. It is at full speed when it takes at most SPEED_TOLERANCE times the fastest.
//
// The fastest is the shortest probe of this process, or a value that the caller knows for this host, since a
// process that only lives in a slow spell would not notice it. Where one processor alone clocks higher than
// several together, by more than the tolerance, several together are never at full speed by this measure.
//
// The speed belongs to the processor, so the known speed is global to the process. Threads: any, at any time.
#ifndef POOLMARK_BENCH_SPEED_H
#define POOLMARK_BENCH_SPEED_H

#include <stdbool.h>
#include <stdint.h>

// The clock's 10 ns in a probe of 1 us leave some percent to chance; a neighbour costs 40 percent and more.
#define SPEED_TOLERANCE 1.10

// Nanoseconds that an addition takes at full speed, as far as known; 0 before the first probe.
double speed_step_ns(void);

// Sets a value measured elsewhere on this host. A faster probe corrects it. 0 forgets all.
void speed_set_step_ns(double step_ns);

// Probes for `ns`, so that the fastest is known.
void speed_learn(int64_t ns);

// One probe, about a microsecond: at full speed?
bool speed_is_full(void);

// Total time that one waiter may wait for full speed; SPEED_PATIENCE_NS unless set. Set it before any wait.
#define SPEED_PATIENCE_NS (INT64_C(200) * 1000 * 1000)
void speed_set_patience_ns(int64_t ns);

// State and options of one waiter.
struct speed_wait {
    int64_t waited_ns;            // so far; never more than the patience
    bool stays;                   // stays on its processor; otherwise it tries the others, too
    bool (*probe)(void *context); // NULL for speed_is_full
    void *context;
};

// Probes until several probes in a row are at full speed, but at most `most_ns`. Returns whether it is at
// full speed now. Without any known speed it learns that first.
bool speed_await(struct speed_wait *wait, int64_t most_ns);

int speed_processors(void); // processors that the calling thread may run on

#endif
