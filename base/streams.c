// SPDX-License-Identifier: Apache-2.0
#include "base/streams.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void streams_open(void)
{
    signal(SIGPIPE, SIG_IGN);
    // Read-only, so that writing fails with EBADF. open takes the lowest free number: the missing one.
    for (int fd = 0; fd <= 2; fd++)
        while (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            if (open("/dev/null", O_RDONLY) < 0)
                return;
}

bool streams_ready(FILE *stream)
{
    // A pipe is ready when it takes PIPE_BUF bytes at once. An error is for the write to report.
    struct pollfd wait = {.fd = fileno(stream), .events = POLLOUT};
    return poll(&wait, 1, 0) != 0;
}

int streams_close(const char *program, int code)
{
    errno = 0;
    int failed = fflush(stdout) != 0;
    int error = errno;
    if (!failed && !ferror(stdout))
        return code;
    // A write that failed before this flush has left no errno.
    fprintf(stderr, "%s: could not write everything to stdout%s%s\n", program, error ? ": " : "",
            error ? strerror(error) : "");
    return code == EXIT_OK ? EXIT_FAILED : code;
}
