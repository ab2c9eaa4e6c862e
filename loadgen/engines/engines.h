// SPDX-License-Identifier: Apache-2.0
// The list of engines.
#ifndef POOLMARK_LOADGEN_ENGINES_ENGINES_H
#define POOLMARK_LOADGEN_ENGINES_ENGINES_H

#include "loadgen/engine.h"

const struct engine *const *engine_list(void);      // NULL-terminated
const struct engine *engine_find(const char *name); // NULL: none

#endif
