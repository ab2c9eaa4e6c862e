// SPDX-License-Identifier: Apache-2.0
#include "loadgen/surroundings.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <stdio.h>
#include <string.h>
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

static uint64_t hashed(uint64_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3); // FNV-1a
    return hash;
}

// The groups that may have a quota: of version 2 (no controllers are named), and of the controller cpu. A hash of their
// paths, and the last of these into `path`; 0 when they cannot be read.
static uint64_t groups_of(int64_t pid, char path[static SURROUNDINGS_GROUP_BYTES])
{
    char name[64], text[4096];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    snprintf(name, sizeof name, "/proc/%lld/cgroup", (long long)pid);
    if (text_file_read(name, text, sizeof text) <= 0)
        return 0;
    path[0] = '\0';
    for (char *line = text, *end; *line; line = end + (*end != '\0')) {
        end = line + strcspn(line, "\n");
        char *names = memchr(line, ':', (size_t)(end - line));
        char *folder = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;
        if (!folder)
            continue;
        size_t length = (size_t)(folder - names - 1);
        bool unified = length == 0;
        bool cpu =
            (length == 3 && strncmp(names + 1, "cpu", 3) == 0) ||
            (length > 3 && (strncmp(names + 1, "cpu,", 4) == 0 || strncmp(folder - 4, ",cpu", 4) == 0));
        if (!unified && !cpu)
            continue;
        hash = hashed(hash, names, (size_t)(end - names));
        if (cpu || !path[0])
            snprintf(path, SURROUNDINGS_GROUP_BYTES, "%.*s", (int)(end - folder - 1), folder + 1);
    }
    return hash;
}

static int64_t more(int64_t before, int64_t now)
{
    return before >= 0 && now > before ? now - before : 0;
}

// In another group than its own: what that took since the last look. What it took before the first is not known.
static void look_at_group(struct surroundings_group *group, int64_t pid)
{
    char path[SURROUNDINGS_GROUP_BYTES];
    uint64_t now = groups_of(pid, path), before = group->now;
    if (now == 0)
        return;
    if (now != group->home) {
        struct cgroup counts;
        cgroup_read(&counts, "", (pid_t)pid);
        if (now == before) {
            group->periods += more(group->last.throttled_periods, counts.throttled_periods);
            group->ns += more(group->last.throttled_ns, counts.throttled_ns);
        }
        group->last = counts;
        memcpy(group->other, path, sizeof path);
    }
    group->moves += now != before;
    group->now = now;
}

void surroundings_throttling(const struct surroundings *surroundings, int i, struct cgroup *now)
{
    const struct surroundings_group *group = &surroundings->groups[i];
    const struct cgroup *start = &surroundings->targets[i];
    cgroup_read(now, "", (pid_t)surroundings->pids[i]);
    if (group->now != group->home) { // what its own had added when it left is not known
        now->throttled_periods = start->throttled_periods;
        now->throttled_ns = start->throttled_ns;
    }
    if (now->throttled_periods >= 0)
        now->throttled_periods += group->periods;
    if (now->throttled_ns >= 0)
        now->throttled_ns += group->ns;
}

void surroundings_start(struct surroundings *surroundings, const int64_t *pids, int count)
{
    *surroundings = (struct surroundings){.ahead_ns = ahead_ns()};
    surroundings->target_count = count < SURROUNDINGS_TARGETS_MAX ? count : SURROUNDINGS_TARGETS_MAX;
    cgroup_read(&surroundings->generator, "", getpid());
    for (int i = 0; i < surroundings->target_count; i++) {
        surroundings->pids[i] = pids[i];
        cgroup_read(&surroundings->targets[i], "", (pid_t)pids[i]);
        struct surroundings_group *group = &surroundings->groups[i];
        group->home = group->now = groups_of(pids[i], group->other);
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
    for (int i = 0; i < surroundings->target_count; i++)
        look_at_group(&surroundings->groups[i], surroundings->pids[i]);
    if (step_ns > -STEP_NS && step_ns < STEP_NS)
        return;
    surroundings->stepped_ns += step_ns;
    surroundings->steps++;
}
