// SPDX-License-Identifier: Apache-2.0
#include "loadgen/target_settings.h"

#include "base/cgroup.h"
#include "base/host_settings.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static json_t *cores_of(pid_t pid)
{
    cpu_set_t set;
    return sched_getaffinity(pid, sizeof set, &set) == 0 ? json_integer(CPU_COUNT(&set)) : NULL;
}

static json_t *nice_of(pid_t pid)
{
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, (id_t)pid);
    return errno == 0 ? json_integer(nice) : NULL;
}

static json_t *scheduling_of(pid_t pid)
{
    const char *name = host_scheduling(pid);
    return name ? json_string(name) : NULL;
}

static json_t *quota_of(pid_t pid)
{
    struct cgroup group;
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/cgroup", (long long)pid);
    if (access(path, R_OK) < 0)
        return NULL;
    cgroup_read(&group, "", pid);
    return group.cpu_quota_cores >= 0 ? json_real(group.cpu_quota_cores) : json_string("none");
}

static bool has(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
    {
        if (json_equal(one, value))
            return true;
    }
    return false;
}

// Each value that one of the processes has; null when one cannot be read.
static json_t *all_of(const int64_t *pids, int count, json_t *(*read)(pid_t pid))
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *value = read((pid_t)pids[i]);
        if (!value) {
            json_decref(list);
            return json_null();
        }
        if (has(list, value))
            json_decref(value);
        else
            json_array_append_new(list, value);
    }
    return list;
}

json_t *target_settings(const int64_t *pids, int count)
{
    if (count == 0)
        return json_object();
    return json_pack("{s:o,s:o,s:o,s:o}", "target_cores", all_of(pids, count, cores_of), "target_nice",
                     all_of(pids, count, nice_of), "target_scheduling", all_of(pids, count, scheduling_of),
                     "target_quota", all_of(pids, count, quota_of));
}
