// SPDX-License-Identifier: Apache-2.0
// What a run came to: metrics into the record, a table for people on stdout.
//
// Scenarios put rows in as they go; a row is a metric of the record and a line of the table.
// results/README.md lists the metrics.
#ifndef POOLMARK_LOADGEN_SUMMARY_H
#define POOLMARK_LOADGEN_SUMMARY_H

#include "loadgen/run.h"

enum { SUMMARY_ROWS_MAX = 96 };

struct summary {
    struct {
        char name[48];
        double value;
        const char *unit, *better;
    } rows[SUMMARY_ROWS_MAX];
    int count;
};

void summary_add(struct summary *summary, const char *name, double value, const char *unit,
                 const char *better);

// PREFIX.p50, .p99, .p99_9, .max (ns, lower) and PREFIX.count; nothing for an empty histogram.
void summary_add_latency(struct summary *summary, const char *prefix, const struct hist *hist);

// memory.*, kernel.*, cpu.* and generator.* from three samples: before, at a tenth (may be NULL), with all.
void summary_add_memory(struct summary *summary, const struct sample *start, const struct sample *tenth,
                        const struct sample *full);

// clients.*, and what the generator could not keep up with (lag), as anomalies of the run too.
void summary_add_clients(struct summary *summary, struct run *run);

// Everything into the record (may be NULL), and as a table to `to` (may be NULL).
void summary_write(const struct summary *summary, const struct run *run, FILE *to);

// {"timeout": 3, ...}: reasons with a count that is not zero.
json_t *summary_reasons(const int64_t counts[REASON_COUNT]);

#endif
