// SPDX-License-Identifier: Apache-2.0
#include "loadgen/progress.h"

#include "base/streams.h"
#include "base/units.h"
#include "loadgen/message_faults.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 80, COLUMNS_LEAST = 20, TEXT_BYTES = 32 };

void progress_start(struct progress *progress, FILE *to)
{
    *progress = (struct progress){.to = to};
    const char *kind = getenv("TERM");
    progress->terminal = to && isatty(fileno(to)) && kind && strcmp(kind, "dumb") != 0;
}

// Appends; text that has no room is left out.
__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list list;
    va_start(list, format);
    vsnprintf(text + used, size - used, format, list);
    va_end(list);
}

static const char *bytes_text(int64_t bytes, char text[static TEXT_BYTES])
{
    return bytes < 0 ? "-" : units_format_bytes(bytes, text, TEXT_BYTES);
}

static const char *ns_text(int64_t ns, char text[static TEXT_BYTES])
{
    return ns < 0 ? "-" : units_format_duration(ns, text, TEXT_BYTES);
}

static void add_rate(char *text, size_t size, double had, double asked, const char *unit)
{
    add(text, size, "%.0f%s/s", had, unit);
    if (asked > 0)
        add(text, size, " of %.0f", asked);
}

// "not_sent" as "not sent".
static void add_words(char *text, size_t size, const char *name)
{
    for (; *name; name++)
        add(text, size, "%c", *name == '_' ? ' ' : *name);
}

// "timeout 3, reset 2, not sent 5"; "" when there are none.
static void add_errors(char *text, size_t size, const char *before, const struct tally *tally)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        int64_t count = tally->failed[i] + tally->dropped[i];
        if (count == 0)
            continue;
        add(text, size, "%s%s %lld", before, tally_reason_name((enum tally_reason)i), (long long)count);
        before = ", ";
    }
    for (const struct message_fault *one = message_faults(); one->metric; one++) {
        int64_t count = message_fault_count(one, tally);
        if (count == 0)
            continue;
        add(text, size, "%s", before);
        add_words(text, size, strchr(one->metric, '.') + 1);
        add(text, size, " %lld", (long long)count);
        before = ", ";
    }
}

// The latency of what goes on.
static enum latency_kind kind_of(const struct moment *moment)
{
    return moment->publishing ? LATENCY_DELIVERY : LATENCY_CONNECT;
}

void progress_line(const struct moment *moment, char *line, size_t size)
{
    const struct moment_latency *latency = &moment->latency[kind_of(moment)];
    char text[TEXT_BYTES];
    line[0] = '\0';
    add(line, size, "%6.1f s  %-8s %lld of %lld connected", moment->elapsed_s, moment->phase,
        (long long)moment->tally.count[TALLY_OPEN], (long long)moment->wanted);
    if (moment->top > 0)
        add(line, size, " (step %lld of %lld)", (long long)moment->wanted, (long long)moment->top);
    add(line, size, ", %lld failed, %lld dropped, ", (long long)tally_failed(&moment->tally),
        (long long)tally_dropped(&moment->tally));
    if (moment->publishing) {
        add_rate(line, size, moment->messages_per_s, moment->asked_per_s, " messages");
        add(line, size, ", %.0f/s arrived", moment->deliveries_per_s);
    } else {
        add_rate(line, size, moment->connects_per_s, moment->connecting ? moment->asked_per_s : 0, "");
    }
    if (latency->count > 0) {
        add(line, size, ", p50 %s", ns_text(latency->p50_ns, text));
        add(line, size, ", p99 %s", ns_text(latency->p99_ns, text));
    }
    add(line, size, ", target %s", bytes_text(moment->target_rss_bytes, text));
    add_errors(line, size, "; ", &moment->tally);
}

// --- a frame of lines --------------------------------------------------------------------------------------

static void frame_latency(const struct moment *moment, enum latency_kind kind, char *line, size_t size)
{
    const struct moment_latency *latency = &moment->latency[kind];
    char text[TEXT_BYTES];
    add(line, size, "  %-12s", latency_name(kind));
    add(line, size, "p50 %-10s", ns_text(latency->p50_ns, text));
    add(line, size, "p99 %-10s", ns_text(latency->p99_ns, text));
    add(line, size, "max %-10s", ns_text(latency->max_ns, text));
    add(line, size, "%lld in this second", (long long)latency->count);
}

int progress_frame(const struct moment *moment, int columns,
                   char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1])
{
    size_t size = (size_t)(columns < PROGRESS_COLUMNS_MAX ? columns : PROGRESS_COLUMNS_MAX) + 1;
    const int64_t *count = moment->tally.count;
    char text[TEXT_BYTES];
    int used = 0;
    memset(lines, 0, PROGRESS_LINES_MAX * sizeof lines[0]);
    char *line = lines[used++];
    add(line, size, "%6.1f s       %s", moment->elapsed_s, moment->phase);
    if (moment->top > 0)
        add(line, size, ", step %lld of %lld", (long long)moment->wanted, (long long)moment->top);
    line = lines[used++];
    add(line, size, "  %-12s%lld of %lld connected, %lld failed, %lld dropped", "clients",
        (long long)count[TALLY_OPEN], (long long)moment->wanted, (long long)tally_failed(&moment->tally),
        (long long)tally_dropped(&moment->tally));
    line = lines[used++];
    add(line, size, "  %-12s", "connects");
    add_rate(line, size, moment->connects_per_s, moment->connecting ? moment->asked_per_s : 0, "");
    if (count[TALLY_DUE] > 0) {
        line = lines[used++];
        add(line, size, "  %-12s", "messages");
        add_rate(line, size, moment->messages_per_s, moment->publishing ? moment->asked_per_s : 0, "");
        add(line, size, ", %lld sent", (long long)count[TALLY_PUBLISHED]);
        line = lines[used++];
        add(line, size, "  %-12s%.0f/s, %lld arrived", "deliveries", moment->deliveries_per_s,
            (long long)count[TALLY_RECEIVED]);
    }
    static const enum latency_kind kinds[] = {LATENCY_CONNECT, LATENCY_DELIVERY, LATENCY_ACK};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (moment->latency[kinds[i]].count > 0)
            frame_latency(moment, kinds[i], lines[used++], size);
    line = lines[used++];
    add(line, size, "  %-12s%s", "target", bytes_text(moment->target_rss_bytes, text));
    line = lines[used++];
    add(line, size, "  %-12s", "errors");
    size_t label = strlen(line);
    add_errors(line, size, "", &moment->tally);
    if (strlen(line) == label)
        add(line, size, "none");
    return used;
}

static struct winsize size_of(FILE *to)
{
    struct winsize window = {0};
    (void)!ioctl(fileno(to), TIOCGWINSZ, &window);
    if (window.ws_row == 0)
        window.ws_row = ROWS;
    if (window.ws_col == 0)
        window.ws_col = COLUMNS;
    return window;
}

static void draw(struct progress *progress, const struct moment *moment)
{
    char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1];
    char frame[PROGRESS_LINES_MAX * (PROGRESS_COLUMNS_MAX + 8) + 32] = "";
    struct winsize window = size_of(progress->to);
    // A column stays free: a terminal may break a line that fills its last.
    int columns = window.ws_col > COLUMNS_LEAST ? window.ws_col - 1 : COLUMNS_LEAST;
    int count = progress_frame(moment, columns, lines);
    if (count >= window.ws_row) {
        progress_line(moment, lines[0],
                      (size_t)(columns < PROGRESS_COLUMNS_MAX ? columns : PROGRESS_COLUMNS_MAX) + 1);
        count = 1;
    }
    // After a change of its width a terminal may have broken lines anew: the frame begins below them.
    if (progress->drawn > 0 && progress->columns == columns)
        add(frame, sizeof frame, "\033[%dA", progress->drawn);
    for (int i = 0; i < count; i++)
        add(frame, sizeof frame, "\r%s\033[K\n", lines[i]);
    add(frame, sizeof frame, "\033[J");
    fputs(frame, progress->to);
    progress->drawn = count;
    progress->columns = columns;
}

void progress_show(struct progress *progress, const struct moment *moment)
{
    if (!progress->to || !streams_ready(progress->to))
        return;
    if (progress->terminal) {
        draw(progress, moment);
    } else {
        char line[512];
        progress_line(moment, line, sizeof line);
        fprintf(progress->to, "%s\n", line);
    }
    fflush(progress->to);
}

void progress_leave(struct progress *progress)
{
    progress->drawn = 0;
}
