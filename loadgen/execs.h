// SPDX-License-Identifier: Apache-2.0
// Watched processes that execute another program in the run: pid and descriptors stay, and memory and CPU time
// from then on are of something else. So does a server that executes its own program anew (an upgrade in
// place).
//
// A program is known by the file of /proc/PID/exe (device and inode) and by where the stack of its image begins
// (/proc/PID/stat), which differs after each exec where addresses are random. Of a process of another user
// neither can be read: then nothing is known of it. One thread.
//
//     execs_open(&execs, pids, count, now_ns);
//     if (execs_look(&execs, clock_now_ns(), false)) ...   // one more since the last look; reads twice a second
//     execs_tell(&execs, text, sizeof text);               // "the watched process 12 executed another program 3.2 s after ..."
#ifndef POOLMARK_LOADGEN_EXECS_H
#define POOLMARK_LOADGEN_EXECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EXECS_NAME_BYTES = 128 };

struct exec_image {
    dev_t device;
    ino_t inode;    // 0: cannot be read
    uint64_t stack; // 0: cannot be read
    char name[EXECS_NAME_BYTES];
};

struct execs_of {            // one process
    int64_t pid, changed_ns; // when the first other program was noticed; 0: it is the same
    struct exec_image first, now;
};

struct execs {
    struct execs_of *list;
    int count, changed;
    int64_t started_ns, looked_ns;
};

// Returns 0 or -ENOMEM. Call execs_close also after a failure.
int execs_open(struct execs *execs, const int64_t *pids, int count, int64_t now_ns)
    __attribute__((warn_unused_result));
void execs_close(struct execs *execs);

// True when one more process has executed a program since the last call. `at_once`: reads though it is not yet time.
bool execs_look(struct execs *execs, int64_t now_ns, bool at_once);

// Text: the first process that did, what it was and is, and how many others did; "" when none.
const char *execs_tell(const struct execs *execs, char *text, size_t size);

#endif
