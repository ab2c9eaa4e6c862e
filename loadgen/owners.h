// SPDX-License-Identifier: Apache-2.0
// Whether the watched processes are the target. A run with two targets of which one is watched would divide
// the memory of one by the connections of both, and a process that is no target has no connection at all.
//
// The listening sockets of loopback targets are in /proc/net/tcp and tcp6, their owners in /proc/PID/fd. A
// process may also get its connections from another that listens (a proxy, a parent): so processes that hold
// as many descriptors as there are connections are taken for the target as well.
#ifndef POOLMARK_LOADGEN_OWNERS_H
#define POOLMARK_LOADGEN_OWNERS_H

#include "loadgen/plan.h"

#include <stdbool.h>
#include <stdint.h>

struct owners {
    int listeners;  // listening sockets of the targets, as far as they were found
    int unowned;    // of these, those that no watched process has
    char first[96]; // the URI of such a target
    bool known;     // the descriptors of all watched processes can be read
    // Processes that are not watched, and have a listening socket that a watched one has: children of those and
    // their children, and other children of the parent of a watched one. Other users' may not be looked into.
    int sharing;
    int64_t first_sharing; // the pid of one
    int children;          // of the watched processes and so on, not watched
    bool judged, wrong;
};

// Reads the owners. Lists the descriptors of the watched processes: call before the first reading of memory.
void owners_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count);

// How many more children there are than there were at owners_look: a target may fork for each connection.
int64_t owners_more_children(const struct owners *owners, const int64_t *pids, int count);

// Whether the processes together have at least so many descriptors open. True where the kernel does not say
// (before Linux 6.2).
bool owners_hold(const int64_t *pids, int count, int64_t connections);

#endif
