// SPDX-License-Identifier: Apache-2.0
#include "loadgen/cpu_idle.h"

#include "base/text_file.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 17, TICKS_LEAST = 10 };

static int is_allowed(const void *context, int cpu)
{
    return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET((size_t)cpu, (const cpu_set_t *)context);
}

// Lines as "cpu3 user nice system idle iowait irq softirq steal guest guest_nice"; guests are in user and nice.
void cpu_idle_parse(struct cpu_idle *cpus, const char *text, int (*allowed)(const void *context, int cpu),
                    const void *context)
{
    *cpus = (struct cpu_idle){0, 0};
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        int cpu;
        int64_t user, nice, system, idle, wait, irq, soft, steal;
        if (sscanf(line,
                   "cpu%d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
                   " %" SCNd64,
                   &cpu, &user, &nice, &system, &idle, &wait, &irq, &soft, &steal) != 9 ||
            !allowed(context, cpu))
            continue;
        cpus->idle += idle + wait;
        cpus->all += user + nice + system + idle + wait + irq + soft + steal;
    }
}

void cpu_idle_read(struct cpu_idle *cpus)
{
    cpu_set_t set;
    char *text = malloc(TEXT_BYTES);
    *cpus = (struct cpu_idle){0, 0};
    if (text && sched_getaffinity(0, sizeof set, &set) == 0 &&
        text_file_read("/proc/stat", text, TEXT_BYTES) > 0)
        cpu_idle_parse(cpus, text, is_allowed, &set);
    free(text);
}

double cpu_idle_between(const struct cpu_idle *from, const struct cpu_idle *to)
{
    int64_t all = to->all - from->all, idle = to->idle - from->idle;
    if (from->all == 0 || all < TICKS_LEAST || idle < 0)
        return -1;
    return (double)idle / (double)all;
}
