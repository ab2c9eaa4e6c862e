// SPDX-License-Identifier: Apache-2.0
#include "loadgen/progress.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void progress_start(struct progress *progress, FILE *to, int64_t now_ns)
{
    *progress = (struct progress){.to = to, .started_ns = now_ns, .last_ns = now_ns};
    const char *kind = getenv("TERM");
    // A terminal that cannot rewrite its line gets plain lines, like a file.
    progress->terminal = to && isatty(fileno(to)) && kind && strcmp(kind, "dumb") != 0;
}

// Per second since the last line; 0 when the count has fallen.
static double rate(int64_t now, int64_t before, int64_t ns)
{
    return now > before && ns > 0 ? (double)(now - before) * 1e9 / (double)ns : 0;
}

void progress_format(const struct progress *progress, const struct progress_view *view, char *line,
                     size_t size)
{
    const int64_t *count = view->tally->count;
    int64_t span_ns = view->now_ns - progress->last_ns;
    char memory[24] = "-";
    if (view->target_rss_bytes >= 0)
        units_format_bytes(view->target_rss_bytes, memory, sizeof memory);
    double elapsed_s = (double)(view->now_ns - progress->started_ns) / 1e9;
    char step[64] = "";
    if (view->top > 0)
        snprintf(step, sizeof step, " (step %lld of %lld)", (long long)view->wanted, (long long)view->top);
    int used = snprintf(line, size, "%6.1f s  %-8s %lld of %lld connected%s, %lld failed, %lld dropped",
                        elapsed_s, view->phase, (long long)count[TALLY_OPEN], (long long)view->wanted, step,
                        (long long)tally_failed(view->tally), (long long)tally_dropped(view->tally));
    if (used < 0 || (size_t)used >= size)
        return;
    if (view->publishing)
        snprintf(line + used, size - (size_t)used, ", %.0f messages/s, target %s",
                 rate(count[TALLY_RECEIVED], progress->last_received, span_ns), memory);
    else
        snprintf(line + used, size - (size_t)used, ", %.0f/s, target %s",
                 rate(count[TALLY_CONNECTED], progress->last_connected, span_ns), memory);
}

void progress_show(struct progress *progress, const struct progress_view *view)
{
    if (progress->to) {
        char line[256];
        progress_format(progress, view, line, sizeof line);
        fprintf(progress->to, progress->terminal ? "\r%s\033[K" : "%s\n", line);
        fflush(progress->to);
    }
    progress->last_ns = view->now_ns;
    progress->last_connected = view->tally->count[TALLY_CONNECTED];
    progress->last_received = view->tally->count[TALLY_RECEIVED];
}

void progress_end(struct progress *progress)
{
    if (progress->to && progress->terminal)
        fputc('\n', progress->to);
}
