// SPDX-License-Identifier: Apache-2.0
// How busy the watched processes and the CPUs were while orders were carried out, by the kind of their acts, and how late the
// generator was: beside what the workers tell of themselves (tally.h) this is what a limit is judged by (limits.h). Orders of a
// kind add up. The parent's one thread.
//
//     loads_open(&loads, watched);
//     loads_begin(&loads, pids, stops_ns(&stops));                              // before an order is given
//     loads_end(&loads, pids, 1U << LOAD_CONNECTS, stops_ns(&stops), lag);      // when it is done
//     loads_forget(&loads);                                                     // what follows stands for itself
#ifndef POOLMARK_LOADGEN_LOADS_H
#define POOLMARK_LOADGEN_LOADS_H

#include "base/hist.h"
#include "loadgen/cpu_idle.h"
#include "loadgen/fleet.h"
#include "loadgen/load_kind.h"
#include "loadgen/thread_load.h"

#include <stdint.h>

struct loads_of {                       // of one kind
    int64_t ns;                         // the time of its orders
    int64_t ran_ns, waited_ns;          // of the busiest thread of all watched processes
    int64_t stopped_ns;                 // the watched processes stood still
    struct cpu_idle idle_from, idle_to; // between them lie the ticks of these orders alone
    int64_t lag_p99_ns;                 // of the order in which it was the largest; with few acts the latest
};

struct loads {
    struct thread_load *from, *to; // `count` each; NULL: out of memory
    int count;
    int64_t from_ns, stopped_ns;
    struct cpu_idle idle;
    struct loads_of of[LOAD_KINDS];
};

// The kind of an order's acts, enum load_kind; -1: acts of no rate.
int loads_kind(const struct fleet_order *order);

// Without memory the watched processes are not known.
void loads_open(struct loads *loads, int watched);
void loads_close(struct loads *loads); // a zeroed one too

void loads_begin(struct loads *loads, const int64_t *pids, int64_t stopped_ns);
// `kinds`: bits 1 << enum load_kind of the orders that were carried out at once. `lag` of that time.
void loads_end(struct loads *loads, const int64_t *pids, unsigned kinds, int64_t stopped_ns,
               const struct hist *lag);
void loads_forget(struct loads *loads);

#endif
