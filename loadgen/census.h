// SPDX-License-Identifier: Apache-2.0
// How much of the target's traffic between two readings was not this run's: connections that came, also those that
// ended long before the second reading, and bytes on connections that are there at a reading.
//
// - Connections. The kernel counts all that listeners of the target's network namespace took (PassiveOpens). Less
//   those of this run. The list of sockets shows whose the others were: at the target's ports, or between two programs
//   of this host at other ports. It has a connection for a minute after its end, unless that was a reset. In a
//   network namespace of the target's own, and where nothing goes on at other ports, all connections are the target's.
//   Ports that another connection has again, once the one before has ended, are another connection: ours, when one of our
//   sockets has them, which is looked up anew at each reading, or a stranger's.
// - Bytes. Of each connection at the target's ports whose other end is no socket of this run's workers.
//
// Of more than CENSUS_LISTED_MAX sockets only those at the target's ports are listed, of more than CENSUS_SOCKETS_MAX none:
// what the list would say is not known then. Nobody sees bytes on a connection that came and ended between two readings.
// One thread.
//
//     census_open(&census, &plan, pid);
//     census_take(census, fleets, 2, connects_begun, &reading);        // at rest
//     census_look(census);                                             // while an order runs, as often as wished
//     census_close(census);
#ifndef POOLMARK_LOADGEN_CENSUS_H
#define POOLMARK_LOADGEN_CENSUS_H

#include "loadgen/fleet.h"
#include "loadgen/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CENSUS_LISTED_MAX = 50000, // about a microsecond each
    CENSUS_SOCKETS_MAX = 100000,
};

struct census_reading {    // sums since the first reading
    int64_t opened;        // connections that listeners took; -1: not known
    int64_t begun;         // connects of this run, at most those among them
    int64_t at_target;     // connections at the target's ports, this run's too; resets may be missing
    int64_t elsewhere;     // connections at other ports, between programs of this host; likewise
    int64_t outside;       // other connections at other ports: with other hosts
    bool listed;           // elsewhere and outside were looked at
    int64_t strange_bytes; // on connections of others at the target's ports
    int64_t own_bytes;     // on this run's present ones; -1: not known, nor are strange_bytes
};

struct census;

// `pid`: a process of the target. -ENOMEM: `*census` is NULL, which is as a census that knows nothing.
int census_open(struct census **census, const struct plan *plan, int64_t pid)
    __attribute__((warn_unused_result));
void census_close(struct census *census);

// `begun`: connects that the run has begun so far.
void census_take(struct census *census, struct fleet *const fleets[], int count, int64_t begun,
                 struct census_reading *reading);
// Reads the list when the last was long ago: what ended is in it for a minute only.
void census_look(struct census *census);

#endif
