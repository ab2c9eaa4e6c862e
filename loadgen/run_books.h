// SPDX-License-Identifier: Apache-2.0
// The books of a run (base/books.h): the counts of the workers against the counts of the histograms.
#ifndef POOLMARK_LOADGEN_RUN_BOOKS_H
#define POOLMARK_LOADGEN_RUN_BOOKS_H

#include "base/books.h"
#include "loadgen/run.h"

struct books_of {       // one account: counts and samples of the same acts
    const char *prefix; // of the names of its lines; "": none
    const struct tally *tally;
    struct hist *const *hist; // LATENCY_COUNT each
    const int64_t *censored;
};

// Adds the lines of the run. Call it after the last collection of latencies, after summary_add_clients (which
// counts clients that were not started) and after run_close_files. Lines written late and failed readings
// become anomalies.
void run_books(struct books *books, struct run *run);

// Adds the lines of a part of the run to run->books, which run_books takes over. `connects`: those by FLEET_CONNECT
// that were due in it.
void run_books_of(struct run *run, const struct books_of *of, int64_t connects);

#endif
