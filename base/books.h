// SPDX-License-Identifier: Apache-2.0
// Books: every source of samples ends with an equation, so that no sample is lost without a word.
//
//     attempted = measured + lost + failed + not_sent + unreadable + unfinished
//
// attempted   what was due: by the plan, the schedule, or the count of what was begun
// measured    ended, and is in the figures
// lost        begun, and its end did not come within the patience that the run had for it
// failed      ended otherwise: refused, or with an error; the record has the reason beside it
// not_sent    due, and never begun
// unreadable  happened, and could not be read or written: a row of a file, a sample on its way to a histogram
// unfinished  under way when the run ended early
//
// A line is whole when it balances and has nothing lost, not sent, unreadable or unfinished. What failed was
// answered, and is a finding. A record is `complete` only when all its lines are whole: books_close writes
// the lines into it as "books", with an anomaly for each that is not, and gives the number of these. The
// counts of a line come from different places wherever there are two (what a worker counted, what a histogram
// holds): a line made to balance by subtraction shows nothing.
//
//     struct books books = {.count = 0};
//     books_add(&books, &(struct books_line){.source = "connects", .attempted = 100, .measured = 99, .failed
//     = 1}); status = books_close(&books, record) == 0 ? "complete" : "incomplete";
//
// Plain data, one thread; nothing is allocated.
#ifndef POOLMARK_BASE_BOOKS_H
#define POOLMARK_BASE_BOOKS_H

#include "base/record.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOOKS_LINES_MAX = 32, BOOKS_SOURCE_MAX = 48 };

struct books_line {
    char source[BOOKS_SOURCE_MAX]; // a plain word: "connects", "deliveries"
    int64_t attempted, measured, lost, failed, not_sent, unreadable, unfinished;
};

struct books {
    struct books_line lines[BOOKS_LINES_MAX];
    int count;
    int left_out; // lines that found no room: then the books are not whole either
};

// A second line of the same source is added to the first, number by number.
void books_add(struct books *books, const struct books_line *line);

// What is attempted and in no other column; below zero when more came of it than there was.
int64_t books_line_astray(const struct books_line *line);
bool books_line_is_whole(const struct books_line *line);

// For people: "deliveries: of 1500, 361 measured, 1139 lost". Cut at `size`; returns `text`.
char *books_line_text(const struct books_line *line, char *text, size_t size);

json_t *books_json(const struct books *books); // {"connects": {"attempted": 100, ...}}; NULL: out of memory

// The number of lines that are not whole. `record` may be NULL.
int books_close(const struct books *books, struct record *record);

#endif
