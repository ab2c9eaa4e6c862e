// SPDX-License-Identifier: Apache-2.0
// How many connections the target can have served before the run, as far as somebody knows: memory that it kept of them
// would be used again, and a slope over it too small (curve.h). Known by
//
// - its own record (--watch-record): the most that it had at once;
// - the kernel: the connections that all listeners of its network namespace have ever taken;
// - who started it (--fresh-target): none. Not believed where connections before the run are seen.
//
// The parent's thread.
//
//     int64_t counted = served_counted(&own->watch_records, config->watch.count);      // before the first client connects
//     run_sample(run, &start);
//     served_judge(run, &start, counted, own->fresh_target);
#ifndef POOLMARK_LOADGEN_SCENARIOS_SERVED_H
#define POOLMARK_LOADGEN_SCENARIOS_SERVED_H

#include "base/opts.h"
#include "loadgen/run.h"

// The most connections at once, by the records; the sum over all processes of the target. -1: not known, or not of all.
int64_t served_counted(const struct opt_list *records, int processes);

// Bounds run->curve. An anomaly `not_fresh` when it is said that the target is fresh, and it has been seen to have served.
void served_judge(struct run *run, const struct sample *start, int64_t counted, bool fresh);

#endif
