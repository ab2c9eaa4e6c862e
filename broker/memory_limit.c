// SPDX-License-Identifier: Apache-2.0
#include "broker/memory_limit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

// INT64_MAX when the file does not exist, or says "max".
static int64_t read_limit(const char *path)
{
    int64_t limit = INT64_MAX;
    FILE *file = fopen(path, "re");
    if (!file)
        return INT64_MAX;
    if (fscanf(file, "%" SCNd64, &limit) != 1 || limit <= 0)
        limit = INT64_MAX;
    fclose(file);
    return limit;
}

// The least limit of a group and its parents, because a parent's limit holds for its children too.
static int64_t least_up(const char *mount, const char *controller, char *group, const char *file)
{
    int64_t least = INT64_MAX;
    for (;;) {
        char path[3 * PATH_BYTES];
        snprintf(path, sizeof path, "%s%s%s/%s", mount, controller, group, file);
        int64_t limit = read_limit(path);
        least = limit < least ? limit : least;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t bytes = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += bytes)
        if ((at == list || at[-1] == ',') && (at[bytes] == '\0' || at[bytes] == ','))
            return true;
    return false;
}

int64_t memory_limit_of_groups(const char *cgroups, const char *mount)
{
    char line[PATH_BYTES];
    int64_t least = INT64_MAX;
    FILE *file = fopen(cgroups, "re");
    if (!file)
        return INT64_MAX;
    while (fgets(line, sizeof line, file)) { // hierarchy:controllers:path
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        int64_t limit = INT64_MAX;
        if (controllers[0] == '\0')
            limit = least_up(mount, "", group, "memory.max");
        else if (has_word(controllers, "memory"))
            limit = least_up(mount, "/memory", group, "memory.limit_in_bytes");
        least = limit < least ? limit : least;
    }
    fclose(file);
    return least;
}

int64_t memory_limit_of_process(void)
{
    int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    int64_t machine = pages > 0 && page_bytes > 0 ? pages * page_bytes : INT64_MAX;
    int64_t groups = memory_limit_of_groups("/proc/self/cgroup", "/sys/fs/cgroup");
    int64_t least = groups < machine ? groups : machine;
    return least == INT64_MAX ? 0 : least;
}
