// SPDX-License-Identifier: Apache-2.0
// The overview as an object: the last line of --json (docs/commands.md has its keys).
#ifndef POOLMARK_LOADGEN_OVERVIEW_JSON_H
#define POOLMARK_LOADGEN_OVERVIEW_JSON_H

#include "loadgen/overview.h"

#include <jansson.h>

// `left_out`: objects of seconds that were not printed (json_lines.h). A new reference; NULL: out of memory.
json_t *overview_json(const struct overview *overview, int64_t left_out);

#endif
