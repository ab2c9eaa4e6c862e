// SPDX-License-Identifier: Apache-2.0
// What a mix has measured: for each group in each phase its figures, GROUP.PHASE.METRIC, and its lines of the books; for each
// phase its length, connections, memory and CPU time; and the sums of the run. The parent's thread.
#ifndef POOLMARK_LOADGEN_SCENARIOS_MIX_RESULTS_H
#define POOLMARK_LOADGEN_SCENARIOS_MIX_RESULTS_H

#include "loadgen/scenarios/mix_others.h"
#include "loadgen/scenarios/mix_plan.h"
#include "loadgen/summary.h"

// Call it when the phase is over, after run_collect and before the next run_phase.
void mix_results_add_phase(struct run *run, struct summary *summary, const struct mix *mix, int phase,
                           struct mix_phase_result *result);

// Call it once, after the last phase. `start` is the reading before the first (at_ns 0: there is none), and results has
// those of the first `count` phases.
void mix_results_add_run(struct run *run, struct summary *summary, const struct mix *mix,
                         const struct sample *start, const struct mix_phase_result results[], int count);

#endif
