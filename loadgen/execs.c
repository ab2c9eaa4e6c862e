// SPDX-License-Identifier: Apache-2.0
#include "loadgen/execs.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAT_BYTES = 4096, STACK_FIELD = 28 };
#define LOOK_EVERY_NS (500 * NS_PER_MS)

// Field 28 of /proc/PID/stat. 0: it is hidden from this user, or the process is gone.
static uint64_t stack_of(int64_t pid)
{
    char path[64], text[STAT_BYTES];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (text_file_read(path, text, sizeof text) < 0)
        return 0;
    char *at = strrchr(text, ')'), *rest = NULL; // the name before it may hold anything
    int field = 2;
    for (char *word = at ? strtok_r(at + 1, " \n", &rest) : NULL; word; word = strtok_r(NULL, " \n", &rest))
        if (++field == STACK_FIELD)
            return strtoull(word, NULL, 10);
    return 0;
}

static void name_of(const char *path, char name[static EXECS_NAME_BYTES])
{
    ssize_t bytes = readlink(path, name, EXECS_NAME_BYTES - 1);
    name[bytes > 0 ? bytes : 0] = '\0';
    for (char *at = name; *at; at++)
        *at = *at >= ' ' && *at <= '~' ? *at : '?';
}

static struct exec_image image_of(int64_t pid)
{
    struct exec_image image = {.stack = stack_of(pid)};
    struct stat facts;
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/exe", pid);
    if (stat(path, &facts) == 0) {
        image.device = facts.st_dev;
        image.inode = facts.st_ino;
        name_of(path, image.name);
    }
    return image;
}

static bool is_other(const struct exec_image *one, const struct exec_image *other)
{
    if (one->inode == 0 || other->inode == 0)
        return false; // a process that has ended has none any more
    return one->device != other->device || one->inode != other->inode ||
           (one->stack > 1 && other->stack > 1 && one->stack != other->stack);
}

int execs_open(struct execs *execs, const int64_t *pids, int count, int64_t now_ns)
{
    *execs = (struct execs){.started_ns = now_ns, .looked_ns = now_ns};
    execs->list = calloc((size_t)count + 1, sizeof *execs->list);
    if (!execs->list)
        return -ENOMEM;
    execs->count = count;
    for (int i = 0; i < count; i++)
        execs->list[i] = (struct execs_of){.pid = pids[i], .first = image_of(pids[i])};
    return 0;
}

void execs_close(struct execs *execs)
{
    free(execs->list);
    *execs = (struct execs){.count = 0};
}

bool execs_look(struct execs *execs, int64_t now_ns, bool at_once)
{
    bool more = false;
    if (!at_once && now_ns - execs->looked_ns < LOOK_EVERY_NS)
        return false;
    execs->looked_ns = now_ns;
    for (int i = 0; i < execs->count; i++) {
        struct execs_of *of = &execs->list[i];
        if (of->changed_ns > 0)
            continue;
        of->now = image_of(of->pid);
        if (!is_other(&of->first, &of->now))
            continue;
        of->changed_ns = now_ns;
        execs->changed++;
        more = true;
    }
    return more;
}

const char *execs_tell(const struct execs *execs, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < execs->count && !text[0]; i++) {
        const struct execs_of *of = &execs->list[i];
        if (of->changed_ns == 0)
            continue;
        bool same = of->first.device == of->now.device && of->first.inode == of->now.inode;
        char others[48] = "";
        if (execs->changed > 1)
            snprintf(others, sizeof others, ", and %d other%s did", execs->changed - 1,
                     execs->changed == 2 ? "" : "s");
        snprintf(text, size,
                 "the watched process %lld executed %s (exec), seen %.1f s after the run's begin: %s%s%s%s",
                 (long long)of->pid, same ? "its program anew" : "another program",
                 (double)(of->changed_ns - execs->started_ns) / 1e9, of->first.name, same ? "" : ", then ",
                 same ? "" : of->now.name, others);
    }
    return text;
}
