// SPDX-License-Identifier: Apache-2.0
// poolmark-loadgen-mpi: the generator as one of several ranks, started by mpirun. This process is the relay (relay.h); the
// generator is its child. This is the only file that knows of MPI.
//
// Messages are sent and received without waiting, from each rank by itself, so that a rank that is dead holds nobody up. MPI
// libraries of Debian have no means against a dead rank beyond ending all others; relay.h says how a run outlives that.
#include "base/err.h"
#include "base/time_namespace.h"
#include "loadgen/identity_options.h"
#include "loadgen/program.h"
#include "loadgen/relay.h"

#include <errno.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TAG = 1,
    INIT_S = 120, // limit for MPI_Init, which waits for all ranks
    LEAVE_S = 60, // and for MPI_Finalize and MPI_Abort, which may wait for a rank that has ended otherwise
};
#define LAST_NS (2 * NS_PER_S) // limit for the last messages to leave

struct outgoing {
    struct outgoing *next;
    MPI_Request request;
    char bytes[];
};

struct incoming { // from one rank
    MPI_Request request;
    bool busy; // a message is being received
    int count;
    char *bytes;
    size_t room;
};

struct net {
    int rank, size;
    struct outgoing *out;
    struct incoming *in; // of each rank
    int next;            // the rank to look at first
};

// Forgets messages that have left.
static void reap(struct net *net)
{
    struct outgoing **at = &net->out;
    while (*at) {
        struct outgoing *one = *at;
        int done = 0;
        if (MPI_Test(&one->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        free(one);
    }
}

static int net_send(void *context, int to, const void *bytes, size_t count)
{
    struct net *net = context;
    reap(net);
    struct outgoing *one = malloc(sizeof *one + count);
    if (!one)
        return -ENOMEM;
    memcpy(one->bytes, bytes, count);
    if (MPI_Isend(one->bytes, (int)count, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &one->request) != MPI_SUCCESS) {
        free(one);
        return -EIO;
    }
    one->next = net->out;
    net->out = one;
    return 0;
}

static bool make_room(struct incoming *in, size_t count)
{
    if (in->room >= count)
        return true;
    char *bytes = realloc(in->bytes, count);
    if (!bytes)
        return false;
    in->bytes = bytes;
    in->room = count;
    return true;
}

// Begins to receive the next message of that rank, if one has come.
static void begin_to_receive(struct incoming *in, int from)
{
    MPI_Message message;
    MPI_Status status;
    int there = 0;
    if (MPI_Improbe(from, TAG, MPI_COMM_WORLD, &there, &message, &status) != MPI_SUCCESS || !there)
        return;
    MPI_Get_count(&status, MPI_BYTE, &in->count);
    if (make_room(in, (size_t)in->count + 1) &&
        MPI_Imrecv(in->bytes, in->count, MPI_BYTE, &message, &in->request) == MPI_SUCCESS)
        in->busy = true;
}

// One question for all ranks when nothing has come: each question is system calls over TCP, and 64 relays of one host that ask
// for 64 ranks each leave it no time for anything else.
static int net_receive(void *context, int *from, const void **bytes, size_t *count)
{
    struct net *net = context;
    MPI_Status status;
    int there = 0;
    if (MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS)
        there = 0;
    bool hidden = there && net->in[status.MPI_SOURCE].busy; // messages of others may be behind this one
    if (there && !hidden)
        begin_to_receive(&net->in[status.MPI_SOURCE], status.MPI_SOURCE);
    for (int i = 0; i < net->size; i++) {
        int rank = (net->next + i) % net->size, done = 0;
        struct incoming *in = &net->in[rank];
        if (!in->busy && hidden)
            begin_to_receive(in, rank);
        if (!in->busy || MPI_Test(&in->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done)
            continue;
        in->busy = false;
        *from = rank;
        *bytes = in->bytes;
        *count = (size_t)in->count;
        net->next = (rank + 1) % net->size;
        return 1;
    }
    return 0;
}

// MPI's calls that wait have no limit of their own. A process that ends here is noticed by mpirun, which ends all others.
static void end_waiting(int number)
{
    static const char text[] =
        "poolmark-loadgen-mpi: MPI waits for another rank longer than it may; this rank ends\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_FAILED);
}

static void wait_at_most(unsigned seconds) // 0: without limit
{
    struct sigaction action = {.sa_handler = end_waiting};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    alarm(seconds);
}

// A rank that was lost would be waited for in MPI_Finalize.
static void leave(struct net *net, const struct relay_end *end)
{
    wait_at_most(LEAVE_S);
    int64_t until_ns = clock_now_ns() + LAST_NS;
    while (net->out && clock_now_ns() < until_ns)
        reap(net);
    if (end->lost)
        MPI_Abort(MPI_COMM_WORLD, end->code != EXIT_OK ? end->code : EXIT_FAILED);
    MPI_Finalize();
}

static int run_relay(int fd, pid_t child)
{
    struct net net = {.rank = 0};
    prctl(PR_SET_NAME, "poolmark-relay");
    relay_block_signals(); // MPI starts threads
    wait_at_most(INIT_S);
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS)
        return EXIT_FAILED; // the generator sees the end of the socket, and says so
    wait_at_most(0);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &net.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &net.size);
    net.in = calloc((size_t)net.size, sizeof *net.in);
    if (!net.in)
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILED);
    struct relay_net calls = {
        .context = &net, .rank = net.rank, .size = net.size, .send = net_send, .receive = net_receive};
    struct relay_end end = relay_run(&calls, fd, child);
    leave(&net, &end);
    for (int rank = 0; rank < net.size; rank++)
        free(net.in[rank].bytes);
    free(net.in);
    return end.code;
}

// mpirun binds a process to one core by default, which a rank with workers is not made for. Takes back what it bound: the
// processors are then those of mpirun's own process here.
static void unbind(void)
{
    cpu_set_t set;
    if (getenv("OMPI_MCA_orte_bound_at_launch") && sched_getaffinity(getppid(), sizeof set, &set) == 0)
        (void)!sched_setaffinity(0, sizeof set, &set);
}

// Whether mpirun, or srun with PMI, has started this process: MPI_Init of a process by itself would be a run of one rank too,
// and takes a second.
static bool is_one_of_several(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct loadgen_relay relay = {.fd = -1};
    int ends[2];
    struct err err = {0};
    if (time_namespace_join(&err) == -EXDEV) {
        fprintf(stderr, "poolmark-loadgen-mpi: %s\n", err.text);
        return EXIT_FAILED;
    }
    if (!is_one_of_several())
        return loadgen_program(argc, argv, &relay);
    unbind();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        perror("poolmark-loadgen-mpi: cannot make a socket");
        return EXIT_FAILED;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("poolmark-loadgen-mpi: cannot start the generator");
        return EXIT_FAILED;
    }
    if (child == 0) {
        close(ends[0]);
        setsid(); // mpirun ends the process group of the relay
        relay.fd = ends[1];
        return loadgen_program(argc, argv, &relay);
    }
    close(ends[1]);
    identity_hide_passwords(argc, argv);
    return run_relay(ends[0], child);
}
