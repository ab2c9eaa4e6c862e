// SPDX-License-Identifier: Apache-2.0
// Documentation of the kernel: accounting/psi.rst, admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst.
#include "pools/pressure_source.h"

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TEXT_SIZE = 4096, BELOW_PERCENT = 5 };
#define HOST_STALL_FILE "/proc/pressure/memory"
// Version 1 reports "no limit" as a number near the largest.
#define NO_LIMIT (INT64_MAX / 2)

static void path_in(char path[static PRESSURE_PATH_SIZE + 64], const char *folder, const char *name)
{
    snprintf(path, PRESSURE_PATH_SIZE + 64, "%s/%s", folder, name);
}

// The number in a file of the folder; INT64_MAX for "max"; -1 when it cannot be read.
static int64_t read_number(const char *folder, const char *name)
{
    char path[PRESSURE_PATH_SIZE + 64], text[TEXT_SIZE];
    int64_t number;
    path_in(path, folder, name);
    if (text_file_read(path, text, sizeof text) < 0)
        return -1;
    if (strncmp(text, "max", 3) == 0)
        return INT64_MAX;
    return text_file_number(text, "", &number) == 0 ? number : -1;
}

static bool has_files(const char *folder, bool *unified)
{
    *unified = read_number(folder, "memory.current") >= 0;
    return *unified || read_number(folder, "memory.usage_in_bytes") >= 0;
}

// -1: none. An operator sets memory.high where the group is to be throttled, and memory.max where it is to end.
static int64_t limit_of(const char *folder, bool unified)
{
    int64_t limit = read_number(folder, unified ? "memory.high" : "memory.limit_in_bytes");
    if (unified && (limit < 0 || limit >= NO_LIMIT))
        limit = read_number(folder, "memory.max");
    return limit < NO_LIMIT ? limit : -1;
}

// The mark of a limit, and what to go down to. Limits are below NO_LIMIT: no product overflows.
static int64_t share_of(int64_t limit, int percent)
{
    return limit / 100 * percent + limit % 100 * percent / 100;
}

// The nearest group of this process that has a limit, else its own; "" without any.
static void find_group(struct pressure_group *group)
{
    char own[PRESSURE_PATH_SIZE];
    bool unified = false;
    size_t top = cgroup_memory_folder(own, sizeof own, &unified, "", getpid());
    if (!top)
        return;
    bool is_there = has_files(own, &group->unified);
    if (is_there)
        memcpy(group->folder, own, sizeof own);
    do {
        if (has_files(own, &unified) && limit_of(own, unified) >= 0) {
            memcpy(group->folder, own, sizeof own);
            group->unified = unified;
            return;
        }
    } while (cgroup_folder_up(own, top));
}

static int64_t events_of(int fd)
{
    char text[TEXT_SIZE];
    int64_t high = 0, most = 0;
    // By this descriptor: that answers it (kernfs compares with what it read last).
    ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
    if (bytes < 0)
        return -1;
    text[bytes] = '\0';
    (void)!text_file_number(text, "high ", &high);
    (void)!text_file_number(text, "max ", &most);
    return high + most;
}

// An eventfd that the kernel writes to when the use of a group of version 1 passes its mark, up or down. -1
// when it cannot be had.
static int arm_threshold(const char *folder, int64_t mark)
{
    char path[PRESSURE_PATH_SIZE + 64], line[80];
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), usage = -1, control = -1;
    path_in(path, folder, "memory.usage_in_bytes");
    if (event >= 0)
        usage = open(path, O_RDONLY | O_CLOEXEC);
    path_in(path, folder, "cgroup.event_control");
    if (usage >= 0)
        control = open(path, O_WRONLY | O_CLOEXEC);
    int length = snprintf(line, sizeof line, "%d %d %lld", event, usage, (long long)mark);
    bool armed = control >= 0 && write(control, line, (size_t)length) == length;
    if (control >= 0)
        close(control);
    if (usage >= 0)
        close(usage);
    if (armed)
        return event;
    if (event >= 0)
        close(event);
    return -1;
}

int pressure_group_open(struct pressure_group *group, const char *folder, int percent, struct err *err)
{
    *group = (struct pressure_group){.percent = percent, .fd = -1};
    if (!folder) {
        find_group(group);
    } else if (*folder) {
        if (strlen(folder) >= sizeof group->folder || !has_files(folder, &group->unified))
            return err_set(err, -EINVAL,
                           "memory pressure: %s: no control group: neither memory.current nor "
                           "memory.usage_in_bytes can be read there",
                           folder);
        memcpy(group->folder, folder, strlen(folder) + 1);
    }
    if (!group->folder[0])
        return 0;
    int64_t limit = limit_of(group->folder, group->unified);
    if (!group->unified) {
        group->fd = limit < 0 ? -1 : arm_threshold(group->folder, share_of(limit, percent));
        return 0;
    }
    char path[PRESSURE_PATH_SIZE + 64];
    path_in(path, group->folder, "memory.events");
    group->fd = open(path, O_RDONLY | O_CLOEXEC);
    group->events = group->fd >= 0 ? events_of(group->fd) : 0;
    return 0;
}

void pressure_group_close(struct pressure_group *group)
{
    if (group->fd >= 0)
        close(group->fd);
    group->fd = -1;
}

// Answers the descriptor. Version 2: were events counted since the last look? Version 1: was the mark passed,
// up or down?
static bool answer(struct pressure_group *group)
{
    uint64_t crossed;
    if (group->fd < 0)
        return false;
    if (!group->unified) {
        return read(group->fd, &crossed, sizeof crossed) == (ssize_t)sizeof crossed;
    }
    int64_t events = events_of(group->fd);
    bool more = events > group->events;
    if (events < 0) { // the group is gone
        pressure_group_close(group);
        return false;
    }
    group->events = events;
    return more;
}

int64_t pressure_group_excess(struct pressure_group *group)
{
    if (!group->folder[0])
        return 0;
    bool more = answer(group);
    int64_t limit = limit_of(group->folder, group->unified);
    int64_t used = read_number(group->folder, group->unified ? "memory.current" : "memory.usage_in_bytes");
    if (limit < 0 || used < 0)
        return 0;
    int64_t mark = share_of(limit, group->percent), below = share_of(limit, BELOW_PERCENT);
    int64_t aim = mark > below ? mark - below : 0;
    // Told that the mark was passed, a little below it is above: the kernel takes back what it charged ahead, and
    // does not tell again when the use rises once more.
    if (used > mark || (more && !group->unified && used > aim))
        return used - aim;
    return more && group->unified ? below : 0;
}

// --- stalls ---------------------------------------------------------------------------------------------

static int64_t total_us_of(const char *file)
{
    char text[TEXT_SIZE];
    int64_t total;
    if (text_file_read(file, text, sizeof text) < 0 || strncmp(text, "some ", 5) != 0)
        return -1;
    const char *at = strstr(text, "total=");
    return at && text_file_number(at, "total=", &total) == 0 ? total : -1;
}

static int arm_trigger(const char *file, int64_t stall_us, int64_t window_us)
{
    char line[80];
    int fd = open(file, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int length = snprintf(line, sizeof line, "some %lld %lld", (long long)stall_us, (long long)window_us);
    if (write(fd, line, (size_t)length + 1) >= 0)
        return fd;
    close(fd);
    return -1;
}

void pressure_stall_open(struct pressure_stall *stall, const char *file, const struct pressure_group *group,
                         int64_t stall_us, int64_t window_us)
{
    *stall = (struct pressure_stall){.stall_us = stall_us, .window_us = window_us, .fd = -1};
    char path[PRESSURE_PATH_SIZE + 64];
    if (file)
        snprintf(path, sizeof path, "%s", file);
    else
        path_in(path, group->folder, "memory.pressure");
    if (!file && (!group->folder[0] || total_us_of(path) < 0))
        snprintf(path, sizeof path, HOST_STALL_FILE);
    stall->total_us = total_us_of(path);
    stall->read_ns = clock_now_ns();
    if (stall->total_us < 0 || strlen(path) >= sizeof stall->file)
        return;
    memcpy(stall->file, path, strlen(path) + 1);
    stall->fd = arm_trigger(path, stall_us, window_us);
}

void pressure_stall_close(struct pressure_stall *stall)
{
    if (stall->fd >= 0)
        close(stall->fd);
    stall->fd = -1;
}

bool pressure_stall_is_there(struct pressure_stall *stall, bool told)
{
    if (!stall->file[0])
        return false;
    int64_t total_us = total_us_of(stall->file), now_ns = clock_now_ns();
    if (total_us < 0)
        return told;
    int64_t stalled_us = total_us - stall->total_us, took_us = (now_ns - stall->read_ns) / NS_PER_US;
    stall->total_us = total_us;
    stall->read_ns = now_ns;
    // Of a longer time than the window, the average.
    double allowed_us = (double)stall->stall_us;
    if (took_us > stall->window_us)
        allowed_us *= (double)took_us / (double)stall->window_us;
    return told || (stalled_us > 0 && (double)stalled_us >= allowed_us);
}
