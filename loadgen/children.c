// SPDX-License-Identifier: Apache-2.0
#include "loadgen/children.h"

#include "base/clock.h"
#include "base/procmem.h"
#include "base/text_file.h"
#include "loadgen/family.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ONE_IN = 20 };
#define LEAST_CPU_NS (30 * NS_PER_MS) // the kernel counts that of ended children in ticks of 10 ms
#define LEAST_BYTES (1 << 20)

// Of children that have ended and were waited for: fields 16 and 17 of /proc/PID/stat (proc(5)).
static int64_t cpu_of_ended(int pid)
{
    char path[64], text[1024];
    int64_t user_ticks, system_ticks;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (text_file_read(path, text, sizeof text) <= 0)
        return 0;
    const char *after = strrchr(text, ')'); // the name before it may hold anything
    if (!after ||
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %" SCNd64 " %" SCNd64,
               &user_ticks, &system_ticks) != 2)
        return 0;
    return (user_ticks + system_ticks) * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static int64_t bytes_of(const struct procmem *mem)
{
    return mem->private_bytes >= 0 ? mem->private_bytes : mem->rss_bytes;
}

void children_read(struct children *children, const int64_t *pids, int count)
{
    struct family family;
    struct procmem mem;
    int64_t most_ns = -1;
    *children = (struct children){.read = true};
    family_read(&family, pids, count);
    for (int i = 0; i < family.count; i++) {
        int pid = family.list[i].pid;
        if (family.list[i].kin != KIN_CHILD)
            continue;
        children->cpu_ns += cpu_of_ended(pid);
        if (procmem_read((pid_t)pid, &mem) < 0)
            continue;
        children->count++;
        children->cpu_ns += mem.cpu_ns;
        children->bytes += bytes_of(&mem);
        if (mem.cpu_ns > most_ns) {
            most_ns = mem.cpu_ns;
            children->first = pid;
        }
    }
    for (int i = 0; i < count; i++) {
        if (procmem_read_quick((pid_t)pids[i], &mem) < 0) {
            children->read = false;
            continue;
        }
        children->target_cpu_ns += mem.cpu_ns;
        children->cpu_ns += cpu_of_ended((int)pids[i]);
        if (children->count > 0 && procmem_read((pid_t)pids[i], &mem) == 0)
            children->target_bytes += bytes_of(&mem);
    }
    free(family.list);
}

bool children_judge(const struct children *before, const struct children *now, struct children_work *work)
{
    *work = (struct children_work){.cpu_ns = now->cpu_ns - before->cpu_ns,
                                   .target_cpu_ns = now->target_cpu_ns - before->target_cpu_ns};
    if (!before->read || !now->read)
        return false;
    work->much_cpu = work->cpu_ns > LEAST_CPU_NS && work->cpu_ns * ONE_IN > work->target_cpu_ns;
    work->much_memory = now->count > 0 && now->bytes > LEAST_BYTES && now->bytes * ONE_IN > now->target_bytes;
    return work->much_cpu || work->much_memory;
}
