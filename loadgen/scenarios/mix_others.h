// SPDX-License-Identifier: Apache-2.0
// Others that load the target during a mix. Each phase is judged by the rule of costs.h, between the readings at its ends; what
// it withholds are figures of that phase:
//
// - phase.PHASE.cpu_seconds, where others were there or the target was busy;
// - phase.PHASE.memory_bytes of that phase and the later ones: what others leave behind stays;
// - latencies of deliveries of a group that got more than 1 message of others beside 20 of its own (anomaly `foreign`).
//
// The parent's thread.
#ifndef POOLMARK_LOADGEN_SCENARIOS_MIX_OTHERS_H
#define POOLMARK_LOADGEN_SCENARIOS_MIX_OTHERS_H

#include "loadgen/scenarios/mix_plan.h"
#include "loadgen/summary.h"

struct mix_phase_result {
    int64_t at_ns;        // when its orders began
    int64_t ended_ns;     // when it was over
    struct sample sample; // at its end; at_ns 0: there is none
    int64_t connections;
    int64_t acts;    // of all groups, by mix_others_add,
    int64_t foreign; // and messages of others that they got
};

// Adds what a group did in a phase to what is beside others in it, and looks at the messages of others that it got.
void mix_others_add(struct run *run, const struct mix *mix, int group, const struct tally *tally,
                    struct mix_phase_result *result, const char *phase);

// After the last phase. `start` and `results` as of mix_results_add_run.
void mix_others_judge(struct run *run, const struct mix *mix, const struct sample *start,
                      const struct mix_phase_result results[], int count);

#endif
