// SPDX-License-Identifier: Apache-2.0
// How much memory this process may use: what the machine has, or what a control group above the process
// allows, whichever is least.
#ifndef POOLMARK_BROKER_MEMORY_LIMIT_H
#define POOLMARK_BROKER_MEMORY_LIMIT_H

#include <stdint.h>

// In bytes; 0: not known. Control groups that cannot be read count as none.
int64_t memory_limit_of_process(void);

// The least limit of the groups in `cgroups` (a file like /proc/self/cgroup) and of all groups above them,
// below `mount` (as /sys/fs/cgroup); version 2 and version 1. INT64_MAX: none.
int64_t memory_limit_of_groups(const char *cgroups, const char *mount);

#endif
