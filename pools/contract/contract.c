// SPDX-License-Identifier: Apache-2.0
#include "pools/contract/contract.h"

#include "pools/contract/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// The tables of promises; each ends with a row without a name.
static const struct promise *const tables[] = {object_promises, bound_promises, thread_promises};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

const struct promise *promise_at(size_t index)
{
    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (const struct promise *row = tables[t]; row->name; row++)
            if (index-- == 0)
                return row;
    return NULL;
}

// In the child: says what it finds on stderr, which leads to the parent. exit, and not _exit, so that a leak
// sanitizer looks as well.
static _Noreturn void keep(const struct promise *promise, const struct pool_strategy *strategy, int to)
{
    const struct check check = {.strategy = strategy};
    if (dup2(to, STDERR_FILENO) < 0)
        _exit(EXIT_FAILURE);
    close(to);
    alarm(PROMISE_SECONDS_MAX);
    promise->keep(&check);
    exit(EXIT_SUCCESS);
}

// Reads to the end, so that the child can write all it has to say; keeps the beginning.
static void read_all(int from, char *text, size_t size)
{
    char bytes[512];
    size_t used = 0;
    ssize_t count;
    while ((count = read(from, bytes, sizeof bytes)) != 0) {
        if (count < 0 && errno != EINTR)
            break;
        size_t room = size - 1 - used, taken = count < 0 ? 0 : (size_t)count;
        taken = taken < room ? taken : room;
        memcpy(text + used, bytes, taken);
        used += taken;
    }
    while (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
}

// Adds how the child ended, where that says more than its text.
static void add_end(int status, char *text, size_t size)
{
    size_t used = strlen(text);
    const char *between = used ? "; " : "";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(text + used, size - used, "%sit did not end within %d s", between, PROMISE_SECONDS_MAX);
    else if (WIFSIGNALED(status))
        snprintf(text + used, size - used, "%sthe process ended by signal %d (%s)", between, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (!used)
        snprintf(text, size, "the process ended with exit code %d", WEXITSTATUS(status));
}

static enum promise_verdict await(pid_t child, int from, char *why, size_t size)
{
    int status;
    read_all(from, why, size);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            snprintf(why, size, "its end is not known: %s", strerror(errno));
            return PROMISE_BROKEN;
        }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
        *why = '\0';
        return PROMISE_KEPT;
    }
    add_end(status, why, size);
    return PROMISE_BROKEN;
}

enum promise_verdict promise_check(const struct promise *promise, const struct pool_strategy *strategy,
                                   char *why, size_t size)
{
    int ends[2];
    *why = '\0';
    if ((pool_strategy_caps(strategy) & promise->needs) != promise->needs)
        return PROMISE_NOT_MADE;
    if (pipe(ends) < 0) {
        snprintf(why, size, "it could not be checked: %s", strerror(errno));
        return PROMISE_BROKEN;
    }
    fflush(NULL); // the child's exit would write it once more
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        keep(promise, strategy, ends[1]);
    }
    int code = errno;
    close(ends[1]);
    enum promise_verdict verdict = PROMISE_BROKEN;
    if (child < 0)
        snprintf(why, size, "it could not be checked: %s", strerror(code));
    else
        verdict = await(child, ends[0], why, size);
    close(ends[0]);
    return verdict;
}
