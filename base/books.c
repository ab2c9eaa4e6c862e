// SPDX-License-Identifier: Apache-2.0
#include "base/books.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// The columns after "attempted", in the order of texts and of the record.
static const struct {
    const char *name, *text;
    size_t offset;
} columns[] = {
    {"measured", "measured", offsetof(struct books_line, measured)},
    {"lost", "lost", offsetof(struct books_line, lost)},
    {"failed", "failed", offsetof(struct books_line, failed)},
    {"not_sent", "not sent", offsetof(struct books_line, not_sent)},
    {"unreadable", "unreadable", offsetof(struct books_line, unreadable)},
    {"unfinished", "unfinished", offsetof(struct books_line, unfinished)},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static int64_t *column(struct books_line *line, int i)
{
    return (int64_t *)((char *)line + columns[i].offset);
}

static int64_t value(const struct books_line *line, int i)
{
    return *(const int64_t *)((const char *)line + columns[i].offset);
}

void books_add(struct books *books, const struct books_line *line)
{
    for (int at = 0; at < books->count; at++) {
        struct books_line *there = &books->lines[at];
        if (strcmp(there->source, line->source) != 0)
            continue;
        there->attempted += line->attempted;
        for (int i = 0; i < COLUMNS; i++)
            *column(there, i) += value(line, i);
        return;
    }
    if (books->count == BOOKS_LINES_MAX)
        books->left_out++;
    else
        books->lines[books->count++] = *line;
}

int64_t books_line_astray(const struct books_line *line)
{
    int64_t astray = line->attempted;
    for (int i = 0; i < COLUMNS; i++)
        astray -= value(line, i);
    return astray;
}

bool books_line_is_whole(const struct books_line *line)
{
    bool negative = line->attempted < 0;
    for (int i = 0; i < COLUMNS; i++)
        negative |= value(line, i) < 0;
    return !negative && books_line_astray(line) == 0 && line->lost == 0 && line->not_sent == 0 &&
           line->unreadable == 0 && line->unfinished == 0;
}

char *books_line_text(const struct books_line *line, char *text, size_t size)
{
    if (size == 0)
        return text;
    int used = snprintf(text, size, "%s: of %" PRId64 ", %" PRId64 " measured", line->source, line->attempted,
                        line->measured);
    for (int i = 1; i < COLUMNS && used >= 0 && (size_t)used < size; i++)
        if (value(line, i) != 0)
            used += snprintf(text + used, size - (size_t)used, ", %" PRId64 " %s", value(line, i),
                             columns[i].text);
    int64_t astray = books_line_astray(line);
    if (used >= 0 && (size_t)used < size && astray != 0)
        snprintf(text + used, size - (size_t)used, ", %" PRId64 " %s", astray > 0 ? astray : -astray,
                 astray > 0 ? "unaccounted for" : "more than there were");
    return text;
}

static json_t *line_json(const struct books_line *line)
{
    json_t *json = json_pack("{s:I}", "attempted", (json_int_t)line->attempted);
    for (int i = 0; json && i < COLUMNS; i++)
        json_object_set_new(json, columns[i].name, json_integer(value(line, i)));
    return json;
}

json_t *books_json(const struct books *books)
{
    json_t *json = json_object();
    for (int i = 0; json && i < books->count; i++)
        if (json_object_set_new(json, books->lines[i].source, line_json(&books->lines[i])) < 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

int books_close(const struct books *books, struct record *record)
{
    int open = books->left_out;
    for (int i = 0; i < books->count; i++) {
        char text[300];
        if (books_line_is_whole(&books->lines[i]))
            continue;
        open++;
        if (record)
            record_anomaly(record, "books", "%s", books_line_text(&books->lines[i], text, sizeof text));
    }
    if (record && books->left_out > 0)
        record_anomaly(record, "books", "%d sources of samples found no room in the books", books->left_out);
    if (record)
        record_set(record, "books", books_json(books));
    return open;
}
