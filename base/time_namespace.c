// SPDX-License-Identifier: Apache-2.0
#include "base/time_namespace.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool known; // written once, at the start

int time_namespace_parse(const char *text, int64_t *ns)
{
    int64_t seconds, rest;
    const char *line = strstr(text, "monotonic");
    if (!line || sscanf(line, "monotonic %" SCNd64 " %" SCNd64, &seconds, &rest) != 2)
        return -EPROTO;
    *ns = seconds * NS_PER_S + rest; // of a time before, the seconds are below 0 and the rest is not
    return 0;
}

int time_namespace_join(struct err *err)
{
    char text[256];
    struct stat own, children;
    int64_t ns = 0;
    known = false;
    if (stat("/proc/self/ns/time", &own) < 0 || stat("/proc/self/ns/time_for_children", &children) < 0) {
        known = errno == ENOENT; // before Linux 5.6, or without them
        return known ? 0 : err_set(err, -errno, "cannot read the time namespace of this process: %m");
    }
    if (own.st_ino != children.st_ino)
        return err_set(
            err, -EXDEV,
            "the processes that this one starts would have another clock (a time namespace for children "
            "only): no time of theirs could be compared; start it by unshare --time --fork");
    ssize_t bytes = text_file_read("/proc/self/timens_offsets", text, sizeof text);
    int code = bytes < 0 ? (int)bytes : time_namespace_parse(text, &ns);
    if (code < 0)
        return err_set(err, code, "cannot read /proc/self/timens_offsets: %s", strerror(-code));
    clock_take_off(ns);
    known = true;
    return 0;
}

bool time_namespace_known(void)
{
    return known;
}
