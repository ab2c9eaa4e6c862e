// SPDX-License-Identifier: Apache-2.0
// Many small clients for tests of limits: a descriptor each and nothing else. They connect one after the
// other or all at once; what each was answered is counted. Every function fails the test when something hangs
// for PROCESS_GUARD_S.
#ifndef POOLMARK_TESTS_MANY_CLIENTS_H
#define POOLMARK_TESTS_MANY_CLIENTS_H

#include <stdint.h>

struct many_clients {
    int *fds; // -1: closed
    int count;
    int accepted, refused; // by CONNACK 0, by CONNACK 3 "server unavailable"
    int other;             // any other answer, or none before the connection ended
};

// How many descriptors this process may have, after raising its limit as far as it goes.
int many_clients_limit(void);

// Connects `count` clients and sends their CONNECTs; then waits for every answer. Who is refused is closed.
// One after the other with `window` 1; with more, so many are under way at once.
void many_clients_connect(struct many_clients *clients, uint16_t port, int count, int window,
                          const char *prefix);
void many_clients_ping(const struct many_clients *clients); // every accepted one gets its PINGRESP
void many_clients_close(struct many_clients *clients);

#endif
