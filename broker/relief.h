// SPDX-License-Identifier: Apache-2.0
// --pressure: the broker's pools give idle memory back under memory pressure (pools/pool_pressure.h), the
// least used pool first, and the allocator then gives to the system what they freed.
//
//     struct relief_option option;
//     if (relief_parse(&texts, &option, &err) < 0) ...
//     if (relief_open(&pressure, &option, registry, &err) < 0) ...
//     pool_pressure_close(pressure);
#ifndef POOLMARK_BROKER_RELIEF_H
#define POOLMARK_BROKER_RELIEF_H

#include "base/err.h"
#include "base/opts.h"
#include "pools/pool_pressure.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct relief_option {
    unsigned sources;         // of enum pool_pressure_source: to be watched; 0: the option was not given
    unsigned needed;          // of these: an error when it is not there
    const char *group_folder; // NULL: that of the process
    const char *stall_file;   // NULL: that of the group, or the host's
    int64_t bound_bytes;      // 0: none
};

// The values of the option: system, group[=DIR], stall[=FILE], bound=BYTES. Strings in `option` point into them.
// -EINVAL: `err` names the value.
int relief_parse(const struct opt_list *texts, struct relief_option *option, struct err *err)
    __attribute__((warn_unused_result));

// For an option that was given. -ENOTSUP: a source that it needs is not there; `err` names it. Otherwise as
// pool_pressure_open.
int relief_open(struct pool_pressure **pressure, const struct relief_option *option,
                struct pool_registry *registry, struct err *err) __attribute__((warn_unused_result));

// What is watched, at the start.
void relief_announce(const struct pool_pressure_stats *stats, int64_t bound_bytes, FILE *to);
// One line when pools gave something back since `told`, which is updated.
void relief_complain(const struct pool_pressure_stats *stats, struct pool_pressure_stats *told, FILE *to);

void relief_print(const struct pool_pressure_stats *stats, FILE *to);            // a line for each count
void relief_print_prometheus(const struct pool_pressure_stats *stats, FILE *to); // text format 0.0.4

#endif
