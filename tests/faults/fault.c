// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/fault.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fts.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sha256.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Shared by the processes. `fault` is written while no target runs. Relaxed: the counts publish nothing.
struct page {
    struct fault fault;
    atomic_bool was_hit, has_crashed;
    _Atomic int64_t counts[FAULT_CALL_COUNT];
};

enum { FRAMES = 20 }; // of a crash

static struct page *page;
static bool is_target; // of this process; set before it has a second thread

static const struct fault_kind kinds[FAULT_CALL_COUNT] = {
#define X(call, word, ...) {#call, word, {__VA_ARGS__}},
    FAULT_CALLS(X)
#undef X
};

const struct fault_kind *fault_kind(int call)
{
    return &kinds[call];
}

const char *fault_error_name(int call, int error)
{
    if (error == FAULT_SHORT)
        return "short";
    if (call == FAULT_getaddrinfo)
        return error == EAI_MEMORY ? "EAI_MEMORY" : "EAI_AGAIN";
    const char *name = strerrorname_np(error);
    return name ? name : "?";
}

void fault_open(void)
{
    void *made = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        perror("faults: mmap");
        exit(1);
    }
    page = made;
}

void fault_arm(const struct fault *fault)
{
    page->fault = *fault;
    atomic_store(&page->was_hit, false);
    atomic_store(&page->has_crashed, false);
    for (int call = 0; call < FAULT_CALL_COUNT; call++)
        atomic_store(&page->counts[call], 0);
}

int64_t fault_count(int call)
{
    return atomic_load(&page->counts[call]);
}

bool fault_was_hit(void)
{
    return atomic_load(&page->was_hit);
}

bool fault_has_crashed(void)
{
    return atomic_load(&page->has_crashed);
}

// The error with which this call has to fail; 0: none.
static int error_of(enum fault_call call)
{
    if (!is_target)
        return 0;
    int64_t number = atomic_fetch_add_explicit(&page->counts[call], 1, memory_order_relaxed) + 1;
    if ((int)call != page->fault.call || number != page->fault.nth)
        return 0;
    atomic_store(&page->was_hit, true);
    return page->fault.error;
}

// Sets errno; false: the call does not fail.
static bool fails(enum fault_call call)
{
    int error = error_of(call);
    if (error != 0)
        errno = error;
    return error != 0;
}

// --- what the linker calls instead --------------------------------------------------------------------------

// WRAP(type, call, value when it fails, parameters, arguments)
#define WRAP(type, call, failed, parameters, arguments)                                                      \
    type __real_##call parameters;                                                                           \
    type __wrap_##call parameters;                                                                           \
    type __wrap_##call parameters                                                                            \
    {                                                                                                        \
        return fails(FAULT_##call) ? (failed) : __real_##call arguments;                                     \
    }

// The same for a call that gives its error back.
#define WRAP_CODE(call, parameters, arguments)                                                               \
    int __real_##call parameters;                                                                            \
    int __wrap_##call parameters;                                                                            \
    int __wrap_##call parameters                                                                             \
    {                                                                                                        \
        int error = error_of(FAULT_##call);                                                                  \
        return error ? error : __real_##call arguments;                                                      \
    }

WRAP(void *, malloc, NULL, (size_t bytes), (bytes))
WRAP(void *, calloc, NULL, (size_t count, size_t bytes), (count, bytes))
WRAP(void *, realloc, NULL, (void *block, size_t bytes), (block, bytes))
WRAP(void *, aligned_alloc, NULL, (size_t alignment, size_t bytes), (alignment, bytes))
WRAP(char *, strdup, NULL, (const char *text), (text))
WRAP(void *, mmap, MAP_FAILED, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(int, madvise, -1, (void *at, size_t bytes, int advice), (at, bytes, advice))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t bytes),
     (fd, level, name, value, bytes))
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes))
WRAP(int, listen, -1, (int fd, int backlog), (fd, backlog))
WRAP(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes))
WRAP(int, getsockname, -1, (int fd, struct sockaddr *address, socklen_t *bytes), (fd, address, bytes))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *value, socklen_t *bytes),
     (fd, level, name, value, bytes))
WRAP(int, getpeername, -1, (int fd, struct sockaddr *address, socklen_t *bytes), (fd, address, bytes))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int epoll_fd, int operation, int fd, struct epoll_event *event),
     (epoll_fd, operation, fd, event))
WRAP(int, epoll_wait, -1, (int epoll_fd, struct epoll_event *events, int most, int wait_ms),
     (epoll_fd, events, most, wait_ms))
WRAP(int, eventfd, -1, (unsigned count, int flags), (count, flags))
WRAP(int, dup3, -1, (int from, int to, int flags), (from, to, flags))
WRAP(ssize_t, pread, -1, (int fd, void *to, size_t bytes, off_t at), (fd, to, bytes, at))
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, link, -1, (const char *from, const char *to), (from, to))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, ftruncate, -1, (int fd, off_t bytes), (fd, bytes))
WRAP(off_t, lseek, -1, (int fd, off_t offset, int from), (fd, offset, from))
WRAP(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP(FTS *, fts_open, NULL,
     (char *const *paths, int options, int (*compare)(const FTSENT **, const FTSENT **)),
     (paths, options, compare))
WRAP(char *, SHA256File, NULL, (const char *path, char *digest), (path, digest))
WRAP(ssize_t, getrandom, -1, (void *to, size_t bytes, unsigned flags), (to, bytes, flags))
WRAP(int, getrlimit, -1, (__rlimit_resource_t which, struct rlimit *limit), (which, limit))
WRAP(int, setrlimit, -1, (__rlimit_resource_t which, const struct rlimit *limit), (which, limit))
WRAP(int, sigtimedwait, -1, (const sigset_t *set, siginfo_t *info, const struct timespec *wait),
     (set, info, wait))

WRAP(pid_t, fork, -1, (void), ())
WRAP(pid_t, waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(int, poll, -1, (struct pollfd * fds, nfds_t count, int wait_ms), (fds, count, wait_ms))
WRAP(int, epoll_pwait2, -1,
     (int epoll_fd, struct epoll_event *events, int most, const struct timespec *wait, const sigset_t *mask),
     (epoll_fd, events, most, wait, mask))
WRAP(int, signalfd, -1, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))

WRAP_CODE(posix_memalign, (void **block, size_t alignment, size_t bytes), (block, alignment, bytes))
WRAP_CODE(pthread_create,
          (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context),
          (thread, attributes, run, context))
WRAP_CODE(getaddrinfo,
          (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found),
          (node, service, hints, found))

// These were done, and give an error all the same: the descriptor is closed, the client is gone.
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int error = error_of(FAULT_close), code = __real_close(fd);
    if (error == 0)
        return code;
    errno = error;
    return -1;
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
    int error = error_of(FAULT_fclose), code = __real_fclose(file);
    if (error == 0)
        return code;
    errno = error;
    return EOF;
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    int error = error_of(FAULT_accept4);
    if (error == 0)
        return __real_accept4(fd, address, bytes, flags);
    if (error == ECONNABORTED) {
        int client = __real_accept4(fd, address, bytes, flags);
        if (client < 0)
            return client;
        __real_close(client);
    }
    errno = error;
    return -1;
}

// These may also take or give one byte.
#define WRAP_SHORT(call, parameters, arguments, arguments_of_one)                                            \
    ssize_t __real_##call parameters;                                                                        \
    ssize_t __wrap_##call parameters;                                                                        \
    ssize_t __wrap_##call parameters                                                                         \
    {                                                                                                        \
        int error = error_of(FAULT_##call);                                                                  \
        if (error == 0)                                                                                      \
            return __real_##call arguments;                                                                  \
        if (error == FAULT_SHORT)                                                                            \
            return __real_##call arguments_of_one;                                                           \
        errno = error;                                                                                       \
        return -1;                                                                                           \
    }

WRAP_SHORT(recv, (int fd, void *to, size_t bytes, int flags), (fd, to, bytes, flags),
           (fd, to, bytes > 0, flags))
WRAP_SHORT(send, (int fd, const void *from, size_t bytes, int flags), (fd, from, bytes, flags),
           (fd, from, bytes > 0, flags))
// An eventfd takes and gives eight bytes or none.
WRAP_SHORT(write, (int fd, const void *from, size_t bytes), (fd, from, bytes),
           (fd, from, bytes > sizeof(uint64_t) ? 1 : bytes))
WRAP_SHORT(read, (int fd, void *to, size_t bytes), (fd, to, bytes),
           (fd, to, bytes > sizeof(uint64_t) ? 1 : bytes))

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    int error = error_of(FAULT_sendmsg);
    if (error == 0)
        return __real_sendmsg(fd, message, flags);
    for (size_t i = 0; error == FAULT_SHORT && i < message->msg_iovlen; i++) {
        struct iovec one = {message->msg_iov[i].iov_base, 1};
        struct msghdr header = {.msg_iov = &one, .msg_iovlen = 1};
        if (message->msg_iov[i].iov_len > 0)
            return __real_sendmsg(fd, &header, flags);
    }
    errno = error == FAULT_SHORT ? EAGAIN : error;
    return -1;
}

// With an argument that may be missing.
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(FAULT_open) ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    return fails(FAULT_fcntl) ? -1 : __real_fcntl(fd, command, argument);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fails(FAULT_ioctl) ? -1 : __real_ioctl(fd, request, argument);
}

// --- jansson ------------------------------------------------------------------------------------------------

static void *json_malloc_or_fail(size_t bytes)
{
    return fails(FAULT_json_malloc) ? NULL : __real_malloc(bytes);
}

// A worker of the generator may crash, and its parent go on.
static void note_crash(int signal_number)
{
    void *frames[FRAMES];
    atomic_store(&page->has_crashed, true);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO); // for addr2line -e build/faults
    raise(signal_number); // SA_RESETHAND: this time it ends the process
}

void fault_target(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction note = {.sa_handler = note_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    json_set_alloc_funcs(json_malloc_or_fail, free);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        struct sigaction before;
        sigaction(crashes[i], NULL, &before);
        if (before.sa_handler == SIG_DFL) // else a sanitizer reports it
            sigaction(crashes[i], &note, NULL);
    }
    is_target = true;
}
