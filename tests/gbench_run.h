// SPDX-License-Identifier: Apache-2.0
// Benchmarks run inside a test: with flags, stdout kept off the screen, and the JSON report read back. One
// thread may call; a benchmark's own threads may count.
//
//     struct gbench_seen seen = {0};
//     struct gb_spec spec = {.name = "x", .run = gbench_count_up, .context = &seen, .iterations = 10};
//     json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
//     assert_int_equal(gbench_number_at(benchmarks, 0, "iterations"), 10);
//     json_decref(document);
#ifndef POOLMARK_TESTS_GBENCH_RUN_H
#define POOLMARK_TESTS_GBENCH_RUN_H

#include "bench/gbench.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

// gb_run with `flags` (NULL-terminated); stdout goes to the file `out`, or nowhere.
int gbench_run(struct gb_suite *suite, const char *const *flags, const char *out, struct gb_outcome *outcome,
               struct err *err) __attribute__((warn_unused_result));

// The same, nowhere; gives the JSON report, which the caller drops. Fails the test when gb_run does.
json_t *gbench_run_json(struct gb_suite *suite, const char *const *flags, struct gb_outcome *outcome);

// Runs these benchmarks for 1 ms each, or with the flag `extra`. Gives the "benchmarks" of the report, and in
// `document` the report, which the caller drops.
json_t *gbench_report(const struct gb_spec *specs, size_t count, const char *extra,
                      struct gb_outcome *outcome, json_t **document);

const char *gbench_name_at(json_t *benchmarks, size_t i);
double gbench_number_at(json_t *benchmarks, size_t i, const char *key); // fails the test if it is none

// An empty file, for the caller to remove; returns `path`.
char *gbench_temporary_path(char path[static 64]);

// What the benchmarks of a test were seen to do. Threads of a run share it, so its counts are atomic; relaxed
// order is enough, since they are read after the run has joined its threads.
struct gbench_seen {
    _Atomic int64_t iterations, longest_batch, runs, setups, teardowns, in_run, setup_while_running;
    _Atomic int64_t thread_exits;
    pthread_key_t at_exit; // its destructor counts thread_exits
};

// A gb_spec's run with a gbench_seen as its context: counts runs and iterations, and does nothing else.
void gbench_count_up(struct gb_state *state, void *context);

#endif
