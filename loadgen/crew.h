// SPDX-License-Identifier: Apache-2.0
// A crew: clients with a plan, workers, an identity, counts and latencies of their own, beside others in one run. The
// scenario mix has one for each group. A run without crews has the one fleet of run.h.
//
// Publishers and subscribers of one message may be different crews. Then they share a board and a pattern, in which
// the publishers' clients come first, and each crew knows the number of its first client in it (`place`).
//
// Over several ranks (ranks_shares.h) a rank has some of a crew's clients, and of its pattern a part of its own.
//
// crew_take, crew_collect and what follows them are for the parent's one thread. They read what has come since run_phase
// (run.h): a crew's `hist` and `censored`, and its counts from `before` to `tally`, are of the phase.
//
//     struct crew_request requests[] = {{.name = "sensors", .config = &config}};       // in config.crews
//     crew_open(&crew, &request, number, &run->setup, &err);   // plan and setup; run_setup.c forks the workers
#ifndef POOLMARK_LOADGEN_CREW_H
#define POOLMARK_LOADGEN_CREW_H

#include "base/hist.h"
#include "loadgen/config.h"
#include "loadgen/fleet.h"
#include "loadgen/latency.h"
#include "loadgen/plan.h"
#include "loadgen/worker.h"

enum { CREWS_MAX = 16, CREW_NAME_BYTES = 20, CREW_TAG_BYTES = 72 };

struct crew_request { // by the scenario's check; outlives the run
    char name[CREW_NAME_BYTES];
    struct config *config; // the crew's own, whole: its clients, who they are, what they send
    int messages_of; // the number of the crew whose messages its clients get; its own: none, or those of pairs
    int64_t place;   // of its first client in the pattern
};

struct crew_act { // an order, and the crew that it is for; without crews it is crew 0
    int crew;
    bool shown; // its rate is a part of the one that is shown
    struct fleet_order order;
};

struct crew {
    const struct crew_request *request;
    struct plan plan;
    struct worker_setup setup;
    // On this rank: the pattern of its messages, the number of its first client in that, and how many clients it has.
    struct pattern pattern;
    int64_t place, clients;
    int64_t *places; // over ranks, of each worker (worker.h); otherwise NULL
    struct fleet *fleet;
    struct board *board; // with its publishers alone; `setup.board` has it in the subscribers' crews too
    struct latency_shared *latency;
    char prefix[20];
    char topics_prefix[28];               // of its messages' topics
    struct hist *interval[LATENCY_COUNT]; // since the last line of the log
    struct hist *hist[LATENCY_COUNT];     // of the phase
    int64_t censored[LATENCY_COUNT];      // of the samples in `hist`, those that had not ended
    struct tally tally, before;           // now, and when the phase began
    void *hist_memory;
    size_t hist_memory_bytes;
};

// Maps its histograms and its stripes, before the workers are forked. The rest of `crew` is the caller's.
// -errno with the text; crew_close frees what there is.
int crew_open(struct crew *crew, struct err *err) __attribute__((warn_unused_result));
void crew_close(struct crew *crew); // its workers too; a zeroed one too

// Adds what its workers measured since the last call to `interval`, and to `censored` how many of that had not ended.
void crew_take(struct crew *crew, int64_t censored[LATENCY_COUNT]);
// Moves `interval`, of which `these` had not ended, into the crew's `hist`, and adds it to `into` and `censored` of the run.
// Each latency but the lag becomes a line of `log` (may be NULL), with the tag CREW.PHASE.LATENCY.
void crew_collect(struct crew *crew, const char *phase, struct hist_log *log, int64_t from_wall_ns,
                  int64_t to_wall_ns, const int64_t these[LATENCY_COUNT], struct hist *into[LATENCY_COUNT],
                  int64_t censored[LATENCY_COUNT]);

void crew_begin_phase(struct crew *crew); // empties `hist` and `censored`; `before` becomes `tally`

// Of the phase: the counts that add up, and the others as they are now.
void crew_phase_tally(const struct crew *crew, struct tally *tally);

// Deliveries that are due here, by the order to publish that the board is of: at the crew's subscribers what each publisher
// has sent, times the subscribers of its topic among them. 0 of a crew that gets no messages of others.
int64_t crew_due(const struct crew *crew);
bool crew_is_slow(const struct crew *crew); // are these at slow readers?

#endif
