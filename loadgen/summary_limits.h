// SPDX-License-Identifier: Apache-2.0
// The limits of a run in its summary (limit.h): one for each kind of acts that was judged, and which of them is of what the
// scenario is about.
#ifndef POOLMARK_LOADGEN_SUMMARY_LIMITS_H
#define POOLMARK_LOADGEN_SUMMARY_LIMITS_H

#include "loadgen/summary.h"

// Who limited the acts of that name, "arrivals" or "GROUP.PHASE.arrivals"; `is_main`: the scenario is about them.
void summary_add_limit(struct summary *summary, const char *name, const struct limit *limit, bool is_main);

json_t *summary_limit_json(const struct summary *summary);  // {"by", "why"}, or null; a new reference
json_t *summary_limits_json(const struct summary *summary); // {NAME: {"by", "why"}}; a new reference
void summary_write_limits(const struct summary *summary, struct record *record);

#endif
