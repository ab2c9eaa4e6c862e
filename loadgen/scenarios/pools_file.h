// SPDX-License-Identifier: Apache-2.0
// The last readings in a broker's pools.csv (results/README.md has its columns): the parts of the target's
// memory. Only the reference broker writes this file. Of other targets only the total is known.
#ifndef POOLMARK_LOADGEN_SCENARIOS_POOLS_FILE_H
#define POOLMARK_LOADGEN_SCENARIOS_POOLS_FILE_H

#include "base/err.h"
#include "base/opts.h"

#include <stdbool.h>
#include <stdint.h>

enum pool_part { PART_OBJECTS, PART_BUFFERS, PART_ARENAS, PART_MESSAGES, PART_COUNT };

struct pool_parts {
    int64_t at_ns;             // of the oldest of the last readings; 0: none
    int64_t bytes[PART_COUNT]; // owned by the pools; -1: no reading
    int64_t most_connections;  // the sum of the most that each had at once; -1: not known of one
};

// Has each folder of --watch-record a pools.csv that can be read? -EINVAL with the text.
int pools_file_check(const struct opt_list *folders, struct err *err) __attribute__((warn_unused_result));

const char *pool_part_name(enum pool_part part); // "objects": the pool `connections`

// Adds the last reading of each pool in DIR/pools.csv to `parts`, which starts as POOL_PARTS_NONE. Returns 0,
// or -errno when the file cannot be read. Ignores an incomplete last line.
#define POOL_PARTS_NONE                                                                                      \
    (struct pool_parts)                                                                                      \
    {                                                                                                        \
        .bytes = {-1, -1, -1, -1}, .most_connections = 0                                                     \
    }
int pools_file_add(struct pool_parts *parts, const char *dir) __attribute__((warn_unused_result));

#endif
