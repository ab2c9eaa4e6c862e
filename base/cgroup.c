// SPDX-License-Identifier: Apache-2.0
// cgroups(7), and Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel.
#include "base/cgroup.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 65536, PATH_SIZE = 4096, VALUE_SIZE = 4096 };
// Version 1 reports "no limit" as a number near the largest.
#define NO_LIMIT (INT64_MAX / 2)

struct hierarchy {
    char mount[PATH_SIZE]; // where it is mounted; "" when it is not
    char mount_root[PATH_SIZE];
    bool unified; // version 2
};

static bool has_word(const char *list, const char *word, const char *separators)
{
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        size_t part = strcspn(at, separators);
        if (part == length && strncmp(at, word, length) == 0)
            return true;
        at += part + (at[part] != '\0');
    }
    return false;
}

// Where `controller` is mounted: in a hierarchy of its own (version 1), or in the unified one. NULL: the unified one.
static void find_mount(struct hierarchy *found, const char *mountinfo, const char *controller)
{
    *found = (struct hierarchy){.unified = false};
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char root[PATH_SIZE], mount[PATH_SIZE], type[32], options[512];
        const char *after = strstr(line, " - ");
        const char *end = strchr(line, '\n');
        if (!after || (end && after > end) || sscanf(line, "%*d %*d %*s %4095s %4095s", root, mount) != 2 ||
            sscanf(after, " - %31s %*s %511s", type, options) != 2)
            continue;
        bool own = controller && strcmp(type, "cgroup") == 0 && has_word(options, controller, ",");
        if (!own && (strcmp(type, "cgroup2") != 0 || found->mount[0]))
            continue;
        snprintf(found->mount, sizeof found->mount, "%s", mount);
        snprintf(found->mount_root, sizeof found->mount_root, "%s", root);
        found->unified = !own;
        if (own)
            return;
    }
}

// The path of the process's group in that hierarchy, from /proc/PID/cgroup; "" when it has none.
static void find_path(char path[static PATH_SIZE], const char *text, const char *controller, bool unified)
{
    path[0] = '\0';
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *first = strchr(line, ':');
        const char *second = first ? strchr(first + 1, ':') : NULL;
        if (!second)
            return;
        char names[256];
        snprintf(names, sizeof names, "%.*s", (int)(second - first - 1), first + 1);
        if (unified ? names[0] == '\0' : has_word(names, controller, ",")) {
            snprintf(path, PATH_SIZE, "%.*s", (int)strcspn(second + 1, "\n"), second + 1);
            return;
        }
    }
}

// false when there is no such file.
static bool read_value(const char *folder, const char *name, char text[static VALUE_SIZE])
{
    char path[3 * PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return text_file_read(path, text, VALUE_SIZE) >= 0;
}

// The number in a file of the group, if it is less than what `*least` has; -1 is no limit, as "max" is.
static void take_least(int64_t *least, const char *folder, const char *name)
{
    char text[VALUE_SIZE];
    if (!read_value(folder, name, text) || text[0] < '0' || text[0] > '9')
        return;
    int64_t limit = strtoll(text, NULL, 10);
    if (limit < NO_LIMIT && (*least < 0 || limit < *least))
        *least = limit;
}

static void take_memory(struct cgroup *cgroup, const char *folder, bool unified)
{
    take_least(&cgroup->memory_limit_bytes, folder, unified ? "memory.max" : "memory.limit_in_bytes");
    if (unified)
        take_least(&cgroup->memory_high_bytes, folder, "memory.high");
}

static void take_quota(struct cgroup *cgroup, const char *folder, bool unified)
{
    char text[VALUE_SIZE];
    int64_t quota = -1, period = -1;
    if (unified) {
        if (read_value(folder, "cpu.max", text))
            sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period);
    } else if (read_value(folder, "cpu.cfs_quota_us", text)) {
        quota = strtoll(text, NULL, 10);
        if (read_value(folder, "cpu.cfs_period_us", text))
            period = strtoll(text, NULL, 10);
    }
    if (quota <= 0 || period <= 0)
        return;
    double cores = (double)quota / (double)period;
    cgroup->cpu_unified = unified;
    if (cgroup->cpu_quota_cores < 0 || cores < cgroup->cpu_quota_cores)
        cgroup->cpu_quota_cores = cores;
}

static void add(int64_t *sum, int64_t value)
{
    *sum = (*sum < 0 ? 0 : *sum) + value;
}

static void take_throttling(struct cgroup *cgroup, const char *folder, bool unified)
{
    char text[VALUE_SIZE];
    int64_t periods, time;
    if (!read_value(folder, "cpu.stat", text) || text_file_number(text, "nr_throttled ", &periods) < 0)
        return;
    add(&cgroup->throttled_periods, periods);
    if (text_file_number(text, unified ? "throttled_usec " : "throttled_time ", &time) == 0)
        add(&cgroup->throttled_ns, unified ? time * NS_PER_US : time);
}

static void take_pids(struct cgroup *cgroup, const char *folder, bool unified)
{
    (void)unified; // the files are those of version 1
    char text[VALUE_SIZE];
    int64_t refused;
    if (read_value(folder, "pids.events", text) && text_file_number(text, "max ", &refused) == 0)
        add(&cgroup->pids_refused, refused);
    int64_t limit = -1, now = 0;
    take_least(&limit, folder, "pids.max");
    if (limit < 0)
        return;
    take_least(&cgroup->pids_limit, folder, "pids.max");
    if (read_value(folder, "pids.current", text))
        now = strtoll(text, NULL, 10);
    int64_t left = limit > now ? limit - now : 0;
    if (cgroup->pids_left < 0 || left < cgroup->pids_left)
        cgroup->pids_left = left;
}

// The folder of the process's group in that hierarchy, into `folder`. Returns the length of the part that is the top
// of the tree; 0 when there is no such group.
static size_t locate_in(char *folder, size_t size, const struct hierarchy *found, const char *root,
                        const char *groups, const char *controller)
{
    char path[PATH_SIZE];
    if (!found->mount[0])
        return 0;
    find_path(path, groups, controller, found->unified);
    if (!path[0])
        return 0;
    // In a container the mount shows a part of the tree: strip the root of the mount.
    const char *below = path;
    size_t shown = strcmp(found->mount_root, "/") == 0 ? 0 : strlen(found->mount_root);
    if (strncmp(path, found->mount_root, shown) == 0)
        below = path + shown;
    snprintf(folder, size, "%s%s%s", root, found->mount, strcmp(below, "/") == 0 ? "" : below);
    return strlen(root) + strlen(found->mount);
}

// The same in the hierarchy that has the controller.
static size_t locate(char *folder, size_t size, bool *unified, const char *root, const char *mountinfo,
                     const char *groups, const char *controller)
{
    struct hierarchy found;
    find_mount(&found, mountinfo, controller);
    *unified = found.unified;
    return locate_in(folder, size, &found, root, groups, controller);
}

// Calls `take` for the process's group and each visible group above it.
static void walk(struct cgroup *cgroup, const char *root, const char *mountinfo, const char *groups,
                 const char *controller, void (*take)(struct cgroup *, const char *, bool))
{
    char folder[3 * PATH_SIZE];
    bool unified = false;
    size_t top = locate(folder, sizeof folder, &unified, root, mountinfo, groups, controller);
    while (top) {
        take(cgroup, folder, unified);
        if (!cgroup_folder_up(folder, top))
            return;
    }
}

bool cgroup_folder_up(char *folder, size_t top)
{
    char *slash = strrchr(folder, '/');
    if (!slash || (size_t)(slash - folder) < top)
        return false;
    *slash = '\0';
    return true;
}

// The texts of /proc/self/mountinfo and /proc/PID/cgroup, TEXT_SIZE each. False when one cannot be read.
static bool read_texts(const char *root, pid_t pid, char *mountinfo, char *groups)
{
    char path[PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    if (text_file_read(path, mountinfo, TEXT_SIZE) < 0)
        return false;
    snprintf(path, sizeof path, "%s/proc/%d/cgroup", root, (int)pid);
    return text_file_read(path, groups, TEXT_SIZE) >= 0;
}

void cgroup_read(struct cgroup *cgroup, const char *root, pid_t pid)
{
    *cgroup = (struct cgroup){-1, -1, -1, -1, -1, -1, -1, -1, false};
    char *mountinfo = malloc(TEXT_SIZE), *groups = malloc(TEXT_SIZE);
    if (mountinfo && groups && read_texts(root, pid, mountinfo, groups)) {
        walk(cgroup, root, mountinfo, groups, "memory", take_memory);
        walk(cgroup, root, mountinfo, groups, "cpu", take_quota);
        walk(cgroup, root, mountinfo, groups, "cpu", take_throttling);
        walk(cgroup, root, mountinfo, groups, "pids", take_pids);
    }
    free(mountinfo);
    free(groups);
}

size_t cgroup_memory_folder(char *folder, size_t size, bool *unified, const char *root, pid_t pid)
{
    size_t top = 0;
    char *mountinfo = malloc(TEXT_SIZE), *groups = malloc(TEXT_SIZE);
    if (mountinfo && groups && read_texts(root, pid, mountinfo, groups))
        top = locate(folder, size, unified, root, mountinfo, groups, "memory");
    free(mountinfo);
    free(groups);
    return top;
}

// --- freezers ------------------------------------------------------------------------------------------------

#define FREEZER "freezer" // the controller of version 1

struct cgroup_freezers {
    struct hierarchy old, unified; // of version 1 and 2; no mount: there is none
};

struct cgroup_freezers *cgroup_find_freezers(const char *root)
{
    char path[PATH_SIZE + 64];
    char *mountinfo = malloc(TEXT_SIZE);
    struct cgroup_freezers *found = calloc(1, sizeof *found);
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    if (found && mountinfo && text_file_read(path, mountinfo, TEXT_SIZE) >= 0) {
        find_mount(&found->unified, mountinfo, NULL);
        find_mount(&found->old, mountinfo, FREEZER);
        if (found->old.unified)
            found->old.mount[0] = '\0';
    }
    free(mountinfo);
    if (found && !found->old.mount[0] && !found->unified.mount[0]) {
        free(found);
        return NULL;
    }
    return found;
}

int cgroup_is_frozen(const struct cgroup_freezers *freezers, const char *root, pid_t pid)
{
    char groups[VALUE_SIZE], path[PATH_SIZE + 64], folder[3 * PATH_SIZE], text[VALUE_SIZE];
    int64_t frozen = -1, unified = -1;
    snprintf(path, sizeof path, "%s/proc/%d/cgroup", root, (int)pid);
    if (!freezers || text_file_read(path, groups, sizeof groups) < 0)
        return -1;
    // Both files are of what is in force, by whichever group it was asked for. The top group has none, and is never frozen.
    if (locate_in(folder, sizeof folder, &freezers->old, root, groups, FREEZER))
        frozen = read_value(folder, "freezer.state", text) && strcmp(text, "FROZEN\n") == 0;
    if (locate_in(folder, sizeof folder, &freezers->unified, root, groups, NULL))
        unified = read_value(folder, "cgroup.events", text) &&
                  text_file_number(text, "frozen ", &unified) == 0 && unified == 1;
    return (int)(frozen > unified ? frozen : unified);
}
