// SPDX-License-Identifier: Apache-2.0
// The watched processes of the target: which of them have ended, when, and by which signal. Clients only see
// refused and closed connections then, which look like a fault of a running target.
//
// A descriptor (pidfd) identifies each process, so that a reused pid does not mislead. Where the kernel or a
// container refuses pidfds, pid and start time do. The exit status can be read until another process has
// waited for it, if this user may read it; from Linux 6.15 on also afterwards. One thread.
//
//     targets_open(&targets, pids, count, clock_now_ns());
//     if (targets_look(&targets, clock_now_ns())) ...      // one more has ended since the last look
//     targets_describe(&targets, text, sizeof text);       // "the watched process 1234 ended after 3.214 s"
#ifndef POOLMARK_LOADGEN_TARGETS_H
#define POOLMARK_LOADGEN_TARGETS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target {
    int64_t pid;
    int64_t start_ticks; // since the boot of the host; -1: cannot be read
    int fd;              // -1: none
    int64_t ended_ns;    // when its end was noticed; 0: it runs
    int wait_status;     // as of waitpid; -1: not known
};

struct targets {
    struct target *list;
    int count, ended;
    int64_t started_ns;  // of the run
    int64_t oom_kills;   // of the whole host at the start; -1: not known
    struct pollfd *wait; // for each of `list`
    int64_t read_ns;     // when those without a descriptor were last read
};

// Returns 0 or -ENOMEM. Call targets_close also after a failure.
int targets_open(struct targets *targets, const int64_t *pids, int count, int64_t now_ns)
    __attribute__((warn_unused_result));
void targets_close(struct targets *targets);

// True when a process has ended since the last call. One system call for all that have a descriptor; the
// others are read ten times a second.
bool targets_look(struct targets *targets, int64_t now_ns);

// Whether watched process i was ended by SIGKILL, as far as it is known: also when how it ended is not.
bool targets_killed(const struct targets *targets, int i);

// Text: all that have ended, and whether the kernel killed processes for lack of memory meanwhile, if one of them can have been
// killed; "" when none has ended.
const char *targets_describe(const struct targets *targets, char *text, size_t size);

#endif
