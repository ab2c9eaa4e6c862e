// SPDX-License-Identifier: Apache-2.0
// The list of engines.
#ifndef POOLMARK_LOADGEN_ENGINES_ENGINES_H
#define POOLMARK_LOADGEN_ENGINES_ENGINES_H

#include "base/err.h"
#include "loadgen/engine.h"

#include <jansson.h>

const struct engine *const *engine_list(void);      // NULL-terminated
const struct engine *engine_find(const char *name); // NULL: none

// Of an option: `place` is a const struct engine **. -EINVAL with the names in `err`: there is no such engine.
int engine_parse(const char *name, void *place, struct err *err);

json_t *engines_describe(void); // an object for each, with its limits; of --describe

#endif
