// SPDX-License-Identifier: Apache-2.0
// Progress for people: some lines that are drawn anew in place each second, on a terminal that can; one line
// in place on a terminal with few rows; a plain line a second elsewhere and where TERM is "dumb" or not set.
// A terminal that was stopped (Ctrl-S), or a reader that does not read, misses lines and holds up nothing. One
// thread.
#ifndef POOLMARK_LOADGEN_PROGRESS_H
#define POOLMARK_LOADGEN_PROGRESS_H

#include "loadgen/moment.h"

#include <stdbool.h>
#include <stdio.h>

struct progress {
    FILE *to;      // NULL: quiet
    bool terminal; // one whose lines can be drawn anew
    int drawn;     // lines of the last frame that can be drawn anew; 0: none
    int columns;   // of the terminal, when that frame was drawn
};

void progress_start(struct progress *progress, FILE *to);
void progress_show(struct progress *progress, const struct moment *moment);
// Leaves what stands there standing: other output follows, or the end.
void progress_leave(struct progress *progress);

// The plain line, without newline.
void progress_line(const struct moment *moment, char *line, size_t size);
// The lines of a frame, each cut to `columns`; gives how many. 3 KiB hold them.
enum { PROGRESS_LINES_MAX = 24, PROGRESS_COLUMNS_MAX = 120 };
int progress_frame(const struct moment *moment, int columns,
                   char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1]);

#endif
