// SPDX-License-Identifier: Apache-2.0
#include "loadgen/views.h"

void views_open(struct views *views, const struct config *config)
{
    *views = (struct views){.lines = {.to = config->json ? stdout : NULL}};
    progress_start(&views->progress, config->quiet ? NULL : stderr);
}

void views_show(struct views *views, const struct moment *moment)
{
    progress_show(&views->progress, moment);
    json_lines_show(&views->lines, moment);
}

void views_close(struct views *views)
{
    progress_leave(&views->progress);
}
