// SPDX-License-Identifier: Apache-2.0
#include "loadgen/out_of_memory.h"

#include "base/text_file.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_SIZE = 16384, WORKERS = 0 };

int64_t out_of_memory_host(void)
{
    char text[TEXT_SIZE];
    int64_t kills;
    return text_file_read("/proc/vmstat", text, sizeof text) > 0 &&
                   text_file_number(text, "oom_kill ", &kills) == 0
               ? kills
               : -1;
}

void out_of_memory_start(struct out_of_memory *watch, const int64_t *pids, int count)
{
    *watch = (struct out_of_memory){.host_kills = out_of_memory_host()};
    cgroup_memory_find(&watch->start[WORKERS], "", getpid());
    for (int i = 0; i < count && i < OUT_OF_MEMORY_TARGETS; i++)
        cgroup_memory_find(&watch->start[1 + i], "", (pid_t)pids[i]);
    for (int i = 0; i <= OUT_OF_MEMORY_TARGETS; i++)
        watch->now[i] = watch->start[i];
}

void out_of_memory_look(struct out_of_memory *watch)
{
    for (int i = 0; i <= OUT_OF_MEMORY_TARGETS; i++)
        cgroup_memory_read(&watch->now[i]);
}

// `group`: 0 and up; one that is not known has the host's count alone.
static bool is_of_memory(struct out_of_memory *watch, int group, int64_t killed, struct memory_death *death)
{
    *death = (struct memory_death){.limit_bytes = -1};
    bool known =
        group <= OUT_OF_MEMORY_TARGETS && watch->start[group].folder[0] && watch->start[group].kills >= 0;
    int64_t host = out_of_memory_host();
    if (killed == 0)
        return false;
    if (known)
        cgroup_memory_read(&watch->now[group]);
    if (known ? watch->now[group].kills <= watch->start[group].kills : host <= watch->host_kills)
        return false;
    death->killed = killed;
    if (group > OUT_OF_MEMORY_TARGETS)
        return true;
    const struct cgroup_memory *before = &watch->start[group], *now = &watch->now[group];
    death->limit_bytes = before->limit_bytes;
    death->unified = before->unified;
    death->by_limit = before->limit_bytes >= 0 && (before->hits < 0 || now->hits > before->hits);
    if (before->limited[0])
        snprintf(death->file, sizeof death->file, "%s/%s", before->limited, cgroup_memory_file(before));
    return true;
}

bool out_of_memory_of_workers(struct out_of_memory *watch, int64_t killed, struct memory_death *death)
{
    return is_of_memory(watch, WORKERS, killed, death);
}

bool out_of_memory_of_target(struct out_of_memory *watch, const struct targets *targets,
                             struct memory_death *death)
{
    *death = (struct memory_death){.limit_bytes = -1};
    for (int i = 0; i < targets->count; i++)
        if (targets_killed(targets, i) && is_of_memory(watch, 1 + i, 1, death))
            return true;
    return false;
}
