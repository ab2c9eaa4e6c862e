// SPDX-License-Identifier: Apache-2.0
// The kinds of acts whose rate a run asks for, or makes as fast as it goes: for each it is known how busy the generator and
// its target were, and who was the limit (limit.h).
#ifndef POOLMARK_LOADGEN_LOAD_KIND_H
#define POOLMARK_LOADGEN_LOAD_KIND_H

enum load_kind {
    LOAD_MESSAGES,
    LOAD_CONNECTS, // first connects
    LOAD_ARRIVALS, // clients that come, or come back
    LOAD_CHANGES,  // SUBSCRIBEs and UNSUBSCRIBEs
    LOAD_KINDS
};

// What a worker tells of a kind (tally.h). Shares are of the time of its acts in which the worker's busiest thread
// (thread_load.h) ran, and waited for a CPU, and in which the worker was kept from running; in millionths, the first two 0: not
// known.
enum load_figure {
    LOAD_NUMBER, // fleet_order.load of the orders that they are of
    LOAD_RAN_PPM,
    LOAD_WAITED_PPM,
    LOAD_STALLED_PPM,
    LOAD_FIGURES
};

#endif
