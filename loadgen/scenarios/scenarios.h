// SPDX-License-Identifier: Apache-2.0
// The list of scenarios.
#ifndef POOLMARK_LOADGEN_SCENARIOS_SCENARIOS_H
#define POOLMARK_LOADGEN_SCENARIOS_SCENARIOS_H

#include "loadgen/scenario.h"

const struct scenario *const *scenario_list(void);      // NULL-terminated
const struct scenario *scenario_find(const char *name); // NULL: none

#endif
