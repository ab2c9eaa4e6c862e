// SPDX-License-Identifier: Apache-2.0
// For pool_pressure.c: what control groups and the kernel say about memory, and the descriptors that tell a
// thread to look. One thread at a time.
//
// A group has no limit at some times and another at others, so limits are read at each look.
#ifndef POOLMARK_POOLS_PRESSURE_SOURCE_H
#define POOLMARK_POOLS_PRESSURE_SOURCE_H

#include "base/err_text.h"

#include <stdbool.h>
#include <stdint.h>

enum { PRESSURE_PATH_SIZE = 4096 };

struct pressure_group {
    char folder[PRESSURE_PATH_SIZE]; // "": none is watched
    bool unified;                    // version 2
    int percent;                     // of the limit: the mark
    int fd;         // version 2: memory.events, POLLPRI; version 1: an eventfd, POLLIN; -1: none
    int64_t events; // version 2: `high` + `max` as of the last look
};

// `folder`: NULL for the group of this process, or the nearest above it that has a limit; "" for none.
// -EINVAL: a folder was given, and has no files of a control group; `err` names it. Otherwise 0, also when
// there is no group to watch. Without an eventfd or memory.events it is watched without being woken.
int pressure_group_open(struct pressure_group *group, const char *folder, int percent, struct err *err)
    __attribute__((warn_unused_result));
void pressure_group_close(struct pressure_group *group);

// Bytes that the group uses above 5 % below its mark, when it is over the mark or events were counted since
// the last call; otherwise 0. Answers the descriptor.
int64_t pressure_group_excess(struct pressure_group *group);

struct pressure_stall {
    char file[PRESSURE_PATH_SIZE]; // "": none is watched
    int64_t stall_us, window_us;
    int fd;           // with the trigger, POLLPRI; -1: none could be had
    int64_t total_us; // as of `read_ns`
    int64_t read_ns;  // the last look
};

// `file`: NULL for that of `group`, if it has one, else of the host; "" for none. Never fails.
void pressure_stall_open(struct pressure_stall *stall, const char *file, const struct pressure_group *group,
                         int64_t stall_us, int64_t window_us);
void pressure_stall_close(struct pressure_stall *stall);

// Were tasks stalled for so long since the last call? `told`: by the descriptor.
bool pressure_stall_is_there(struct pressure_stall *stall, bool told);

#endif
