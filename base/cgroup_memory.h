// SPDX-License-Identifier: Apache-2.0
// The memory of a process's control group (versions 1 and 2): the limit that binds it, its own or of a group above, the group
// that has this limit, and how often the kernel killed a process for want of memory. It is read while the process runs: the
// group of one that has ended is not known.
//
//     struct cgroup_memory memory;
//     cgroup_memory_find(&memory, "", pid);         // "" is the root of the files; tests have another
//     cgroup_memory_read(&memory);                  // later, also when the process has ended
#ifndef POOLMARK_BASE_CGROUP_MEMORY_H
#define POOLMARK_BASE_CGROUP_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CGROUP_MEMORY_FOLDER = 256 };

struct cgroup_memory {                  // -1: it cannot be read
    char folder[CGROUP_MEMORY_FOLDER];  // of the process's own group; "": not known
    char limited[CGROUP_MEMORY_FOLDER]; // of the group that has the smallest limit; "": there is no limit
    bool unified;                       // version 2
    int64_t limit_bytes;                // that limit; -1: there is none
    int64_t kills;                      // of processes of the own group, so far, for whatever lack of memory
    int64_t hits;                       // so far: how often the limit was met
};

// Never fails: what cannot be read is -1 or "". Any thread may call.
void cgroup_memory_find(struct cgroup_memory *memory, const char *root, pid_t pid);
// `kills` and `hits` as they are now; as they were when they cannot be read any more.
void cgroup_memory_read(struct cgroup_memory *memory);

// The file that holds the limit: "memory.max".
const char *cgroup_memory_file(const struct cgroup_memory *memory);

#endif
