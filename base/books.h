// SPDX-License-Identifier: Apache-2.0
// Books: one equation for each source of samples, so that every sample is accounted for.
//
//     attempted = measured + lost + failed + not_sent + unreadable + unfinished
//
// attempted   acts that were due: by the plan, by the schedule, or by the count of acts begun
// measured    ended, and in the figures
// lost        begun, and did not end within the time that the run allows
// failed      ended with a refusal or an error; the record has the reason
// not_sent    due, and never begun
// unreadable  happened, and could not be read or written: a row of a file, a sample for a histogram
// unfinished  under way when the run ended early
//
// A line is whole when it balances, and lost, not_sent, unreadable and unfinished are 0. Failures do not
// matter for that: they were answered, and are a finding. A record is `complete` only when all its lines are
// whole. books_close writes the lines into the record as "books" and adds an anomaly for each line that is
// not whole. If two places have counts (workers, histograms), a line takes its columns from both: a line that
// balances by subtraction proves nothing.
//
//     struct books books = {.count = 0};
//     struct books_line connects = {.source = "connects", .attempted = 100, .measured = 99, .failed = 1};
//     books_add(&books, &connects);
//     status = books_close(&books, record) == 0 ? "complete" : "incomplete";
//
// Plain data without allocations, for one thread.
#ifndef POOLMARK_BASE_BOOKS_H
#define POOLMARK_BASE_BOOKS_H

#include "base/record.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOOKS_LINES_MAX = 512, BOOKS_SOURCE_MAX = 80 };

struct books_line {
    char source[BOOKS_SOURCE_MAX]; // a plain word: "connects", "deliveries"
    int64_t attempted, measured, lost, failed, not_sent, unreadable, unfinished;
};

struct books {
    struct books_line lines[BOOKS_LINES_MAX];
    int count;
    int left_out; // lines beyond BOOKS_LINES_MAX: the books are not whole then
};

// Adds a line. The numbers of a second line with the same source are added to the first.
void books_add(struct books *books, const struct books_line *line);

// Attempted less all other columns: acts without an outcome. Negative: more outcomes than attempts.
int64_t books_line_astray(const struct books_line *line);
bool books_line_is_whole(const struct books_line *line);

// Text for people: "deliveries: of 1500, 361 measured, 1139 lost". Truncated to `size`; returns `text`.
char *books_line_text(const struct books_line *line, char *text, size_t size);

json_t *books_json(const struct books *books); // {"connects": {"attempted": 100, ...}}; NULL: out of memory

// Writes the books into `record` (may be NULL). Returns the number of lines not whole or left out.
int books_close(const struct books *books, struct record *record);

#endif
