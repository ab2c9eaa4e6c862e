// SPDX-License-Identifier: Apache-2.0
// How a broker's pools were used over a time, by its record: how full the fullest was, and how many of all gets were
// served from owned memory. Only the reference broker leaves such a record. pools.csv has a line of each pool a
// second, so both are to the second.
//
//     struct pool_use use = {0};
//     int code = pool_use_add(&use, dir, from_ns, to_ns, &err);   // for each instance of the broker
#ifndef POOLMARK_LOADGEN_SCENARIOS_POOL_USE_H
#define POOLMARK_LOADGEN_SCENARIOS_POOL_USE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pool_use {
    int64_t gets, hits;   // of all pools
    int bounded;          // pools that have a maximum
    double fullest_share; // of these, the largest of most in use, divided by the maximum
    char fullest[48];     // which pool that is
    bool unknown;         // a pool keeps no statistics: neither of the two is known
};

// Adds the pools of the broker whose record is in `dir`. -errno with the text: a file cannot be read, is
// none, or (-ENODATA) its lines are not of that time.
int pool_use_add(struct pool_use *use, const char *dir, int64_t from_ns, int64_t to_ns, struct err *err)
    __attribute__((warn_unused_result));

#endif
