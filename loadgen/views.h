// SPDX-License-Identifier: Apache-2.0
// All that shows a run while it goes on: progress for people (stderr), objects for programs (stdout), a
// page for Prometheus. One thread.
//
//     views_open(&views, config, &err);
//     views_show(&views, &moment);     // each second
//     views_close(&views);             // the last frame stays on the terminal
#ifndef POOLMARK_LOADGEN_VIEWS_H
#define POOLMARK_LOADGEN_VIEWS_H

#include "loadgen/config.h"
#include "loadgen/json_lines.h"
#include "loadgen/live_page.h"
#include "loadgen/progress.h"

struct views {
    struct progress progress;
    struct json_lines lines;
    struct live_page *page; // NULL: none is wanted
};

// Open them after the workers are forked: the page has a thread. 0, or -errno with the text in `err`.
int views_open(struct views *views, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));
void views_show(struct views *views, const struct moment *moment);
void views_close(struct views *views); // again: does nothing

#endif
