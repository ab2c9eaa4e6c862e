// SPDX-License-Identifier: Apache-2.0
// The limits that a run met, from its counts, its surroundings and its watch (ceilings.h).
#ifndef POOLMARK_LOADGEN_SUMMARY_CEILINGS_H
#define POOLMARK_LOADGEN_SUMMARY_CEILINGS_H

#include "loadgen/summary.h"

// At the end of a run: fills summary->ceilings; an anomaly and a place in summary.ceilings of the record each.
void summary_add_ceilings(struct summary *summary, struct run *run);

// [{"name", "text", "mend"}]. A new reference.
json_t *summary_ceilings_json(const struct summary *summary);

#endif
