// SPDX-License-Identifier: Apache-2.0
// Load on the target that is not this run's. Two signs of it take no counters of the target, and work on a process
// of another user:
//
// - Pauses. The run gives the target nothing to do, and its CPU time goes on: others load it, or it never rests.
//   A pause counts by its quietest slice, since what connects leave behind (growth ahead, freed memory) ends.
// - Descriptors. The target has more of them open than our clients can have: others connected meanwhile.
//
// What they do not see: others that work only while no pause is measured, over few descriptors. Those are in the
// census of sockets (census.h).
//
//     struct strangers strangers;
//     strangers_init(&strangers);
//     strangers_pause(&strangers);
//     strangers_read(&strangers, at_ns, cpu_ns);       // now and then, until strangers_is_quiet
//     strangers_resume(&strangers, share_of_our_pings);
//     strangers_count(&strangers, descriptors, connects_begun);      // while clients connect
#ifndef POOLMARK_LOADGEN_STRANGERS_H
#define POOLMARK_LOADGEN_STRANGERS_H

#include <stdbool.h>
#include <stdint.h>

struct strangers {
    double idle_share;                    // of one processor, of the busiest pause; -1: no pause was measured
    int64_t at_ns, cpu_ns;                // the beginning of the slice under way; at_ns -1: there is none
    double least;                         // of the slices of the pause under way; -1: none has ended
    int64_t base_descriptors, base_begun; // at the first count; -1: there was none
    bool told;                            // an anomaly names connections that may be others'
    bool marked;                          // and says that figures are marked for it
    int64_t most_more;                    // the most descriptors beyond those of our clients, at any count
};

// A target that takes less than this share of a processor is at rest: 5 ms a second.
extern const double STRANGERS_REST;

void strangers_init(struct strangers *strangers);

void strangers_pause(struct strangers *strangers);
// A reading in a pause. `cpu_ns` -1: it cannot be read.
void strangers_read(struct strangers *strangers, int64_t at_ns, int64_t cpu_ns);
// Whether a slice of this pause was at rest, or nothing can be read: it takes no further reading. `own_share`: of a
// processor, what our open clients may cost meanwhile (PINGREQ).
bool strangers_is_quiet(const struct strangers *strangers, double own_share);
// Ends the pause.
void strangers_resume(struct strangers *strangers, double own_share);

// Read the descriptors before `begun`, the number of connects that our clients have begun: so those of ours cannot
// be more. -1: not known.
void strangers_count(struct strangers *strangers, int64_t descriptors, int64_t begun);

#endif
