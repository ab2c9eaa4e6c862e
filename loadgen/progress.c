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

// "998 messages/s of 1000".
static void add_rate(char *text, size_t size, const struct moment_rate *rate, const char *unit)
{
    add(text, size, "%.0f%s/s", rate->had_per_s, unit);
    if (rate->asked_per_s > 0)
        add(text, size, " of %.0f", rate->asked_per_s);
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
        int64_t count = tally->failed[i] + tally->dropped[i] + tally->away[i];
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

static void add_target(char *text, size_t size, const char *label, const struct moment *moment)
{
    char bytes[TEXT_BYTES];
    add(text, size, "%s%s%s", label, bytes_text(moment->target_rss_bytes, bytes),
        moment->target_rss_bytes < 0 ? "" : " resident");
}

// The latency of such acts in this moment. With slow readers messages have three, one after the other.
static const struct moment_latency *latency_of(const struct moment *moment, enum asked_kind kind)
{
    static const enum latency_kind others[] = {LATENCY_DELIVERY_BEFORE, LATENCY_DELIVERY_AFTER};
    const struct moment_latency *latency = &moment->latency[moment_kinds[kind].latency];
    for (size_t i = 0; kind == ASKED_MESSAGES && latency->count == 0 && i < sizeof others / sizeof others[0];
         i++)
        latency = &moment->latency[others[i]];
    return latency;
}

// ", 998 messages/s of 1000, 1996/s arrived, p50 1.2 ms, p99 3.4 ms"
static void add_kind(const struct moment *moment, enum asked_kind kind, char *line, size_t size)
{
    const struct moment_latency *latency = latency_of(moment, kind);
    char text[TEXT_BYTES], unit[TEXT_BYTES];
    snprintf(unit, sizeof unit, " %s", moment_kinds[kind].name);
    add(line, size, ", ");
    add_rate(line, size, &moment->rates[kind], unit);
    if (kind == ASKED_MESSAGES)
        add(line, size, ", %.0f/s arrived", moment->deliveries_per_s);
    if (latency->count == 0)
        return;
    add(line, size, ", p50 %s", ns_text(latency->p50_ns, text));
    add(line, size, ", p99 %s", ns_text(latency->p99_ns, text));
}

void progress_line(const struct moment *moment, char *line, size_t size)
{
    line[0] = '\0';
    add(line, size, "%6.1f s  %-8s %lld of %lld connected", moment->elapsed_s, moment->phase,
        (long long)moment->tally.count[TALLY_OPEN], (long long)moment->wanted);
    if (moment->top > 0)
        add(line, size, " (step %lld of %lld)", (long long)moment->wanted, (long long)moment->top);
    add(line, size, ", %lld failed, %lld dropped", (long long)tally_failed(&moment->tally),
        (long long)tally_dropped(&moment->tally));
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        if (moment->rates[kind].under_way || moment->rates[kind].had_per_s > 0)
            add_kind(moment, (enum asked_kind)kind, line, size);
    add_target(line, size, ", target ", moment);
    add_errors(line, size, "; ", &moment->tally);
}

// --- a frame of lines --------------------------------------------------------------------------------------

static void frame_latency(const struct moment *moment, enum latency_kind kind, char *line, size_t size)
{
    const struct moment_latency *latency = &moment->latency[kind];
    char text[TEXT_BYTES];
    add(line, size, "  %-13s", latency_name(kind));
    add(line, size, "p50 %-10s", ns_text(latency->p50_ns, text));
    add(line, size, "p99 %-10s", ns_text(latency->p99_ns, text));
    add(line, size, "max %-10s", ns_text(latency->max_ns, text));
    add(line, size, "%lld in this second", (long long)latency->count);
}

// "  messages     998/s of 1000, 23996 sent"
static void frame_rate(const struct moment *moment, enum asked_kind kind, char *line, size_t size)
{
    static const char *const words[ASKED_KINDS] = {[ASKED_ARRIVALS] = "arrived",
                                                   [ASKED_MESSAGES] = "sent",
                                                   [ASKED_SUBSCRIBES] = "answered",
                                                   [ASKED_UNSUBSCRIBES] = "answered"};
    const int64_t *count = moment->tally.count;
    add(line, size, "  %-13s", moment_kinds[kind].name);
    add_rate(line, size, &moment->rates[kind], "");
    if (words[kind])
        add(line, size, ", %lld %s", (long long)count[moment_kinds[kind].had], words[kind]);
    if (kind == ASKED_ARRIVALS && count[TALLY_ARRIVAL_RETRIES] > 0)
        add(line, size, ", %lld tried again", (long long)count[TALLY_ARRIVAL_RETRIES]);
}

int progress_frame(const struct moment *moment, int columns,
                   char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1])
{
    size_t size = (size_t)(columns < PROGRESS_COLUMNS_MAX ? columns : PROGRESS_COLUMNS_MAX) + 1;
    const int64_t *count = moment->tally.count;
    int used = 0;
    memset(lines, 0, PROGRESS_LINES_MAX * sizeof lines[0]);
    char *line = lines[used++];
    add(line, size, "%6.1f s       %s", moment->elapsed_s, moment->phase);
    if (moment->top > 0)
        add(line, size, ", step %lld of %lld", (long long)moment->wanted, (long long)moment->top);
    line = lines[used++];
    add(line, size, "  %-13s%lld of %lld connected, %lld failed, %lld dropped", "clients",
        (long long)count[TALLY_OPEN], (long long)moment->wanted, (long long)tally_failed(&moment->tally),
        (long long)tally_dropped(&moment->tally));
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        if (kind == ASKED_CONNECTS || moment->rates[kind].under_way || count[moment_kinds[kind].due] > 0)
            frame_rate(moment, (enum asked_kind)kind, lines[used++], size);
    if (count[TALLY_DUE] > 0) {
        line = lines[used++];
        add(line, size, "  %-13s%.0f/s, %lld arrived", "deliveries", moment->deliveries_per_s,
            (long long)count[TALLY_RECEIVED]);
    }
    static const enum latency_kind kinds[] = {
        LATENCY_CONNECT,        LATENCY_ARRIVAL,       LATENCY_DELIVERY_BEFORE, LATENCY_DELIVERY,
        LATENCY_DELIVERY_AFTER, LATENCY_DELIVERY_SLOW, LATENCY_RECOVERY,        LATENCY_ACK,
        LATENCY_SUBSCRIBE,      LATENCY_UNSUBSCRIBE,   LATENCY_REPLAY};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (moment->latency[kinds[i]].count > 0)
            frame_latency(moment, kinds[i], lines[used++], size);
    line = lines[used++];
    add(line, size, "  %-13s", "target");
    add_target(line, size, "", moment);
    line = lines[used++];
    add(line, size, "  %-13s", "errors");
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
