// SPDX-License-Identifier: Apache-2.0
// The process beside a generator that talks to the other ranks for it.
//
// A generator forks its workers and must outlive whatever happens to the others, so nothing of MPI is in it: mpirun starts
// a relay, the relay forks the generator, in a session of its own, and passes frames (ranks_frames.h) from and to it. When the
// network's library or mpirun ends the relay, its generator sees the end of their socket, and closes its record.
//
// Relays hear each other ten times a second. Rank 0 hears all, the others hear rank 0. A rank is lost when its generator ended
// by itself, or was silent for RELAY_SILENCE_NS. When mpirun finds that one of its processes was killed, it asks all others to
// end (SIGTERM, after a second SIGKILL): then the one that was silent from then on is lost; when all are there, the
// user wants the run to end.
//
// Rank 0's relay also measures clocks: rounds of messages to another relay, which stays awake for them (clock_offset.h).
//
// The network is a struct of functions: MPI's is loadgen/mpi/main.c, tests have one of sockets.
#ifndef POOLMARK_LOADGEN_RELAY_H
#define POOLMARK_LOADGEN_RELAY_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RELAY_SILENCE_NS (20 * NS_PER_S)

struct relay_net {
    void *context;
    int rank, size;
    // Takes a copy and does not wait. -errno: the other is out of reach.
    int (*send)(void *context, int to, const void *bytes, size_t count);
    // The next message that has come: 1, with bytes that are valid until the next call; 0: none. Messages of one rank come in
    // their order.
    int (*receive)(void *context, int *from, const void **bytes, size_t *count);
};

struct relay_end {
    int code;  // exit code of the generator; of rank 0 that of the run
    bool lost; // a rank was lost: do not wait for all ranks any more
};

// Blocks the signals that the relay looks for. Call it after the generator was forked, and before anything that starts
// threads: a thread that has them unblocked would be ended by them, and the process with it.
void relay_block_signals(void);

// Passes frames between the socket `fd` of the generator `child` and the network until the run has ended.
struct relay_end relay_run(const struct relay_net *net, int fd, pid_t child);

#endif
