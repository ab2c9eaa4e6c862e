// SPDX-License-Identifier: Apache-2.0
// Who limited the rates of a run (limit.h): collects what a judgement is made of, from the workers' counts and the readings of
// run.loads, and adds it to the summary. One thread, when the acts are over.
//
//     limits_add(run, summary, &(struct limits_acts){.kind = LOAD_ARRIVALS, .asked_per_s = 100, .had_per_s = 99.9, ...});
#ifndef POOLMARK_LOADGEN_LIMITS_H
#define POOLMARK_LOADGEN_LIMITS_H

#include "loadgen/run.h"
#include "loadgen/summary.h"

struct limits_acts {
    enum load_kind kind;
    double asked_per_s, had_per_s; // asked 0: as fast as it goes
    int64_t took_ns;               // what `had_per_s` was counted in
    bool in_time;                  // limit.h
    bool waits;                    // clients waited between their tries
    bool probes;                   // they are of the probes
    int64_t due, not_sent;         // acts; due 0 with a rate: none was
};

void limits_add(struct run *run, struct summary *summary, const struct limits_acts *acts);

// The same of a group in a phase, with its counts there: as "GROUP.PHASE.arrivals".
struct limits_part {
    const char *prefix; // "GROUP.PHASE."
    const struct tally *tally;
    const struct hist *lag;
};
void limits_add_part(struct run *run, struct summary *summary, const struct limits_acts *acts,
                     const struct limits_part *part);

#endif
