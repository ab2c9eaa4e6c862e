// SPDX-License-Identifier: Apache-2.0
#include "loadgen/surroundings.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Slewing moves a clock by at most half a millisecond a second; setting it makes it jump.
#define STEP_NS (100 * NS_PER_MS)

static int64_t ahead_ns(void)
{
    return clock_wall_ns() - clock_now_ns();
}

static bool has_own_network(int64_t pid)
{
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof path, "/proc/%lld/ns/net", (long long)pid);
    return stat("/proc/self/ns/net", &own) == 0 && stat(path, &other) == 0 && own.st_ino != other.st_ino;
}

void surroundings_start(struct surroundings *surroundings, const int64_t *pids, int count)
{
    *surroundings = (struct surroundings){.ahead_ns = ahead_ns()};
    surroundings->target_count = count < SURROUNDINGS_TARGETS_MAX ? count : SURROUNDINGS_TARGETS_MAX;
    cgroup_read(&surroundings->generator, "", getpid());
    for (int i = 0; i < surroundings->target_count; i++) {
        surroundings->pids[i] = pids[i];
        cgroup_read(&surroundings->targets[i], "", (pid_t)pids[i]);
    }
    netstat_read(&surroundings->net, 0);
    surroundings->has_target_net = count > 0 && has_own_network(pids[0]);
    if (surroundings->has_target_net)
        netstat_read(&surroundings->target_net, (pid_t)pids[0]);
}

void surroundings_look(struct surroundings *surroundings)
{
    int64_t now_ns = ahead_ns(), step_ns = now_ns - surroundings->ahead_ns;
    surroundings->ahead_ns = now_ns;
    if (step_ns > -STEP_NS && step_ns < STEP_NS)
        return;
    surroundings->stepped_ns += step_ns;
    surroundings->steps++;
}
