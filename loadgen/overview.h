// SPDX-License-Identifier: Apache-2.0
// What a person reads at the end of a run, on stdout: some twenty lines. What was asked for and what was had,
// the percentiles as one table, losses by reason, the limit, and where the record is. Every figure by its name
// is in the record, and follows here on request.
//
// Printed when the record is closed: a reader of stdout that does not read holds up no record.
#ifndef POOLMARK_LOADGEN_OVERVIEW_H
#define POOLMARK_LOADGEN_OVERVIEW_H

#include "loadgen/run.h"
#include "loadgen/summary.h"

#include <stdio.h>

struct overview {
    const struct run *run; // its scenario has ended; run->record is not read
    const struct summary *summary;
    const char *
        status; // of the record: "complete", "incomplete", "failed"; "unrecorded": it could not be written whole
    int64_t took_ns; // from the start of the run to its end
    bool all;        // every figure by its name, too
};

// Any thread; writes to `to` alone.
void overview_print(const struct overview *overview, FILE *to);

#endif
