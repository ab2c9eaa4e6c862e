// SPDX-License-Identifier: Apache-2.0
// How idle the CPUs are that this process may use (/proc/stat, by its affinity): a thread that waits for a CPU while others
// are idle waits for its scheduler, and one that waits while none is shares its host. One thread.
//
//     struct cpu_idle from, to;
//     cpu_idle_read(&from); ... cpu_idle_read(&to);
//     double share = cpu_idle_between(&from, &to);     // 0.03; -1: not known
#ifndef POOLMARK_LOADGEN_CPU_IDLE_H
#define POOLMARK_LOADGEN_CPU_IDLE_H

#include <stdint.h>

struct cpu_idle { // ticks of all these CPUs; all 0: they cannot be read
    int64_t idle, all;
};

void cpu_idle_read(struct cpu_idle *cpus);
// The same of such a text and the CPUs of `allowed`, which says whether a number is among them. For tests too.
void cpu_idle_parse(struct cpu_idle *cpus, const char *text, int (*allowed)(const void *context, int cpu),
                    const void *context);

// -1 where it cannot be read, or fewer than 10 ticks for it were counted.
double cpu_idle_between(const struct cpu_idle *from, const struct cpu_idle *to);

#endif
