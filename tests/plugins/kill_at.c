// SPDX-License-Identifier: Apache-2.0
// A library that tests preload into a broker (tests/py/state_broker.py). It stands in for the calls that change files,
// and counts those on files whose path begins with POOLMARK_KILL_FILE.
//
//     POOLMARK_KILL_AT=n        the n-th such call kills the process
//     POOLMARK_KILL_HOW=before  in place of the call; after: after it; half: a write of half of its bytes, then killed
//     POOLMARK_FAIL_IF=path     while this file exists, calls that add bytes or wait for the disk fail with ENOSPC
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum how { BEFORE, HALF, AFTER };

static atomic_long calls;

static int is_watched(const char *path)
{
    const char *file = getenv("POOLMARK_KILL_FILE");
    return file && strncmp(path, file, strlen(file)) == 0;
}

static int is_watched_fd(int fd)
{
    char link[64], path[4096];
    if (!getenv("POOLMARK_KILL_FILE"))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes < 0)
        return 0;
    path[bytes] = '\0';
    return is_watched(path);
}

static enum how how(void)
{
    const char *text = getenv("POOLMARK_KILL_HOW");
    return !text || strcmp(text, "before") == 0 ? BEFORE : strcmp(text, "half") == 0 ? HALF : AFTER;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

// Is this call the one? Counts it.
static int is_the_one(void)
{
    const char *text = getenv("POOLMARK_KILL_AT");
    long number = atomic_fetch_add(&calls, 1) + 1;
    return text && number == strtol(text, NULL, 10);
}

static int fails(void)
{
    const char *path = getenv("POOLMARK_FAIL_IF");
    if (!path || access(path, F_OK) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

// dlsym gives an object pointer; POSIX wants it to be used as a function.
#define REAL(name)                                                                                           \
    static __typeof__(name) *real;                                                                           \
    if (!real) {                                                                                             \
        void *found = dlsym(RTLD_NEXT, #name);                                                               \
        memcpy(&real, &found, sizeof found);                                                                 \
    }

// A call without bytes.
#define AROUND(is_ours, may_fail, call)                                                                      \
    if (!(is_ours))                                                                                          \
        return call;                                                                                         \
    if ((may_fail) && fails())                                                                               \
        return -1;                                                                                           \
    int is_last = is_the_one();                                                                              \
    if (is_last && how() != AFTER)                                                                           \
        die();                                                                                               \
    int result = call;                                                                                       \
    if (is_last)                                                                                             \
        die();                                                                                               \
    return result

// A write.
#define AROUND_WRITE(call_of)                                                                                \
    if (!is_watched_fd(fd))                                                                                  \
        return call_of(bytes);                                                                               \
    if (fails())                                                                                             \
        return -1;                                                                                           \
    int is_last = is_the_one();                                                                              \
    ssize_t result = 0;                                                                                      \
    if (!is_last || how() != BEFORE)                                                                         \
        result = call_of(is_last && how() == HALF ? bytes / 2 : bytes);                                      \
    if (is_last)                                                                                             \
        die();                                                                                               \
    return result

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(write)
#define CALL(n) real(fd, data, n)
    AROUND_WRITE(CALL);
#undef CALL
}

#define CALL(n) real(fd, data, n, offset)
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    REAL(pwrite)
    AROUND_WRITE(CALL);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    REAL(pwrite64)
    AROUND_WRITE(CALL);
}
#undef CALL

int fsync(int fd)
{
    REAL(fsync)
    AROUND(is_watched_fd(fd), 1, real(fd));
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    AROUND(is_watched_fd(fd), 1, real(fd));
}

int ftruncate(int fd, off_t bytes)
{
    REAL(ftruncate)
    AROUND(is_watched_fd(fd), 0, real(fd, bytes));
}

int ftruncate64(int fd, off64_t bytes)
{
    REAL(ftruncate64)
    AROUND(is_watched_fd(fd), 0, real(fd, bytes));
}

int unlink(const char *path)
{
    REAL(unlink)
    AROUND(is_watched(path), 0, real(path));
}
