// SPDX-License-Identifier: Apache-2.0
// --pool and --check-pool of poolmark-bench: strategies from shared libraries (pools/plugin) beside our own.
//
//     struct own_pools pools;
//     own_pools_open(&pools);
//     if (own_pools_load(&pools, "./mine.so", &err) < 0) ...
//     workloads_register(suite, pools.strategies, ...);
#ifndef POOLMARK_BENCH_OWN_POOLS_H
#define POOLMARK_BENCH_OWN_POOLS_H

#include "pools/plugin/plugin.h"

#include <stdio.h>

enum { OWN_POOLS_STRATEGIES_MAX = 64 };

struct own_pools {
    struct plugins plugins;
    const struct pool_strategy *strategies[OWN_POOLS_STRATEGIES_MAX + 1]; // ours, then the loaded; NULL ends
    int count;
};

void own_pools_open(struct own_pools *pools); // with our own strategies; it needs no closing

// Adds the strategy of a file. 0, or -EINVAL with the file and the fault in `err`.
int own_pools_load(struct own_pools *pools, const char *path, struct err *err)
    __attribute__((warn_unused_result));

// Says of each loaded strategy which file it is of: "pool.NAME" = "FILE SHA256" in the context of the reports.
void own_pools_add_context(const struct own_pools *pools);

// For --describe: a list of plugin_json.
json_t *own_pools_json(const struct own_pools *pools);

// --check-pool: runs every promise of pools/contract with the strategy of the file, and prints a line for each.
// Returns the exit code: 0 all kept, 1 one broken, 2 the file is none of a pool.
int own_pools_check(const char *path, FILE *to);

#endif
