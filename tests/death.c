// SPDX-License-Identifier: Apache-2.0
#include "tests/death.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void be_the_child(void (*body)(void *), void *argument, int to)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(to, STDERR_FILENO);
    body(argument);
    _exit(0); // no leak check, no buffers of the parent's flushed twice
}

static void read_all(int from, char *said, size_t size)
{
    size_t length = 0;
    ssize_t got;
    char rest[256];
    while (length + 1 < size && (got = read(from, said + length, size - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    while (read(from, rest, sizeof rest) > 0)
        ;
}

int death_of(void (*body)(void *), void *argument, char *said, size_t size)
{
    int ends[2], status = 0;
    said[0] = '\0';
    fflush(NULL);
    if (pipe(ends) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        be_the_child(body, argument, ends[1]);
    }
    close(ends[1]);
    if (child > 0)
        read_all(ends[0], said, size);
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
