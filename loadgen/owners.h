// SPDX-License-Identifier: Apache-2.0
// Whether the watched processes are the target. A run with two targets of which one is watched would divide
// the memory of one by the connections of both, and a process that is no target has no connection at all.
//
// A process is the target, or a part of it, when it has
// - a socket that listens at a target's address (listeners.h), or
// - connections of this run: another process listens and passes them on as descriptors, or listens in front of it as a proxy
//   (holders.h). Those are counted while the run's clients are connected.
// How many descriptors a process has open tells nothing: another broker may have as many. Only where the descriptors of a
// watched process may not be listed are they all that is known, and that is said (`watched_unseen`).
#ifndef POOLMARK_LOADGEN_OWNERS_H
#define POOLMARK_LOADGEN_OWNERS_H

#include "base/opts.h"
#include "base/tcp_table.h"
#include "loadgen/children.h"
#include "loadgen/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum { OWNERS_PORTS_MAX = 64, OWNERS_OUTGOING_MAX = 1000 };

enum owner_role {
    OWNER_NONE,    // neither, as far as was looked
    OWNER_LISTENS, // at a target's address
    OWNER_HOLDS,   // connections of the run
    OWNER_UNSEEN,  // its descriptors may not be listed
};

struct owners {
    int listeners;  // listening sockets of the targets, as far as they were found
    int unowned;    // of these, those that no watched process has
    char first[96]; // the URI of such a target
    bool known;     // the descriptors of all watched processes can be listed
    enum owner_role roles[OPT_LIST_MAX];
    // What is known of the connections of watched processes that listen at no target (holders.h):
    int looks;
    int64_t of;              // connections of the run at the last look:
    int64_t held, connected; // of these, theirs; and theirs of any kind
    int64_t
        holder; // the pid of a process that is not watched and has such a listening socket; 0: none was found
    // Processes that are not watched, and have a listening socket that a watched one has: children of those and
    // their children, and other children of the parent of a watched one. Other users' may not be looked into.
    int sharing;
    int64_t first_sharing; // the pid of one
    // Of those that listen at a target in this network namespace:
    uint16_t ports[OWNERS_PORTS_MAX]; // at which they listen, the targets' too
    int port_count;
    struct tcp_sockets outgoing; // their connections to others, made before the run
    int children;                // of the watched processes and so on, not watched
    struct children before;      // the run: what children of the watched processes have done
    bool judged, wrong;
};

// Reads the owners. Lists the descriptors of the watched processes: call before the first reading of memory.
void owners_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count);

void owners_close(struct owners *owners);

// How many more children there are than there were at owners_look: a target may fork for each connection.
int64_t owners_more_children(const struct owners *owners, const int64_t *pids, int count);

// Whether the processes together have at least so many descriptors open. True where the kernel does not say
// (before Linux 6.2).
bool owners_hold(const int64_t *pids, int count, int64_t connections);

#endif
