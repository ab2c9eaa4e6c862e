// SPDX-License-Identifier: Apache-2.0
// The books of a run (base/books.h): what workers counted against what the histograms hold.
#ifndef POOLMARK_LOADGEN_RUN_BOOKS_H
#define POOLMARK_LOADGEN_RUN_BOOKS_H

#include "base/books.h"
#include "loadgen/run.h"

// Adds the lines of the run. After the last collection of latencies, after summary_add_clients, which counts
// those that were not started, and after run_close_files. What a file took late or could not be read is an
// anomaly.
void run_books(struct books *books, const struct run *run);

#endif
