// SPDX-License-Identifier: Apache-2.0
#include "loadgen/family.h"

#include "base/text_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_pid(const void *a, const void *b)
{
    const struct relative *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

static struct relative *find_relative(const struct family *family, int pid)
{
    struct relative key = {.pid = pid};
    return family->count == 0 ? NULL : bsearch(&key, family->list, (size_t)family->count, sizeof key, by_pid);
}

// The parent by /proc/PID/stat; 0: it has ended, or may not be looked at.
static int parent_of(int pid)
{
    char path[64], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (text_file_read(path, text, sizeof text) <= 0)
        return 0;
    const char *after = strrchr(text, ')'); // the name before it may hold anything
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool add_relative(struct family *family, int pid)
{
    if (family->count == family->capacity) {
        int capacity = family->capacity ? family->capacity * 2 : 1024;
        struct relative *list = realloc(family->list, (size_t)capacity * sizeof *list);
        if (!list)
            return false;
        family->list = list;
        family->capacity = capacity;
    }
    family->list[family->count++] = (struct relative){.pid = pid, .parent = parent_of(pid)};
    return true;
}

// The generator itself may be a child of what it watches; it is not followed.
static bool mark_children(struct family *family)
{
    bool more = false;
    for (int i = 0; i < family->count; i++) {
        struct relative *one = &family->list[i], *parent = find_relative(family, one->parent);
        if (parent && (parent->kin == KIN_WATCHED || parent->kin == KIN_CHILD) && one->kin == KIN_NONE &&
            one->pid != getpid()) {
            one->kin = KIN_CHILD;
            more = true;
        }
    }
    return more;
}

static void mark_siblings(struct family *family)
{
    for (int i = 0; i < family->count; i++) {
        int parent = family->list[i].kin == KIN_WATCHED ? family->list[i].parent : 0;
        for (int j = 0; parent > 1 && j < family->count; j++)
            if (family->list[j].parent == parent && family->list[j].kin == KIN_NONE &&
                family->list[j].pid != getpid())
                family->list[j].kin = KIN_SIBLING;
    }
}

void family_read(struct family *family, const int64_t *pids, int count)
{
    *family = (struct family){0};
    DIR *dir = opendir("/proc");
    family->read = dir;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int pid = atoi(entry->d_name);
        if (pid > 0)
            family->read = add_relative(family, pid) && family->read;
    }
    if (dir)
        closedir(dir);
    if (family->count > 0)
        qsort(family->list, (size_t)family->count, sizeof *family->list, by_pid);
    for (int i = 0; i < count; i++) {
        struct relative *watched = find_relative(family, (int)pids[i]);
        if (watched)
            watched->kin = KIN_WATCHED;
    }
    while (mark_children(family))
        ;
    mark_siblings(family);
}

int family_children(const struct family *family)
{
    int children = 0;
    for (int i = 0; i < family->count; i++)
        children += family->list[i].kin == KIN_CHILD;
    return children;
}
