// SPDX-License-Identifier: Apache-2.0
// One call of a program fails: the n-th malloc, accept4, write ... that it makes, with the error of choice.
//
// The linker puts the functions of this file before the listed ones (--wrap; the Makefile takes the names from
// FAULT_CALLS), for all calls of our own objects. jansson asks for its memory here too. Other libraries and the
// C library's own calls are not counted: there, the call that we make fails (fopen, not the open in it).
//
// The counts are in memory that a process shares with its children. Only a process that called fault_target
// counts and fails, so the clients of a test live beside it undisturbed. Any thread of it may make the call.
//
//     fault_open();
//     fault_arm(&(struct fault){.call = FAULT_accept4, .nth = 3, .error = EMFILE});
//     if (fork() == 0) { fault_target(); exit(program(argc, argv)); }
//     ...
//     bool was_reached = fault_was_hit();
#ifndef POOLMARK_TESTS_FAULTS_FAULT_H
#define POOLMARK_TESTS_FAULTS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FAULT_SHORT = 10000, // no error: the call takes or gives one byte
    FAULT_ERRORS_MAX = 8,
    FAULT_NONE = -1
};

// X(call, word, errors...): all calls of the broker and the generator that the system can refuse. When a start cannot
// proceed, its message has `word` in it.
#define FAULT_CALLS(X)                                                                                       \
    X(malloc, "memory", ENOMEM)                                                                              \
    X(calloc, "memory", ENOMEM)                                                                              \
    X(realloc, "memory", ENOMEM)                                                                             \
    X(aligned_alloc, "memory", ENOMEM)                                                                       \
    X(posix_memalign, "memory", ENOMEM)                                                                      \
    X(strdup, "memory", ENOMEM)                                                                              \
    X(json_malloc, "memory", ENOMEM)                                                                         \
    X(mmap, "memory", ENOMEM, EAGAIN)                                                                        \
    X(madvise, "memory", ENOMEM, EINTR, EAGAIN)                                                              \
    X(pthread_create, "pthread_create", EAGAIN, EPERM)                                                       \
    X(getaddrinfo, "getaddrinfo", EAI_MEMORY, EAI_AGAIN)                                                     \
    X(socket, "socket", EMFILE, ENFILE, ENOBUFS, ENOMEM)                                                     \
    X(setsockopt, "setsockopt", ENOBUFS, ENOMEM)                                                             \
    X(bind, "bind", EADDRINUSE, EACCES, ENOMEM)                                                              \
    X(listen, "listen", EADDRINUSE, ENOMEM)                                                                  \
    X(connect, "connect", EADDRNOTAVAIL, ENOBUFS, EINTR, ECONNREFUSED)                                       \
    X(getsockname, "getsockname", ENOBUFS)                                                                   \
    X(getsockopt, "getsockopt", ENOBUFS)                                                                     \
    X(getpeername, "getpeername", ENOBUFS, ENOTCONN)                                                         \
    X(accept4, "accept", EMFILE, ENFILE, ENOBUFS, ENOMEM, EINTR, EAGAIN, ECONNABORTED, EPROTO)               \
    X(recv, "recv", EINTR, EAGAIN, ENOBUFS, ENOMEM, ECONNRESET, FAULT_SHORT)                                 \
    X(send, "send", EINTR, EAGAIN, ENOBUFS, ENOMEM, EPIPE, FAULT_SHORT)                                      \
    X(sendmsg, "sendmsg", EINTR, EAGAIN, ENOBUFS, ENOMEM, EPIPE, ECONNRESET, FAULT_SHORT)                    \
    X(shutdown, "shutdown", ENOTCONN, ENOBUFS)                                                               \
    X(ioctl, "ioctl", ENOMEM)                                                                                \
    X(epoll_create1, "epoll_create1", EMFILE, ENFILE, ENOMEM)                                                \
    X(epoll_ctl, "epoll_ctl", ENOMEM, ENOSPC)                                                                \
    X(epoll_wait, "epoll_wait", EINTR)                                                                       \
    X(eventfd, "eventfd", EMFILE, ENFILE, ENOMEM)                                                            \
    X(fcntl, "fcntl", EMFILE)                                                                                \
    X(dup3, "dup3", EMFILE, EBUSY)                                                                           \
    X(close, "close", EINTR, EIO)                                                                            \
    X(read, "read", EINTR, EAGAIN, EIO, FAULT_SHORT)                                                         \
    X(write, "cannot write", EINTR, EAGAIN, ENOSPC, EIO, FAULT_SHORT)                                        \
    X(pread, "cannot", EINTR, EIO)                                                                           \
    X(open, "cannot write", EMFILE, ENFILE, ENOMEM, EINTR)                                                   \
    X(fopen, "cannot write", EMFILE, ENFILE, ENOMEM)                                                         \
    X(fclose, "cannot write", ENOSPC, EIO)                                                                   \
    X(opendir, "cannot", EMFILE, ENOMEM)                                                                     \
    X(mkdir, "cannot make the folder", ENOSPC, ENOMEM)                                                       \
    X(link, "cannot write", ENOSPC, EIO)                                                                     \
    X(rename, "cannot write", ENOSPC, ENOMEM)                                                                \
    X(unlink, "cannot", EIO)                                                                                 \
    X(ftruncate, "cannot", EINTR, EIO)                                                                       \
    X(lseek, "cannot", EIO)                                                                                  \
    X(fstat, "cannot", ENOMEM)                                                                               \
    X(fts_open, "memory", ENOMEM)                                                                            \
    X(SHA256File, "cannot read", EMFILE, EIO)                                                                \
    X(getrandom, "getrandom", EINTR, EAGAIN)                                                                 \
    X(getrlimit, "limit", EPERM)                                                                             \
    X(setrlimit, "limit", EPERM)                                                                             \
    X(sigtimedwait, "sigtimedwait", EINTR)                                                                   \
    X(fork, "fork", EAGAIN, ENOMEM)                                                                          \
    X(waitpid, "waitpid", EINTR)                                                                             \
    X(poll, "poll", EINTR, ENOMEM)                                                                           \
    X(epoll_pwait2, "epoll_pwait2", EINTR, ENOSYS)                                                           \
    X(signalfd, "signalfd", EMFILE, ENOMEM)

enum fault_call {
#define X(call, ...) FAULT_##call,
    FAULT_CALLS(X)
#undef X
        FAULT_CALL_COUNT
};

struct fault {
    int call;    // enum fault_call; FAULT_NONE: none fails
    int64_t nth; // from 1
    int error;
};

struct fault_kind {
    const char *name, *word;
    int errors[FAULT_ERRORS_MAX + 1]; // 0 ends them
};
const struct fault_kind *fault_kind(int call);
const char *fault_error_name(int call, int error); // "EMFILE", "short"

void fault_open(void);                     // once in a process; its children share what it counts
void fault_arm(const struct fault *fault); // forgets the counts
void fault_target(void); // from now on the calls of this process, and of its children, count

int64_t fault_count(int call); // calls so far
bool fault_was_hit(void);
bool fault_has_crashed(void); // a target was ended by a signal of its own, such as SIGSEGV

#endif
