// SPDX-License-Identifier: Apache-2.0
// Runs a workload of bench/ on a strategy that records gets and puts, so that a test can check that the
// workload does what it says. One run at a time; its threads are the workload's.
//
//     watched_run("lifo", 0, 3000, NULL);
//     assert_int_equal(watch.puts_of_latest, 3000);
#ifndef POOLMARK_TESTS_WATCHED_H
#define POOLMARK_TESTS_WATCHED_H

#include "bench/workload.h"

#include <jansson.h>
#include <pthread.h>

// What was seen since the last reset, over all pools, and settings of the next run. A strategy has no place
// for a test's context, so this is the test program's one global.
struct watch {
    pthread_mutex_t lock; // guards all below
    int64_t gets, puts, in_use, peak, opens, remote_puts, sweeps, trims;
    int64_t puts_of_latest; // of the object got last
    int64_t puts_of_next;   // of the object got right after the one that was put last
    int64_t last_put, last_initial;
    bool last_touch;
    void (*on_get)(int64_t number); // called in each get, may slow it down; a reset keeps it
    int64_t fail_from;              // gets from this one on give NULL; 0: none
    const char *trace;              // file for the traces of the next runs; NULL: none. A reset keeps it
};
extern struct watch watch;

void watched_reset(void);

const struct workload *watched_workload(const char *name); // fails the test when there is none

// Runs one row on the watching strategy with `threads` (0: the single run). `iterations` 0: the row's own,
// or what the library finds. Returns the JSON of the one benchmark; the caller frees `document`.
json_t *watched_run_row(const char *name, int threads, int64_t iterations, json_t **document);

// As watched_run_row, for a row that is measured in another way: there is no pool to watch.
json_t *watched_run_way(const char *name, enum bench_way way, int threads, int64_t iterations,
                        json_t **document);

// watched_run_row after a reset, for a run that must succeed. `check` examines the counters; it may be NULL.
void watched_run(const char *name, int threads, int64_t iterations, void (*check)(json_t *));

double watched_counter(json_t *one, const char *name); // of a benchmark's JSON; fails the test without it

#endif
