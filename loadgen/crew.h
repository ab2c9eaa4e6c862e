// SPDX-License-Identifier: Apache-2.0
// A crew: clients with a plan, workers, an identity, counts and latencies of their own, beside others in one run. The
// scenario mix has one for each group. A run without crews has the one fleet of run.h.
//
// Publishers and subscribers of one message may be different crews. Then they share a board and a pattern, in which
// the publishers' clients come first, and each crew knows the number of its first client in it (`place`).
//
// crew_collect and crew_count are for the parent's one thread. They read what has come since run_phase (run.h): a
// crew's `hist` and `censored`, and its counts from `before` to `tally`, are of the phase.
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

struct crew {
    const struct crew_request *request;
    struct plan plan;
    struct worker_setup setup;
    struct fleet *fleet;
    struct board *board; // with its publishers alone; `setup.board` has it in the subscribers' crews too
    struct latency_shared *latency;
    char prefix[20];
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

// Moves what came since the last call into the crew's `hist`, and adds it to `into` and `censored` of the run. Each
// latency but the lag becomes a line of `log` (may be NULL), with the tag CREW.PHASE.LATENCY.
void crew_collect(struct crew *crew, const char *phase, struct hist_log *log, int64_t from_wall_ns,
                  int64_t to_wall_ns, struct hist *into[LATENCY_COUNT], int64_t censored[LATENCY_COUNT]);

void crew_begin_phase(struct crew *crew); // empties `hist` and `censored`; `before` becomes `tally`

// Of the phase: the counts that add up, and the others as they are now.
void crew_phase_tally(const struct crew *crew, struct tally *tally);

#endif
