// SPDX-License-Identifier: Apache-2.0
// The counts of one rank as its part and the record have them.
#ifndef POOLMARK_LOADGEN_RANKS_COUNTS_H
#define POOLMARK_LOADGEN_RANKS_COUNTS_H

#include "loadgen/tally.h"

#include <jansson.h>

json_t *ranks_counts_json(const struct tally *tally); // a new reference

#endif
