// SPDX-License-Identifier: Apache-2.0
// Workers and watched processes that the kernel killed for want of memory, and the limit that it kept: of a control group, or
// the machine's. The kernel counts such kills for the whole host and for each control group. Those of others are none of a run:
// a process of this run must have been killed, and the count of its own group, where it can be read, must have grown. One thread.
//
//     out_of_memory_start(&watch, pids, count);
//     out_of_memory_look(&watch);                                       // now and then: a group may be gone at the end
//     if (out_of_memory_of_target(&watch, &targets, &death)) ... death.limit_bytes ...
#ifndef POOLMARK_LOADGEN_OUT_OF_MEMORY_H
#define POOLMARK_LOADGEN_OUT_OF_MEMORY_H

#include "base/cgroup_memory.h"
#include "loadgen/targets.h"

#include <stdbool.h>
#include <stdint.h>

enum { OUT_OF_MEMORY_TARGETS = 16 }; // whose groups are known; of further ones the host's count tells

struct out_of_memory {
    struct cgroup_memory start[1 + OUT_OF_MEMORY_TARGETS],
        now[1 + OUT_OF_MEMORY_TARGETS]; // first: the workers
    int64_t host_kills;                 // at the start
};

struct memory_death {
    int64_t killed;      // processes of the run; 0: none
    bool by_limit;       // the limit of the control group was met; otherwise the machine was short
    int64_t limit_bytes; // of the control group; -1: it has none
    char file[CGROUP_MEMORY_FOLDER + 32]; // that has the limit; "": none
    bool unified;
};

void out_of_memory_start(struct out_of_memory *watch, const int64_t *pids, int count);
void out_of_memory_look(struct out_of_memory *watch);

// Whether `killed` workers, which SIGKILL ended, were killed for want of memory.
bool out_of_memory_of_workers(struct out_of_memory *watch, int64_t killed, struct memory_death *death);
// The same of the watched processes, of which `targets` knows the end. The first of them is told.
bool out_of_memory_of_target(struct out_of_memory *watch, const struct targets *targets,
                             struct memory_death *death);

// The processes that the kernel killed for want of memory on the whole host, whoever's, since it started. -1: not known.
int64_t out_of_memory_host(void);

#endif
