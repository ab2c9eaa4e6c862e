// SPDX-License-Identifier: Apache-2.0
// A load over three ranks of this host, and what its record says of each. Any of these fails the test when the record is not
// as it should be. One thread.
//
//     struct load_run load;
//     load_run_prepare(&load, process_port(broker), "connect", "raw");
//     ranks_load_completes(&load);
//     assert_int_equal(ranks_load_sum(&load, "connected"), 300);
//     load_run_finish(&load);
#ifndef POOLMARK_TESTS_RANKS_LOAD_H
#define POOLMARK_TESTS_RANKS_LOAD_H

#include "tests/load_run.h"
#include "tests/ranks_run.h"

#include <stdint.h>

enum { RANKS_LOAD = 3 };

int ranks_load_run(struct load_run *load); // to its end; the exit code of rank 0
// Runs it and reads the record: it is complete, and all ranks ended in order.
void ranks_load_completes(struct load_run *load);

const json_t *ranks_load_rank(const struct load_run *load, size_t rank);
int64_t ranks_load_count(const struct load_run *load, size_t rank, const char *name); // of its `counts`
int64_t ranks_load_sum(const struct load_run *load, const char *name);                // of all ranks

const char *ranks_load_anomaly(const struct load_run *load,
                               const char *what);   // the first such text; "": none
void ranks_load_print(const struct load_run *load); // for a test that fails

#endif
