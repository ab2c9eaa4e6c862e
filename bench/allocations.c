// SPDX-License-Identifier: Apache-2.0
// The library that counts lies in the program as bytes. It is written into a file without a name, which the
// new process inherits and preloads by its descriptor: it needs no place in an installation.
#include "bench/allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TELL "POOLMARK_COUNT_TO"
#define PROGRAM "poolmark-bench"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = true };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif
#else
enum { SANITIZED = false };
#endif

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        "allocations_library:\n"
        ".incbin \"" POOLMARK_PRELOAD_COUNT "\"\n"
        "allocations_library_end:\n"
        ".popsection\n");
extern const char allocations_library[], allocations_library_end[];

extern char **environ;
enum { VARIABLES_MAX = 1024, PRELOAD_BYTES = 4096 };

typedef void read_counts(int64_t counts[2]);

static read_counts *counter(void)
{
    return (read_counts *)dlsym(RTLD_DEFAULT, "poolmark_count_read");
}

bool allocations_are_counted(void)
{
    return getenv(TELL) && counter();
}

void allocations_read(struct allocation_counts *now)
{
    counter()(now->counts);
}

void allocations_tell(const struct allocation_counts *before, int64_t ops)
{
    struct allocation_counts now;
    allocations_read(&now);
    dprintf(atoi(getenv(TELL)), "%.9g %.9g\n", (double)(now.counts[0] - before->counts[0]) / (double)ops,
            (double)(now.counts[1] - before->counts[1]) / (double)ops);
}

static int is_program(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return -errno;
    path[length] = '\0';
    const char *name = strrchr(path, '/');
    return name && strcmp(name + 1, PROGRAM) == 0 ? 0 : -ENOTSUP;
}

// The library in a file that has no name. The descriptor stays open in a new program.
static int library_file(void)
{
    int file = memfd_create("poolmark-count", 0);
    if (file < 0)
        return -errno;
    const char *at = allocations_library;
    while (at < allocations_library_end) {
        ssize_t wrote = write(file, at, (size_t)(allocations_library_end - at));
        if (wrote < 0) {
            int code = -errno;
            close(file);
            return code;
        }
        at += wrote;
    }
    return file;
}

// This process's environment, with the library before what is preloaded already.
static int environment_for(int library, int to, char *preload, char *tell, char **variables)
{
    size_t count = 0;
    const char *others = getenv("LD_PRELOAD");
    int length = snprintf(preload, PRELOAD_BYTES, "LD_PRELOAD=/proc/self/fd/%d%s%s", library,
                          others && *others ? ":" : "", others ? others : "");
    if (length >= PRELOAD_BYTES)
        return -ENAMETOOLONG;
    sprintf(tell, TELL "=%d", to);
    variables[count++] = preload;
    variables[count++] = tell;
    for (char **variable = environ; *variable; variable++) {
        if (strncmp(*variable, "LD_PRELOAD=", 11) == 0)
            continue;
        if (count + 1 == VARIABLES_MAX)
            return -E2BIG;
        variables[count++] = *variable;
    }
    variables[count] = NULL;
    return 0;
}

static int spawn(pid_t *pid, const char *name, int library, int to)
{
    char preload[PRELOAD_BYTES], tell[64], filter[256];
    char *variables[VARIABLES_MAX];
    posix_spawn_file_actions_t actions;
    char *arguments[] = {(char[]){PROGRAM}, filter, (char[]){"--benchmark_min_time=0.001"},
                         (char[]){"--poolmark_patience_ms=0"}, NULL};
    int code = environment_for(library, to, preload, tell, variables);
    if (code < 0)
        return code;
    snprintf(filter, sizeof filter, "--benchmark_filter=^%s$", name);
    code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return -code;
    if ((code = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)) == 0 &&
        (code = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)) == 0)
        code = posix_spawn(pid, "/proc/self/exe", &actions, NULL, arguments, variables);
    posix_spawn_file_actions_destroy(&actions);
    return -code;
}

// All that was written, up to `size` - 1 bytes: the end of the answer is the end of the process.
static void read_all(int from, char *text, size_t size)
{
    size_t length = 0;
    char more[64];
    ssize_t got;
    while ((got = read(from, more, sizeof more)) > 0 || (got < 0 && errno == EINTR)) {
        for (ssize_t i = 0; i < got && length < size - 1; i++)
            text[length++] = more[i];
    }
    text[length] = '\0';
}

static int ask(const char *name, struct allocations *found)
{
    char answer[128];
    pid_t pid;
    int pipes[2], status, library = library_file();
    if (library < 0)
        return library;
    if (pipe(pipes) < 0) {
        close(library);
        return -errno;
    }
    // Only the end that the new process writes to may stay open in it.
    int code = fcntl(pipes[0], F_SETFD, FD_CLOEXEC) < 0 ? -errno : spawn(&pid, name, library, pipes[1]);
    close(pipes[1]);
    if (code == 0) {
        read_all(pipes[0], answer, sizeof answer);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        // The loop may run more than once: each time it tells the same.
        code = sscanf(answer, "%lf %lf", &found->requests, &found->bytes) == 2 ? 0 : -ENODATA;
    }
    close(pipes[0]);
    close(library);
    return code;
}

int allocations_of(const char *name, struct allocations *found, struct err *err)
{
    static struct {
        char name[128];
        struct allocations found;
        int code;
    } last;
    if (SANITIZED)
        return err_set(err, -ENOTSUP, "allocations are not counted in a sanitizer's build");
    int code = is_program();
    if (code < 0)
        return err_set(err, code, "allocations are counted by " PROGRAM " alone");
    if (strcmp(last.name, name) != 0) {
        last.code = ask(name, &last.found);
        snprintf(last.name, sizeof last.name, "%s", name);
    }
    if (last.code < 0)
        return err_set(err, last.code, "allocations of %s could not be counted: %s", name,
                       strerror(-last.code));
    *found = last.found;
    return 0;
}
