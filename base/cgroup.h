// SPDX-License-Identifier: Apache-2.0
// What control groups leave a process of the machine: the least of its own group and all groups above it, in
// versions 1 and 2, and how often it was throttled. The groups are found by /proc/PID/cgroup and the mounts
// of /proc/self/mountinfo; of a container only what is mounted in it can be seen.
//
//     struct cgroup now;
//     cgroup_read(&now, "", getpid());        // "" is the root of the files; tests have another
//     if (now.memory_limit_bytes >= 0) ... no more than that, whatever the machine has
#ifndef POOLMARK_BASE_CGROUP_H
#define POOLMARK_BASE_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

struct cgroup { // -1: no limit, or it cannot be read
    int64_t memory_limit_bytes;
    double cpu_quota_cores;    // processor time for each second
    int64_t throttled_periods; // so far, of all these groups: periods in which the quota was spent
    int64_t throttled_ns;
};

// Never fails: what cannot be read is -1. Any thread may call.
void cgroup_read(struct cgroup *cgroup, const char *root, pid_t pid);

#endif
