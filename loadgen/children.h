// SPDX-License-Identifier: Apache-2.0
// Work that children of the watched processes do for them and that is in no reading: a helper that shares no listener, over a
// pipe, or one that is started for each act and has ended. Their CPU time by the kernel's count of children that were waited for
// (cutime, cstime), and by that of those that live. A child that nobody waits for, since its parent ignores SIGCHLD, is in
// neither once it has ended.
//
//     children_read(&before, pids, count);
//     ...
//     children_read(&now, pids, count);
//     if (children_judge(&before, &now, &work)) ...
#ifndef POOLMARK_LOADGEN_CHILDREN_H
#define POOLMARK_LOADGEN_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

struct children {
    int count;                   // of those that live and are not watched, children of children too
    int64_t first;               // the pid of the one with the most CPU time; 0: none lives
    int64_t cpu_ns;              // of these, and of those that have ended
    int64_t target_cpu_ns;       // of the watched processes themselves
    int64_t bytes, target_bytes; // private memory; RSS where only that may be read
    bool read;                   // false: a watched process could not be read
};

void children_read(struct children *children, const int64_t *pids, int count);

struct children_work {
    int64_t cpu_ns, target_cpu_ns; // between two readings
    bool much_cpu, much_memory;    // more than a twentieth of the target's own
};
// Whether it is so much that the target's figures lack it.
bool children_judge(const struct children *before, const struct children *now, struct children_work *work);

#endif
