// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/subject.h"

#include "base/clock.h"
#include "tests/faults/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(subject_main *program, char **argv, int out, int errors, pid_t parent, bool is_target)
{
    const struct rlimit fds = {SUBJECT_FDS, SUBJECT_FDS}, no_core = {0, 0};
    int argc = 0;
    while (argv[argc])
        argc++;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setrlimit(RLIMIT_NOFILE, &fds);
    setrlimit(RLIMIT_CORE, &no_core);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    if (is_target)
        fault_target();
    exit(program(argc, argv));
}

void subject_start(struct subject *subject, subject_main *program, char **argv, bool is_target)
{
    int ends[2];
    subject->used = subject->line_bytes = 0;
    subject->port = 0;
    subject->has_hung = false;
    subject->said[0] = '\0';
    subject->errors = memfd_create("stderr", MFD_CLOEXEC);
    if (subject->errors < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        perror("faults: a pipe for a program under test");
        exit(1);
    }
    pid_t parent = getpid();
    fflush(NULL);
    subject->pid = fork();
    if (subject->pid == 0)
        become(program, argv, ends[1], subject->errors, parent, is_target);
    close(ends[1]);
    subject->out = ends[0];
    if (subject->pid < 0) {
        perror("faults: fork");
        exit(1);
    }
}

static bool wait_readable(int fd, int64_t deadline_ns)
{
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_now_ns()) / NS_PER_MS;
        struct pollfd look = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&look, 1, (int)left_ms + 1) : 0;
        if (ready > 0 || left_ms <= 0)
            return ready > 0;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

static char *next_line(struct subject *subject, int64_t deadline_ns)
{
    memmove(subject->text, subject->text + subject->line_bytes, subject->used - subject->line_bytes);
    subject->used -= subject->line_bytes;
    subject->line_bytes = 0;
    for (;;) {
        char *newline = memchr(subject->text, '\n', subject->used);
        if (newline) {
            *newline = '\0';
            subject->line_bytes = (size_t)(newline - subject->text) + 1;
            return subject->text;
        }
        subject->has_hung = !wait_readable(subject->out, deadline_ns);
        ssize_t bytes = subject->has_hung ? 0
                                          : read(subject->out, subject->text + subject->used,
                                                 sizeof subject->text - subject->used);
        if (bytes <= 0)
            return NULL;
        subject->used += (size_t)bytes;
    }
}

const char *subject_line(struct subject *subject, const char *begins)
{
    int64_t deadline_ns = clock_now_ns() + SUBJECT_GUARD_S * NS_PER_S;
    char *line;
    while ((line = next_line(subject, deadline_ns))) {
        const char *colon = strrchr(line, ':');
        if (colon && strncmp(line, "listening ", 10) == 0)
            subject->port = (uint16_t)strtoul(colon + 1, NULL, 10);
        if (strncmp(line, begins, strlen(begins)) == 0)
            return line;
    }
    return NULL;
}

const char *subject_errors(struct subject *subject)
{
    if (subject->errors < 0)
        return subject->said;
    ssize_t bytes = pread(subject->errors, subject->said, sizeof subject->said - 1, 0);
    subject->said[bytes > 0 ? bytes : 0] = '\0';
    return subject->said;
}

int subject_descriptors(const struct subject *subject)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", subject->pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

void subject_signal(const struct subject *subject, int signal)
{
    kill(subject->pid, signal); // not reaped yet: the pid is still its own
}

int subject_wait(struct subject *subject)
{
    int status = 0, pid_fd = (int)syscall(SYS_pidfd_open, subject->pid, 0);
    if (subject->has_hung || !wait_readable(pid_fd, clock_now_ns() + SUBJECT_GUARD_S * NS_PER_S)) {
        subject->has_hung = true;
        subject_signal(subject, SIGKILL);
    }
    while (waitpid(subject->pid, &status, 0) < 0 && errno == EINTR)
        ;
    subject_errors(subject);
    close(pid_fd);
    close(subject->out);
    close(subject->errors);
    subject->errors = -1;
    if (subject->has_hung)
        return SUBJECT_HUNG;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
