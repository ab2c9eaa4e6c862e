// SPDX-License-Identifier: Apache-2.0
// A line a second for people: rewritten in place on a terminal, a plain line otherwise. One thread.
#ifndef POOLMARK_LOADGEN_PROGRESS_H
#define POOLMARK_LOADGEN_PROGRESS_H

#include "loadgen/tally.h"

#include <stdbool.h>
#include <stdio.h>

struct progress {
    FILE *to;      // NULL: quiet
    bool terminal; // rewrite the line
    int64_t started_ns, last_ns;
    int64_t last_connected, last_received;
};

struct progress_view {
    const char *phase;
    int64_t now_ns, wanted;
    int64_t top;              // connections of the last step; 0 outside the scenario steps
    bool publishing;          // the line counts messages, not connects
    int64_t target_rss_bytes; // -1: unknown
    const struct tally *tally;
};

void progress_start(struct progress *progress, FILE *to, int64_t now_ns);
void progress_show(struct progress *progress, const struct progress_view *view);
void progress_end(struct progress *progress); // leaves the last line standing

// The line itself, without newline.
void progress_format(const struct progress *progress, const struct progress_view *view, char *line,
                     size_t size);

#endif
