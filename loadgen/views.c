// SPDX-License-Identifier: Apache-2.0
#include "loadgen/views.h"

#include "loadgen/engine.h"
#include "loadgen/scenario.h"

int views_open(struct views *views, const struct config *config, struct err *err)
{
    *views = (struct views){.lines = {.to = config->json ? stdout : NULL}};
    progress_start(&views->progress, config->quiet ? NULL : stderr);
    if (!config->metrics)
        return 0;
    struct address address = config->metrics_address;
    char text[ADDRESS_TEXT_BYTES];
    int code = live_page_open(&views->page, &address, config->scenario->name, config->engine->name, err);
    if (code == 0 && !config->quiet)
        fprintf(stderr, "%s: metrics at http://%s/metrics\n", config->program,
                address_format(&address, text));
    return code;
}

void views_show(struct views *views, const struct moment *moment)
{
    progress_show(&views->progress, moment);
    json_lines_show(&views->lines, moment);
    live_page_show(views->page, moment);
}

void views_close(struct views *views)
{
    progress_leave(&views->progress);
    live_page_close(views->page);
    views->page = NULL;
}
