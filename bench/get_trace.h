// SPDX-License-Identifier: Apache-2.0
// The cost of each get of a growing pool, for a picture: a CSV file with the columns get (its number from
// 0), time_ns and owned_objects (objects that the pool owned then). It is written after the run. During the
// run it costs one store for each get, outside the timed part.
//
// Thinned to TRACE_ROWS_MAX rows: the first and the last get, every TRACE_EACH-th, those around each change
// of owned_objects and around the start of each expansion, and the slowest of all. So the file has every
// slow get, and a sample of the fast ones.
//
// owned_objects comes from the pool's events where the pool emits events of its growth (POOL_CAP_GROWS);
// other pools are asked after each get. Without a pool it is 0; of a pool without statistics it is empty.
//
//     struct get_trace *trace = get_trace_open(state, "trace.csv", 50000);   // before the pool is opened
//     config.listener = get_trace_listen; config.listener_context = trace;
//     get_trace_begin(trace, pool);
//     get_trace_add(trace, from_ns);                  // each get, by the thread that gets
//     get_trace_write(trace, state, &times);
//     get_trace_close(trace);                         // after the pool was closed
#ifndef POOLMARK_BENCH_GET_TRACE_H
#define POOLMARK_BENCH_GET_TRACE_H

#include "bench/latency.h"
#include "pools/pool.h"

enum { TRACE_ROWS_MAX = 5000, TRACE_EACH = 25 };

struct get_trace;

// Creates the file before the run. If it cannot be written, the run is skipped with the reason, and NULL is
// returned. The file has the last run of the process.
struct get_trace *get_trace_open(struct gb_state *state, const char *path, int64_t gets)
    __attribute__((warn_unused_result));
void get_trace_close(struct get_trace *trace); // NULL is allowed

pool_listener get_trace_listen;

void get_trace_begin(struct get_trace *trace, struct pool *pool); // right before the first get
void get_trace_add(struct get_trace *trace, int64_t from_ns);     // the next get, from from_ns to now

// `times`: the times of the same gets. Skips the run when the file cannot be written.
void get_trace_write(struct get_trace *trace, struct gb_state *state, const struct latency *times);

#endif
