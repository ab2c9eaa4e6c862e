// SPDX-License-Identifier: Apache-2.0
// How much of the target's traffic between two readings was not this run's: connections that came, also those that
// ended long before the second reading, and bytes on connections that are there at a reading.
//
// - Connections. The kernel counts all that listeners of the target's network namespace took (PassiveOpens). Less
//   those of this run. The list of sockets shows whose the others were: at the target's ports, or between two programs
//   of this host at other ports. It has a connection for a minute after its end, unless that was a reset. Resets are heard
//   one by one where the kernel tells which sockets end (below): then it is known how many were the target's. In a
//   network namespace of the target's own, and where nothing goes on at other ports, all connections are the target's.
//   Ports that another connection has again, once the one before has ended, are another connection: ours, when one of our
//   sockets has them, which is looked up anew at each reading, or a stranger's. Of a client that came back and left again
//   between two lists they show one, so there may seem to be fewer of others than there were: those from ports that are
//   none of this run's clients are counted by themselves.
// - Bytes. Of each connection at the target's ports whose other end is no socket of this run's workers. Of one that came
//   and ended between two readings too: the kernel tells which sockets end, and what they had carried. While connections
//   of this run end, those of others cannot be told from them, unless they carried far more than a client that comes and
//   goes. Where the run itself ends many (census_pause), nobody listens: it would cost the kernel time, which is a figure.
// - Ends. A connection of others that a reading had and the next has not has left meanwhile. What it carried since is known
//   where somebody listened; elsewhere it is counted as unheard (foreign.h).
//
// The target's ports are those of the run, and all others at which its processes listen. What connections carry that they have made
// themselves counts as bytes of others (outgoing.h); those between processes of the target do not.
//
// Over several ranks only connections are counted: by the kernel's number of those that listeners took, and by the list.
//
// Of more than CENSUS_LISTED_MAX sockets only those at the target's ports are listed, of more than CENSUS_SOCKETS_MAX none:
// what the list would say is not known then. One thread.
//
//     census_open(&census, &plan, plan_per_route(&plan), pid);
//     census_take(census, fleets, 2, &own, &reading);                  // at rest
//     census_pause(census, &own);                                      // before an order that ends connections
//     census_look(census);                                             // while an order runs, as often as wished
//     census_close(census);
#ifndef POOLMARK_LOADGEN_CENSUS_H
#define POOLMARK_LOADGEN_CENSUS_H

#include "base/tcp_table.h"
#include "loadgen/fleet.h"
#include "loadgen/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CENSUS_LISTED_MAX = 50000, // about a microsecond each
    CENSUS_SOCKETS_MAX = 100000,
};

struct census_reading { // sums since the first reading
    int64_t opened;     // connections that listeners took; -1: not known
    int64_t begun;      // connects of this run, at most those among them
    int64_t at_target;  // connections at the target's ports, this run's too; resets may be missing
    int64_t elsewhere;  // connections at other ports, between programs of this host; likewise
    int64_t outside;    // other connections at other ports: with other hosts
    int64_t strange; // connections at the target's ports from ports that are no client's first; -1: not known
    int64_t passed;  // ports that this run's connects passed over: at most so many are among those
    int64_t ended;   // those of this run that failed or have ended
    int64_t went;    // connections of others to the target that ended between readings, resets among them
    int64_t parts, heard; // times between two readings, and those of which `went` has all
    const char *deaf;     // static: why the last of those that were not heard was not; NULL: all were
    // Connections of others at the target's ports:
    int64_t came;    // that a reading had and the one before had not
    int64_t left;    // that a reading had, and have ended by the next
    int64_t unheard; // of these, of which nobody heard what they had carried
    int64_t before;  // of any program, before the first reading: there, or ended a while ago; -1: not known
    bool listed;     // elsewhere and outside were looked at
    int64_t strange_bytes;  // on connections of others at the run's ports of the target
    int64_t further_bytes;  // at its other ports
    int64_t outgoing_bytes; // on connections that the target made itself
    int64_t own_bytes;      // on this run's present ones; -1: not known, nor are strange_bytes
};

struct census_own {  // connections of this run, so far
    int64_t begun;   // connects
    int64_t ended;   // of these, those that failed or have ended
    int64_t passed;  // ports that these passed over
    bool publishing; // some have carried messages
};

// The `deaf` of a part in which clients of the run ended (census_pause): by intent, not for want of anything.
extern const char census_paused[];

struct census;

// `clients_per_route`: by all plans of the run, whose ports are those of `plan`. `pid`: a process of the target. -ENOMEM:
// `*census` is NULL, which is as a census that knows nothing.
int census_open(struct census **census, const struct plan *plan, int64_t clients_per_route, int64_t pid)
    __attribute__((warn_unused_result));
void census_close(struct census *census);

// What the target's processes have beside the run's targets. The memory stays the caller's.
struct census_target {
    const uint16_t *ports; // at which they listen: others come there too
    int port_count;
    const struct tcp_sockets *outgoing; // connections that they made (outgoing.h)
    const int64_t *pids;
    int pid_count;
};
// Before the first reading. Nothing of a target in a network namespace of its own.
void census_widen(struct census *census, const struct census_target *target);

void census_take(struct census *census, struct fleet *const fleets[], int count, const struct census_own *own,
                 struct census_reading *reading);
// Why a reading has no `own_bytes`, for people: a static text.
const char *census_blind(const struct census *census);
// Hears what has ended so far, and then listens to no ends of connections until the next reading.
void census_pause(struct census *census, const struct census_own *own);
// Hears which connections have ended, and reads the list when the last was long ago: what ended is in it for a minute
// only.
void census_look(struct census *census);

#endif
