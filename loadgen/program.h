// SPDX-License-Identifier: Apache-2.0
// poolmark-loadgen: scenario -> schedule -> workers -> engine -> record. As a function, for main.c and for the program over
// several ranks (mpi/main.c).
#ifndef POOLMARK_LOADGEN_PROGRAM_H
#define POOLMARK_LOADGEN_PROGRAM_H

struct loadgen_relay {
    int fd; // the socket to the relay (relay.h); -1: nobody started this as one of several ranks
};

// Returns the exit code. `relay` NULL: the program for one host, without the options of several ranks.
int loadgen_program(int argc, char **argv, const struct loadgen_relay *relay);

#endif
