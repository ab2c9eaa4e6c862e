// SPDX-License-Identifier: Apache-2.0
// A run of the generator over several ranks on this host, without MPI: each rank is a relay (loadgen/relay.h) and its
// generator, and the relays talk through sockets. One run at a time, one thread. Every wait is bounded (PROCESS_GUARD_S).
//
//     struct ranks_run run;
//     ranks_run_start(&run, 3, arguments);              // as of poolmark-loadgen, NULL-terminated
//     kill(ranks_run_generator(&run, 1), SIGKILL);
//     assert_int_equal(ranks_run_wait(&run), 1);        // exit code of rank 0
#ifndef POOLMARK_TESTS_RANKS_RUN_H
#define POOLMARK_TESTS_RANKS_RUN_H

#include <sys/types.h>

enum { RANKS_RUN_MAX = 8 };

struct ranks_run {
    int size;
    pid_t relays[RANKS_RUN_MAX];
    volatile pid_t *generators; // in memory that all share
};

void ranks_run_start(struct ranks_run *run, int size, const char *const *arguments);
// The same, with other arguments for the last rank.
void ranks_run_start_last(struct ranks_run *run, int size, const char *const *arguments,
                          const char *const *last);

// The process of that rank's generator, once it is there.
pid_t ranks_run_generator(const struct ranks_run *run, int rank);
pid_t ranks_run_relay(const struct ranks_run *run, int rank);

// Waits for all ranks. Gives rank 0's exit code; -signal when its relay was killed.
int ranks_run_wait(struct ranks_run *run);

#endif
