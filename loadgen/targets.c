// SPDX-License-Identifier: Apache-2.0
#include "loadgen/targets.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, NOT_KNOWN = -1, READ_EVERY_NS = 100000000 };

// From linux/pidfd.h of Linux 6.15; older headers lack it.
struct exit_info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
#define EXIT_INFO_CALL _IOWR(0xFF, 11, struct exit_info)
#define EXIT_INFO_EXIT (UINT64_C(1) << 3)

struct status {
    char state;
    int64_t threads, start_ticks;
    int wait_status;
};

// From /proc/PID/stat, fields 3, 20, 22 and 52. -errno when there is none.
static int read_status(int64_t pid, struct status *status)
{
    char path[64], text[TEXT_BYTES];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    ssize_t bytes = text_file_read(path, text, sizeof text);
    if (bytes < 0)
        return (int)bytes;
    // The second field is the program's name, in parentheses, and may hold anything.
    char *at = strrchr(text, ')');
    if (!at)
        return -EPROTO;
    int field = 2;
    *status = (struct status){.wait_status = NOT_KNOWN};
    for (char *rest = NULL, *word = strtok_r(at + 1, " \n", &rest); word;
         word = strtok_r(NULL, " \n", &rest)) {
        field++;
        if (field == 3)
            status->state = *word;
        if (field == 20)
            status->threads = strtoll(word, NULL, 10);
        if (field == 22)
            status->start_ticks = strtoll(word, NULL, 10);
        if (field == 52)
            status->wait_status = (int)strtol(word, NULL, 10);
    }
    return field >= 22 ? 0 : -EPROTO;
}

// Has the process ended, without having been waited for? A leader whose threads go on has not ended.
static bool is_dead(const struct status *status)
{
    return status->state == 'X' || (status->state == 'Z' && status->threads <= 1);
}

static int64_t read_oom_kills(void)
{
    char text[2 * TEXT_BYTES];
    int64_t count;
    ssize_t bytes = text_file_read("/proc/vmstat", text, sizeof text);
    return bytes > 0 && text_file_number(text, "oom_kill ", &count) == 0 ? count : NOT_KNOWN;
}

int targets_open(struct targets *targets, const int64_t *pids, int count, int64_t now_ns)
{
    *targets = (struct targets){.started_ns = now_ns, .oom_kills = read_oom_kills()};
    targets->list = calloc((size_t)count + 1, sizeof *targets->list);
    targets->wait = calloc((size_t)count + 1, sizeof *targets->wait);
    if (!targets->list || !targets->wait)
        return -ENOMEM;
    targets->count = count;
    for (int i = 0; i < count; i++) {
        struct status status;
        targets->list[i] = (struct target){.pid = pids[i], .start_ticks = -1, .wait_status = NOT_KNOWN};
        targets->list[i].fd = (int)syscall(SYS_pidfd_open, (pid_t)pids[i], 0);
        if (read_status(pids[i], &status) == 0)
            targets->list[i].start_ticks = status.start_ticks;
    }
    return 0;
}

void targets_close(struct targets *targets)
{
    for (int i = 0; i < targets->count; i++)
        if (targets->list[i].fd >= 0)
            close(targets->list[i].fd);
    free(targets->list);
    free(targets->wait);
    *targets = (struct targets){.count = 0};
}

static bool has_ended(const struct target *target)
{
    struct status status;
    int code = read_status(target->pid, &status);
    if (code < 0)
        return code == -ENOENT || code == -ESRCH;
    return is_dead(&status) || (target->start_ticks >= 0 && status.start_ticks != target->start_ticks);
}

// Without permission the kernel shows status 0, as for an exit with code 0. So 0 says nothing here.
static int how_it_ended(const struct target *target)
{
    struct status status;
    if (read_status(target->pid, &status) == 0 && is_dead(&status) &&
        status.start_ticks == target->start_ticks && status.wait_status > 0)
        return status.wait_status;
    struct exit_info info = {.mask = EXIT_INFO_EXIT};
    if (target->fd >= 0 && ioctl(target->fd, EXIT_INFO_CALL, &info) == 0 && (info.mask & EXIT_INFO_EXIT))
        return info.exit_code;
    return NOT_KNOWN;
}

bool targets_look(struct targets *targets, int64_t now_ns)
{
    bool more = false, read = now_ns - targets->read_ns >= READ_EVERY_NS;
    if (read)
        targets->read_ns = now_ns;
    for (int i = 0; i < targets->count; i++) // poll ignores a negative descriptor
        targets->wait[i] = (struct pollfd){.fd = targets->list[i].ended_ns == 0 ? targets->list[i].fd : -1,
                                           .events = POLLIN};
    if (targets->count > 0 && poll(targets->wait, (nfds_t)targets->count, 0) < 0)
        return false;
    for (int i = 0; i < targets->count; i++) {
        struct target *target = &targets->list[i];
        bool ended = target->fd >= 0 ? targets->wait[i].revents & POLLIN : read && has_ended(target);
        if (target->ended_ns == 0 && ended) {
            target->ended_ns = now_ns;
            targets->ended++;
            more = true;
        }
        // The status may become known later, when the parent has waited for the process.
        if (target->ended_ns > 0 && target->wait_status == NOT_KNOWN)
            target->wait_status = how_it_ended(target);
    }
    return more;
}

static void describe_how(int wait_status, char text[static 64])
{
    text[0] = '\0';
    if (wait_status == NOT_KNOWN)
        return;
    if (WIFSIGNALED(wait_status)) {
        const char *name = sigabbrev_np(WTERMSIG(wait_status));
        snprintf(text, 64, ", killed by SIG%s", name ? name : "?");
    } else {
        snprintf(text, 64, ", with exit code %d", WEXITSTATUS(wait_status));
    }
}

bool targets_killed(const struct targets *targets, int i)
{
    int status = targets->list[i].wait_status;
    return targets->list[i].ended_ns > 0 &&
           (status == NOT_KNOWN || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

const char *targets_describe(const struct targets *targets, char *text, size_t size)
{
    size_t used = 0;
    bool killed = false;
    text[0] = '\0';
    for (int i = 0; i < targets->count && used < size; i++) {
        const struct target *target = &targets->list[i];
        char how[64];
        killed = killed || targets_killed(targets, i);
        if (target->ended_ns == 0)
            continue;
        describe_how(target->wait_status, how);
        used += (size_t)snprintf(text + used, size - used, "%sthe watched process %lld ended after %.3f s%s",
                                 used ? "; " : "", (long long)target->pid,
                                 (double)(target->ended_ns - targets->started_ns) / 1e9, how);
    }
    int64_t oom_kills = read_oom_kills();
    if (killed && used < size && targets->oom_kills >= 0 && oom_kills > targets->oom_kills)
        snprintf(text + used, size - used,
                 "; meanwhile the kernel killed %lld process%s of this host for want of memory",
                 (long long)(oom_kills - targets->oom_kills),
                 oom_kills - targets->oom_kills == 1 ? "" : "es");
    return text;
}
