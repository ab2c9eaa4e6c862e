// SPDX-License-Identifier: Apache-2.0
// One run of the load generator as a program: its arguments, its record, what the record says. Any of these
// fails the test when the record is not as it should be. One thread.
//
//     struct load_run load;
//     load_run_prepare(&load, process_port(broker), "connect", "raw");
//     load_run_add(&load, "--connections", "200", NULL);
//     assert_int_equal(load_run_to_end(&load), 0);
//     assert_true(load_run_metric(&load, "clients.connected") == 200);
//     load_run_finish(&load);
#ifndef POOLMARK_TESTS_LOAD_RUN_H
#define POOLMARK_TESTS_LOAD_RUN_H

#include "tests/broker_process.h"
#include "tests/temp_dir.h"

#include <jansson.h>
#include <stdbool.h>

enum { LOAD_ARGUMENTS_MAX = 40, LOAD_ENGINES = 2 };

extern const char
    *const load_run_engines[LOAD_ENGINES]; // what a test that shows something of both loops over

struct load_run {
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], target[64];
    const char *arguments[LOAD_ARGUMENTS_MAX]; // NULL-terminated
    int count;
    json_t *json; // run.json, once it was read
};

// Against the broker at `port` of this host, with a record in a folder of its own.
void load_run_prepare(struct load_run *load, uint16_t port, const char *scenario, const char *engine);

// More arguments; the strings stay the caller's, and as long as the run. NULL ends them.
void load_run_add(struct load_run *load, const char *first, ...) __attribute__((sentinel));

// Runs it, reads the record and gives the exit code. load_run_read is for who runs it otherwise.
int load_run_to_end(struct load_run *load);
void load_run_read(struct load_run *load);

void load_run_finish(struct load_run *load); // with the record

// Whether an anomaly of the run takes this metric's value away: some depend on how quiet the host is.
bool load_run_withholds(const struct load_run *load, const char *metric);
double load_run_metric(const struct load_run *load, const char *name);
// Of the line `source` of the record's books.
int64_t load_run_book(const struct load_run *load, const char *source, const char *column);
const char *load_run_status(const struct load_run *load);

// Runs it to its end. Fails with the record's status, books and anomalies unless it ends with 0 and a complete record.
void load_run_completes(struct load_run *load);
void load_run_check_complete(struct load_run *load, int code); // of one that ended with this code

// How many clients "failed" or "dropped" (`what`) for the reason `name`.
int64_t load_run_reason(const struct load_run *load, const char *what, const char *name);

// That the record's file `name` has `text` in it.
void load_run_assert_file(const struct load_run *load, const char *name, const char *text);

#endif
