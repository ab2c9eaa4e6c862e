// SPDX-License-Identifier: Apache-2.0
// The books of a run (base/books.h): the counts of the workers against the counts of the histograms.
#ifndef POOLMARK_LOADGEN_RUN_BOOKS_H
#define POOLMARK_LOADGEN_RUN_BOOKS_H

#include "base/books.h"
#include "loadgen/run.h"

// Adds the lines of the run. Call it after the last collection of latencies, after summary_add_clients (which
// counts clients that were not started) and after run_close_files. Lines written late and failed readings
// become anomalies.
void run_books(struct books *books, struct run *run);

#endif
