// SPDX-License-Identifier: Apache-2.0
#include "tests/ranks_run.h"

#include "base/clock.h"
#include "loadgen/link.h"
#include "loadgen/program.h"
#include "loadgen/relay.h"
#include "tests/broker_process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 64 };

struct sockets { // of one rank, to each other
    int size;
    struct link links[RANKS_RUN_MAX];
};

static int sockets_send(void *context, int to, const void *bytes, size_t count)
{
    struct sockets *sockets = context;
    return link_send(&sockets->links[to], 0, 0, bytes, count);
}

static int sockets_receive(void *context, int *from, const void **bytes, size_t *count)
{
    struct sockets *sockets = context;
    for (int rank = 0; rank < sockets->size; rank++) {
        struct link_frame frame;
        if (sockets->links[rank].fd < 0)
            continue;
        (void)!link_flush(&sockets->links[rank]);
        if (link_next(&sockets->links[rank], &frame) <= 0)
            continue;
        *from = rank;
        *bytes = frame.bytes;
        *count = frame.count;
        return 1;
    }
    return 0;
}

static int run_generator(const char *const *arguments, int fd)
{
    char *argv[ARGUMENTS_MAX + 1] = {strdup("poolmark-loadgen-mpi")};
    int argc = 1;
    for (; arguments[argc - 1] && argc < ARGUMENTS_MAX; argc++)
        argv[argc] = strdup(arguments[argc - 1]);
    struct loadgen_relay relay = {.fd = fd};
    int code = loadgen_program(argc, argv, &relay);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return code;
}

static int run_rank(struct ranks_run *run, int rank, int fds[RANKS_RUN_MAX], const char *const *arguments)
{
    struct sockets sockets = {.size = run->size};
    int ends[2];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return 99;
    pid_t child = fork();
    if (child == 0) {
        for (int other = 0; other < run->size; other++)
            if (other != rank)
                close(fds[other]);
        close(ends[0]);
        setsid();
        int code = run_generator(arguments, ends[1]);
        fflush(NULL);
        _exit(code);
    }
    close(ends[1]);
    run->generators[rank] = child;
    for (int other = 0; other < run->size; other++)
        if (other != rank)
            link_open(&sockets.links[other], fds[other]);
        else
            sockets.links[other].fd = -1;
    struct relay_net net = {.context = &sockets,
                            .rank = rank,
                            .size = run->size,
                            .send = sockets_send,
                            .receive = sockets_receive};
    struct relay_end end = relay_run(&net, ends[0], child);
    for (int other = 0; other < run->size; other++)
        if (other != rank) {
            (void)!link_drain(&sockets.links[other], NS_PER_S);
            link_close(&sockets.links[other]);
        }
    return end.code;
}

void ranks_run_start(struct ranks_run *run, int size, const char *const *arguments)
{
    ranks_run_start_last(run, size, arguments, arguments);
}

void ranks_run_start_last(struct ranks_run *run, int size, const char *const *arguments,
                          const char *const *last)
{
    int fds[RANKS_RUN_MAX][RANKS_RUN_MAX];
    *run = (struct ranks_run){.size = size};
    assert_true(size <= RANKS_RUN_MAX);
    void *shared =
        mmap(NULL, RANKS_RUN_MAX * sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    run->generators = shared;
    for (int a = 0; a < size; a++)
        for (int b = a + 1; b < size; b++) {
            int ends[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
            fds[a][b] = ends[0];
            fds[b][a] = ends[1];
        }
    fflush(NULL);
    for (int rank = 0; rank < size; rank++) {
        run->relays[rank] = fork();
        assert_true(run->relays[rank] >= 0);
        if (run->relays[rank] > 0)
            continue;
        for (int a = 0; a < size; a++)
            for (int b = 0; b < size; b++)
                if (a != b && a != rank)
                    close(fds[a][b]);
        _exit(run_rank(run, rank, fds[rank], rank == size - 1 ? last : arguments));
    }
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++)
            if (a != b)
                close(fds[a][b]);
}

pid_t ranks_run_generator(const struct ranks_run *run, int rank)
{
    int64_t until_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    while (run->generators[rank] == 0) {
        if (clock_now_ns() > until_ns)
            fail_msg("rank %d has no generator", rank);
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
    return run->generators[rank];
}

pid_t ranks_run_relay(const struct ranks_run *run, int rank)
{
    return run->relays[rank];
}

static int wait_for(const struct ranks_run *run, int rank)
{
    int status;
    int64_t until_ns = clock_now_ns() + 2 * PROCESS_GUARD_S * NS_PER_S;
    while (waitpid(run->relays[rank], &status, WNOHANG) == 0) {
        if (clock_now_ns() > until_ns) {
            for (int other = rank; other < run->size; other++)
                kill(run->relays[other], SIGKILL);
            fail_msg("rank %d does not end", rank);
        }
        clock_sleep_until_ns(clock_now_ns() + 5 * NS_PER_MS);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int ranks_run_wait(struct ranks_run *run)
{
    int code = wait_for(run, 0);
    for (int rank = 1; rank < run->size; rank++)
        (void)wait_for(run, rank);
    munmap((void *)run->generators, RANKS_RUN_MAX * sizeof(pid_t));
    return code;
}
