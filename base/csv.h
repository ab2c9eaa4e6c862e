// SPDX-License-Identifier: Apache-2.0
// A CSV file that can be read after a crash: the header first, then whole lines, each handed to the kernel at
// once. One thread at a time per file. Columns carry their unit in the name (results/README.md lists them).
#ifndef POOLMARK_BASE_CSV_H
#define POOLMARK_BASE_CSV_H

#include "base/err.h"

struct csv;

// Creates (truncates) `path` and writes `header`, a comma-separated line without newline. -errno on failure.
int csv_open(struct csv **csv, const char *path, const char *header, struct err *err)
    __attribute__((warn_unused_result));

// Writes one line; `format` gives the fields with their commas and no newline. A failed write is kept and
// returned by csv_close; the lines before it are whole. Text fields must pass csv_quote first.
void csv_row(struct csv *csv, const char *format, ...) __attribute__((format(printf, 2, 3)));

// 0, or the -errno of the first write that failed.
int csv_failure(const struct csv *csv);

// RFC 4180: quotes `text` into `to` when it has a comma, quote or newline; returns `to`.
char *csv_quote(const char *text, char *to, unsigned long size);

// 0, or the -errno of the first write that failed. NULL is allowed.
int csv_close(struct csv *csv);

#endif
