// SPDX-License-Identifier: Apache-2.0
// All that shows a run while it goes on: progress for people (stderr), objects for programs (stdout). One
// thread.
//
//     views_open(&views, config);
//     views_show(&views, &moment);     // each second
//     views_close(&views);             // the last frame stays on the terminal
#ifndef POOLMARK_LOADGEN_VIEWS_H
#define POOLMARK_LOADGEN_VIEWS_H

#include "loadgen/config.h"
#include "loadgen/json_lines.h"
#include "loadgen/progress.h"

struct views {
    struct progress progress;
    struct json_lines lines;
};

void views_open(struct views *views, const struct config *config);
void views_show(struct views *views, const struct moment *moment);
void views_close(struct views *views);

#endif
