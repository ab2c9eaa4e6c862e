// SPDX-License-Identifier: Apache-2.0
// A CSV file that can be read after a crash: the header first, then whole lines, each written at once. One
// thread at a time per file. Columns carry their unit in the name (results/README.md lists them).
//
// A line that cannot be written, as on a full disk, waits in memory and is written with a later line. At most
// 4 MiB wait. New lines beyond that are lost, and the account counts them: no gap of the file is silent.
//
// Closing reads the file again. If it was removed, replaced, truncated or altered meanwhile (base/written.h), no
// line of it can be trusted: all count as lost, and the header as one when there are no others.
#ifndef POOLMARK_BASE_CSV_H
#define POOLMARK_BASE_CSV_H

#include "base/err.h"
#include "base/written.h"

#include <stdint.h>

struct csv;

struct csv_account {
    int64_t rows;           // calls of csv_row, so without the header
    int64_t late;           // rows that were written by a later call
    int64_t lost;           // rows that are not in the file
    int failure;            // the first -errno of a write; 0: none failed
    enum written_fate fate; // of the file, known when it is closed; not whole: all rows are lost
};

// Creates (truncates) `path` and writes `header`, a comma-separated line without newline. -errno on failure.
int csv_open(struct csv **csv, const char *path, const char *header, struct err *err)
    __attribute__((warn_unused_result));

// Writes one line. `format` gives the fields with their commas and no newline. Text fields must pass
// csv_quote first.
void csv_row(struct csv *csv, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The -errno of the first write that failed, if lines wait or are lost now; 0 otherwise.
int csv_failure(const struct csv *csv);

// Lines that wait count as lost until they are written.
struct csv_account csv_account(const struct csv *csv);

// RFC 4180: quotes `text` into `to` when it has a comma, quote or newline; returns `to`.
char *csv_quote(const char *text, char *to, unsigned long size);

// Tries once more to write the waiting lines, and closes. Returns 0, or the -errno of the first write that
// failed when a line is lost, or -ESTALE when the file is not the one that was written. `account` (may be NULL) gets the last account. `csv` may be NULL.
int csv_close_account(struct csv *csv, struct csv_account *account);
int csv_close(struct csv *csv);

#endif
