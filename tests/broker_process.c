// SPDX-License-Identifier: Apache-2.0
#include "tests/broker_process.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { ARGUMENTS_MAX = 64, PORTS_MAX = 16 };

struct process {
    pid_t pid;
    int pid_fd; // readable when it has ended
    int out;    // its stdout
    int errors; // a memory file that is its stderr
    uint16_t ports[PORTS_MAX];
    int port_count;
    size_t used, line_bytes; // in `text`; line_bytes of them were given out as a line
    char text[65536];
    char *errors_text;
};

void process_path(const char *name, char *path, size_t size)
{
    const char *build = getenv("POOLMARK_BUILD");
    if (strncmp(name, "poolmark-", 9) != 0) {
        snprintf(path, size, "%s", name);
        return;
    }
    char self[4096];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    self[bytes > 0 ? bytes : 0] = 0;
    for (int up = 0; up < 2; up++) { // BUILD/tests/test_x
        char *slash = strrchr(self, '/');
        *(slash ? slash : self) = 0;
    }
    snprintf(path, size, "%s/%s", build ? build : self, name);
}

// In the child, between fork and exec.
static void become(const char *path, char *const *argv, pid_t parent, int out, int errors)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); // the test died before the line above
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    execvp(path, argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

struct process *process_start(const char *name, const char *const *arguments)
{
    char path[4608], *argv[ARGUMENTS_MAX + 2] = {path};
    process_path(name, path, sizeof path);
    for (int i = 0; arguments && arguments[i]; i++) {
        assert_true(i < ARGUMENTS_MAX);
        argv[i + 1] = (char *)arguments[i];
    }
    struct process *process = calloc(1, sizeof *process);
    int pipe_ends[2];
    assert_non_null(process);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    process->out = pipe_ends[0];
    process->errors = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(process->errors >= 0);
    pid_t parent = getpid();
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0)
        become(path, argv, parent, pipe_ends[1], process->errors);
    close(pipe_ends[1]);
    process->pid_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    assert_true(process->pid_fd >= 0);
    return process;
}

pid_t process_pid(const struct process *process)
{
    return process->pid;
}

uint16_t process_port_at(const struct process *process, int nth)
{
    return nth < process->port_count ? process->ports[nth] : 0;
}

uint16_t process_port(const struct process *process)
{
    return process_port_at(process, 0);
}

const char *process_errors(struct process *process)
{
    off_t bytes = lseek(process->errors, 0, SEEK_END);
    free(process->errors_text);
    process->errors_text = calloc(1, (size_t)bytes + 1);
    assert_non_null(process->errors_text);
    if (pread(process->errors, process->errors_text, (size_t)bytes, 0) < 0)
        process->errors_text[0] = 0;
    return process->errors_text;
}

// Waits until `fd` can be read, at most until `deadline_ns`.
static bool wait_readable(int fd, int64_t deadline_ns)
{
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_now_ns()) / NS_PER_MS;
        if (left_ms <= 0)
            return false;
        struct pollfd look = {.fd = fd, .events = POLLIN};
        int ready = poll(&look, 1, (int)left_ms + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

static void note_port(struct process *process, const char *line)
{
    const char *colon = strrchr(line, ':');
    if (strncmp(line, "listening ", 10) == 0 && colon && process->port_count < PORTS_MAX)
        process->ports[process->port_count++] = (uint16_t)strtoul(colon + 1, NULL, 10);
}

// The next whole line of stdout without its newline, or NULL at the end.
static char *next_line(struct process *process, int64_t deadline_ns)
{
    memmove(process->text, process->text + process->line_bytes, process->used - process->line_bytes);
    process->used -= process->line_bytes;
    process->line_bytes = 0;
    for (;;) {
        char *newline = memchr(process->text, '\n', process->used);
        if (newline) {
            *newline = 0;
            process->line_bytes = (size_t)(newline - process->text) + 1;
            note_port(process, process->text);
            return process->text;
        }
        assert_true(process->used < sizeof process->text); // a line longer than that
        if (!wait_readable(process->out, deadline_ns)) {
            fprintf(stderr, "no line within %d s; on stderr:\n%s", PROCESS_GUARD_S, process_errors(process));
            fail();
        }
        ssize_t bytes =
            read(process->out, process->text + process->used, sizeof process->text - process->used);
        if (bytes <= 0)
            return NULL;
        process->used += (size_t)bytes;
    }
}

const char *process_wait_line(struct process *process, const char *begins)
{
    int64_t deadline_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    char *line;
    do {
        line = next_line(process, deadline_ns);
    } while (line && strncmp(line, begins, strlen(begins)) != 0);
    return line;
}

struct process *process_start_broker(const char *argument, ...)
{
    const char *arguments[ARGUMENTS_MAX] = {"--listen", "127.0.0.1:0"};
    int count = 2;
    va_list rest;
    va_start(rest, argument);
    for (const char *one = argument; one; one = va_arg(rest, const char *)) {
        assert_true(count + 1 < ARGUMENTS_MAX);
        arguments[count++] = one;
    }
    va_end(rest);
    struct process *process = process_start("poolmark-broker", arguments);
    if (!process_wait_line(process, "ready") || process_port(process) == 0) {
        fprintf(stderr, "the broker did not get ready; on stderr:\n%s", process_errors(process));
        process_stop(process);
        fail();
    }
    return process;
}

struct process *process_start_lean_broker(void)
{
    return process_start_broker("--threads", "2", NULL);
}

struct process *process_start_classic_broker(void)
{
    return process_start_broker("--shape", "classic", "--pool", "expand", "--initial", "4", NULL);
}

struct process *process_start_small_broker(void)
{
    return process_start_broker("--threads", "2", "--pool", "sync", "--shape",
                                "object=512,read=256,write=256,arena=512,eager", NULL);
}

int process_group_lean(void **state)
{
    *state = process_start_lean_broker();
    return 0;
}

int process_group_small(void **state)
{
    *state = process_start_small_broker();
    return 0;
}

int process_group_stop(void **state)
{
    return process_stop(*state);
}

void process_signal(struct process *process, int signal)
{
    assert_int_equal(kill(process->pid, signal), 0);
}

int process_wait(struct process *process)
{
    int status = 0;
    bool ended = wait_readable(process->pid_fd, clock_now_ns() + PROCESS_GUARD_S * NS_PER_S);
    if (!ended) {
        fprintf(stderr, "did not end within %d s; on stderr:\n%s", PROCESS_GUARD_S, process_errors(process));
        kill(process->pid, SIGKILL);
    }
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (strstr(process_errors(process), "Sanitizer"))
        fprintf(stderr, "%s", process->errors_text);
    close(process->pid_fd);
    close(process->out);
    close(process->errors);
    free(process->errors_text);
    free(process);
    return code;
}

int process_stop(struct process *process)
{
    if (!process)
        return 0;
    kill(process->pid, SIGTERM); // not reaped yet: the pid is still its own
    return process_wait(process);
}

int64_t process_statistic(struct process *broker, const char *name)
{
    char begins[64];
    int64_t value = -1;
    snprintf(begins, sizeof begins, "%s ", name);
    process_signal(broker, SIGUSR1);
    const char *line = process_wait_line(broker, begins);
    assert_non_null(line);
    assert_int_equal(sscanf(line + strlen(begins), "%" SCNd64, &value), 1);
    assert_non_null(process_wait_line(broker, "end of statistics"));
    return value;
}

void process_await_connections(struct process *broker, int64_t count)
{
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (process_statistic(broker, "connections") < count) {
        if (clock_now_ns() > until_ns)
            fail_msg("the clients did not connect");
        clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
    }
}

void process_stop_saying(struct process *broker, const char *words)
{
    process_signal(broker, SIGTERM);
    while (process_wait_line(broker, ""))
        ; // until stdout ends: then nothing more comes on stderr
    if (!strstr(process_errors(broker), words))
        fail_msg("\"%s\" is not among: %s", words, process_errors(broker));
    assert_int_equal(process_wait(broker), 0);
}

int process_run(const char *name, const char *const *arguments, char **output)
{
    struct process *process = process_start(name, arguments);
    int64_t deadline_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    size_t used = 0, size = 4096;
    char *text = malloc(size);
    assert_non_null(text);
    for (;;) {
        if (!wait_readable(process->out, deadline_ns)) {
            fprintf(stderr, "%s did not end within %d s\n", name, PROCESS_GUARD_S);
            break;
        }
        if (size - used < 4096)
            text = realloc(text, size *= 2);
        assert_non_null(text);
        ssize_t bytes = read(process->out, text + used, size - used - 1);
        if (bytes <= 0)
            break;
        used += (size_t)bytes;
    }
    text[used] = 0;
    if (output)
        *output = text;
    else
        free(text);
    return process_wait(process);
}
