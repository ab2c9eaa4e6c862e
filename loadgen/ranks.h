// SPDX-License-Identifier: Apache-2.0
// One run over several ranks (hosts), as each of their generators sees it. Rank 0 plays the scenario. The others carry out
// its orders with workers of their own, for their share of the plan, and tell it their counts and latencies: once a second, and
// when an order is done. So a scenario needs to know of none of this. What travels is in ranks_frames.h; a relay passes it on
// (relay.h). ranks_start.h opens and closes this; ranks_follow.h is what a rank above 0 does.
//
// An order begins at one instant on all ranks: rank 0 measures the others' clocks before each order (clock_offset.h) and
// gives each the instant by its own clock. Instants in counts come back by rank 0's clock.
//
// In a run with crews (crew.h) an order is one of each crew that has something to do, and each crew has counts and
// latencies of its own: a share (ranks_shares.h) is a crew then, and otherwise all clients.
//
// Latencies of a rank count when the counts come that were read after them, so that no sum has a sample without its count. A
// rank that is lost keeps what it had told; the rest of its clients and messages count as those of a dead worker.
//
// Nothing here waits, except where it says so. One thread. NULL for `ranks` is allowed where it is a run of one rank.
#ifndef POOLMARK_LOADGEN_RANKS_H
#define POOLMARK_LOADGEN_RANKS_H

#include "base/hist.h"
#include "loadgen/clock_offset.h"
#include "loadgen/fleet.h"
#include "loadgen/latency.h"
#include "loadgen/link.h"
#include "loadgen/ranks_shares.h"
#include "loadgen/worker.h"

#include <jansson.h>
#include <stdbool.h>

struct rank_counts {          // of a share of another rank
    struct tally_page counts; // by rank 0's clock
    int64_t due;              // crew_due there, of the present order
};

struct rank_state { // of another rank, at rank 0
    json_t *facts;  // what it said of itself; NULL: nothing yet
    json_t *part;   // what its own part has; NULL: not told
    bool ready, lost;
    uint64_t done;
    struct rank_counts *shares;
    struct clock_line clock;
    bool asked_clock; // its clock is being measured
    char *curve;      // memory.csv of a rank that only watches; NULL: not told
    size_t curve_bytes;
    char why[200]; // why it was lost, or could not go on; "": it was in order
};

struct ranks_order;
struct ranks_told;
struct ranks_waiting; // latencies that wait for their counts

struct ranks {
    struct link link;
    int rank, size;
    struct ranks_shares shares; // not divided before ranks_start
    struct rank_state *of;      // of all ranks, at rank 0; otherwise NULL
    struct ranks_waiting *waiting, **last;
    // At rank 0: latencies of other ranks that are to be collected, of each share.
    struct hist *in[CREWS_MAX][LATENCY_COUNT];
    int64_t censored[CREWS_MAX][LATENCY_COUNT];
    struct arrival_time *arrivals; // of the run, `arrival_places` of them (worker.h); NULL: not wanted
    int64_t arrival_places;
    void *hist_memory;
    size_t hist_memory_bytes;
    uint64_t number; // of the last order: at rank 0 given, at the others done
    uint64_t begun;  // at the others: of the order that is under way, or was last
    char asked[32];  // the signal by which the run is to end; "": none
    // Of a rank above 0: what rank 0 wants.
    struct ranks_order *order; // given and not taken; NULL: none
    json_t *settings;          // NULL: not told
    bool halted, ended;
    int64_t open;      // clients of all ranks that are connected; told to ranks that only watch
    char trouble[300]; // rank 0 is lost; ""
};

static inline bool ranks_lead(const struct ranks *ranks)
{
    return ranks && ranks->rank == 0;
}

// Takes in what has come. 0, or -errno when the relay is gone: all other ranks are lost then.
int ranks_hear(struct ranks *ranks);

// --- rank 0 ------------------------------------------------------------------------------------------------

// Measures the clocks of all others that are there. Waits, about a hundredth of a second a rank, 2 s each at most.
void ranks_measure_clocks(struct ranks *ranks);

// The time that an order needs to reach all others.
int64_t ranks_notice_ns(const struct ranks *ranks);

// Gives these orders, of which each has the same at_ns by our clock, to all others. `phase` is theirs in a run with crews;
// NULL: none. Without memory nobody gets them, and the run waits in vain.
void ranks_give(struct ranks *ranks, const char *phase, const struct crew_act acts[], int count,
                int64_t limit_ns);
void ranks_halt(struct ranks *ranks);
int ranks_busy(const struct ranks *ranks); // the others that can go on and are not done
void ranks_sum(const struct ranks *ranks, int share, struct tally *sum); // adds the counts of all others
int64_t ranks_due(const struct ranks *ranks, int share);                 // crew_due of all others
// Adds the latencies of all others that came since the last call.
void ranks_collect(struct ranks *ranks, int share, struct hist *into[LATENCY_COUNT],
                   int64_t censored[LATENCY_COUNT]);
void ranks_forget_latencies(struct ranks *ranks); // those that wait for their counts
// Why the run has to end: a rank was lost or cannot go on, or somebody asks for it. "" while it can go on. Gives `text`.
const char *ranks_trouble(const struct ranks *ranks, char *text, size_t size);
int ranks_lost(const struct ranks *ranks); // the number of ranks that were lost
bool ranks_only_watches(const struct ranks *ranks, int rank);
// Tells ranks that only watch how many clients of all ranks are connected.
void ranks_tell_open(struct ranks *ranks, int64_t open);
// Counts the rank's clients and messages as those of a dead worker. Once.
void ranks_lose(struct ranks *ranks, int rank, const char *why);

// --- ranks above 0 -----------------------------------------------------------------------------------------

// Tells rank 0 a histogram since the last; an empty one is not told.
void ranks_tell_latency(struct ranks *ranks, int share, enum latency_kind kind, const struct hist *hist,
                        int64_t censored);
// Tells when `count` clients arrived, whose places begin at `from`, and forgets it.
void ranks_tell_arrivals(struct ranks *ranks, int64_t from, int64_t count);
// Tells the counts of each share, which were read after these.
void ranks_tell_counts(struct ranks *ranks, const struct ranks_told *told);
void ranks_tell_trouble(struct ranks *ranks, const char *text);

#endif
