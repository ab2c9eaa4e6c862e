// SPDX-License-Identifier: Apache-2.0
// Times in which a watched process of the target stood still though it had not ended: stopped by a signal, held by a
// debugger, or frozen by its control group. Clients only see answers that do not come, which look like a slow target.
//
// /proc/PID/status of its first thread and of one more, in turn, and the group's freezer are read ten times a second, so
// times are as far as sampled: about a tenth of a second at each end, and a shorter stop may be between two looks. Of one
// thread alone that a debugger holds: a tenth of a second for each thread of the process. One thread.
//
//     stops_open(&stops, pids, count, now_ns);             // the first look
//     stops_look(&stops, clock_now_ns());                  // in each tick; reads when it is time
//     if (stops_tell(&stops, kind, text, sizeof text)) ... // "the watched process 12 was stopped ..."
#ifndef POOLMARK_LOADGEN_STOPS_H
#define POOLMARK_LOADGEN_STOPS_H

#include "base/cgroup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stop_kind {
    STOP_STOPPED,  // by SIGSTOP, SIGTSTP ...: state T
    STOP_HELD,     // by the process that traces it (ptrace): state t
    STOP_FROZEN,   // by the freezer of its control group, version 1 or 2
    STOP_ATTACHED, // it ran, and another process traced it: its system calls may wait for that one
    STOP_KINDS,
    STOP_NONE = STOP_KINDS,
};

struct stop {
    int64_t looks; // that saw it
    int64_t ns, longest_ns, now_ns;
    int64_t from_ns; // of the longest, since the run's start
};

struct stops_of { // one process
    int64_t pid, looked_ns;
    enum stop_kind kind; // at the last look
    int64_t tracer;      // the last one seen; 0: none
    char tracer_name[16];
    int64_t *threads; // but the first; `turn` is the next to be looked at
    int thread_count, thread_capacity, turn;
    int64_t listed_ns;
    int64_t thread, seen_thread; // that stood still while the first did not: at the last look; ever. 0: none
    struct stop stop[STOP_KINDS];
};

struct stops {
    struct stops_of *list;
    int count;
    int64_t started_ns, looked_ns, looks;
    struct cgroup_freezers *freezers;
    bool seen; // any of them, of any process
};

// Looks for the first time. Returns 0 or -ENOMEM. Call stops_close also after a failure.
int stops_open(struct stops *stops, const int64_t *pids, int count, int64_t now_ns)
    __attribute__((warn_unused_result));
void stops_close(struct stops *stops);

void stops_look(struct stops *stops, int64_t now_ns);

// The most that one process stood still so far.
int64_t stops_ns(const struct stops *stops);

// A sentence of that kind, of the process that it held longest; false, and "", when none was.
bool stops_tell(const struct stops *stops, enum stop_kind kind, char *text, size_t size);
// In a few words, of the kind that held a process longest: "the watched process 12 was stopped (SIGSTOP) for about 2.0 s".
// "" when none was.
const char *stops_describe(const struct stops *stops, char *text, size_t size);
// A process that stands still now, and how to resume it; "" when none does.
const char *stops_now(const struct stops *stops, char *text, size_t size);

// [{"pid": 12, "kind": "stopped", "looks": 20, "ns": ...}, ...]; NULL when there was none. A new reference.
json_t *stops_json(const struct stops *stops);

#endif
