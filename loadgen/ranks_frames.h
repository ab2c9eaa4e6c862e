// SPDX-License-Identifier: Apache-2.0
// What travels between the generators of several ranks, and between a generator and its relay (relay.h): the kinds of
// frames (link.h). All ranks run one build, so structs travel as they are; their sizes are compared at the start.
#ifndef POOLMARK_LOADGEN_RANKS_FRAMES_H
#define POOLMARK_LOADGEN_RANKS_FRAMES_H

#include "loadgen/crew.h"
#include "loadgen/latency.h"
#include "loadgen/tally.h"

enum { RANKS_MAX = 4096 };

enum ranks_frame {
    // Between a generator and its own relay; the frame's rank is the rank that it is about.
    RANKS_HELLO = 1, // to the generator, first: struct ranks_hello
    RANKS_LOST,      // to the generator: that rank is lost; text
    RANKS_ASKED,     // to generator 0: the run is to end; text, the signal
    RANKS_CLOCK,     // by generator 0: measure that rank's clock; back: struct clock_offset
    // Between generators; the frame's rank is the other one.
    RANKS_FACTS,    // to 0: JSON (ranks_start.c)
    RANKS_SETTINGS, // by 0: JSON
    RANKS_REFUSED,  // by 0: the run does not begin
    RANKS_READY,    // to 0: the workers are there
    RANKS_ORDER,    // by 0: struct ranks_order, and an order of each crew that has one
    RANKS_HALT,     // by 0: break the order off
    RANKS_LATENCY,  // to 0: struct ranks_latency, and a histogram as text
    RANKS_ARRIVALS, // to 0: struct ranks_arrivals, and a struct arrival_time for each client of a part
    RANKS_COUNTS, // to 0: struct ranks_counts, and a struct ranks_told of each share; up to the latencies before it
    RANKS_TROUBLE, // to 0: why the run cannot go on there; text
    RANKS_END,     // by 0: the run has ended
    RANKS_OPEN,    // by 0, to ranks that only watch: int64_t, the clients that are connected on all ranks
    RANKS_CURVE,   // to 0, by these: their memory.csv
    RANKS_PART,    // to 0: JSON, what the rank's own part has
};

struct ranks_hello {
    int32_t rank, size;
};

enum { RANKS_PHASE_BYTES = 24 };

struct ranks_order {               // all of it begins at one instant
    uint64_t number;               // from 1
    int64_t limit_ns;              // after its at_ns, which is by the receiver's clock
    int32_t count;                 // of `acts`, 1 and up
    char phase[RANKS_PHASE_BYTES]; // of a run with crews; "": as the act is called
    struct crew_act acts[];
};

struct ranks_latency {
    int64_t censored;
    int32_t kind, share; // ranks_shares.h
};

struct ranks_arrivals {
    int64_t from; // the place of the first (worker.h)
};

struct ranks_told {
    struct tally tally;
    int64_t due; // crew_due (crew.h), read after the tally
};

struct ranks_counts {
    uint64_t done; // number of the last order that is done; 0: none
    uint64_t of;   // number of the order that `due` is of
    struct ranks_told told[];
};

#endif
