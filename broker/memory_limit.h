// SPDX-License-Identifier: Apache-2.0
// How much memory this process may use: the least of the machine's memory and the limits of its control
// groups.
#ifndef POOLMARK_BROKER_MEMORY_LIMIT_H
#define POOLMARK_BROKER_MEMORY_LIMIT_H

#include <stdint.h>

// Returns bytes; 0: unknown. A control group that cannot be read counts as unlimited.
int64_t memory_limit_of_process(void);

// Returns the least limit, in bytes, of the groups listed in the file `cgroups` (like /proc/self/cgroup) and
// of all their parents, under `mount` (like /sys/fs/cgroup). Versions 1 and 2. INT64_MAX: no limit.
int64_t memory_limit_of_groups(const char *cgroups, const char *mount);

#endif
