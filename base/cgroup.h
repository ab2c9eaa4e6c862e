// SPDX-License-Identifier: Apache-2.0
// The limits of a process by control groups (versions 1 and 2), and how often they throttled it. A limit is
// the smallest of the process's own group and all groups above it. The groups are found through
// /proc/PID/cgroup and the mounts in /proc/self/mountinfo. A container sees only groups mounted in it.
//
//     struct cgroup now;
//     cgroup_read(&now, "", getpid());        // "" is the root of the files; tests have another
//     if (now.memory_limit_bytes >= 0) ...    // a limit, whatever memory the machine has
#ifndef POOLMARK_BASE_CGROUP_H
#define POOLMARK_BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup { // -1: no limit, or it cannot be read
    int64_t memory_limit_bytes;
    int64_t memory_high_bytes; // above it the kernel reclaims and slows the process; version 2
    double cpu_quota_cores;    // processor time for each second
    int64_t throttled_periods; // so far, of all these groups: periods in which the quota was used up
    int64_t throttled_ns;
    int64_t pids_limit;   // processes and threads
    int64_t pids_left;    // of these, so many may still be started: the least of the groups
    int64_t pids_refused; // so far, of all these groups: those that the limit refused
    bool cpu_unified;     // the CPU quota is of version 2: cpu.max; otherwise cpu.cfs_quota_us
};

// Never fails: a value that cannot be read is -1. Any thread may call.
void cgroup_read(struct cgroup *cgroup, const char *root, pid_t pid);

// The folder of the process's control group that has the memory controller, into `folder`; `unified`: of
// version 2. Returns the length of the part that is the top of the tree, for cgroup_folder_up; 0 when there
// is no such group. Any thread may call.
size_t cgroup_memory_folder(char *folder, size_t size, bool *unified, const char *root, pid_t pid);
// Makes `folder` that of the group above; false at the top.
bool cgroup_folder_up(char *folder, size_t top);

// Where groups are mounted that can be frozen: of version 2, and of the freezer of version 1. A host may have both.
struct cgroup_freezers;
// NULL when there is none, or no memory. free() it. `root` as above.
struct cgroup_freezers *cgroup_find_freezers(const char *root);
// 1: all processes of the process's group stand still, by a freezer of this group or one above it. 0: they do not. -1: that
// cannot be read; `freezers` may be NULL. Costs three small files. Any thread may call.
int cgroup_is_frozen(const struct cgroup_freezers *freezers, const char *root, pid_t pid);

#endif
