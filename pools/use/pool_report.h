// SPDX-License-Identifier: Apache-2.0
// Reports of pools: the rows of pools.csv and events.csv (results/README.md has their columns and units), a
// log line for an event, and a table for people. Any thread may call, one at a time per csv or FILE.
//
//     csv_open(&csv, "pools.csv", POOL_REPORT_HEADER, &err);
//     pool_report_row(csv, clock_now_ns(), pool);
#ifndef POOLMARK_POOLS_USE_POOL_REPORT_H
#define POOLMARK_POOLS_USE_POOL_REPORT_H

#include "base/csv.h"
#include "pools/pool.h"

#include <stdio.h>

#define POOL_REPORT_HEADER                                                                                   \
    "at_ns,pool,strategy,object_bytes,owned,in_use,peak_in_use,gets,puts,hits,misses,overflow,refused,"      \
    "failed,"                                                                                                \
    "expansions,shrinks,bytes_owned,overhead_bytes,longest_expansion_ns"
#define POOL_REPORT_EVENT_HEADER "at_ns,pool,event,from,to,trigger,duration_ns"

void pool_report_row(struct csv *csv, int64_t at_ns, struct pool *pool);
void pool_report_event_row(struct csv *csv, const char *pool_name, const struct pool_event *event);

// "[POOL] connections: expand 1024->1536 (trigger at 819 of 1024)", cut at `size`; returns `text`.
char *pool_report_event_line(const char *pool_name, const struct pool_event *event, char *text, size_t size);

// One line for each pool under a heading, sizes in units; `count` is the length of `pools`.
void pool_report_table(struct pool *const *pools, size_t count, FILE *to);

#endif
