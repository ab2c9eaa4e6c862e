// SPDX-License-Identifier: Apache-2.0
// An error for people: what was tried, on what, what the system said, what to do about it.
//
// Functions that can fail return 0 or -errno, and those whose caller may want to show the failure take a
// `struct err *` beside it. NULL is allowed and drops the text. Only `main` prints it and exits.
//
//     struct err err = {0};
//     if (record_open(&record, dir, &err) < 0) { fprintf(stderr, "poolmark-loadgen: %s\n", err.text); return
//     1; }
#ifndef POOLMARK_BASE_ERR_H
#define POOLMARK_BASE_ERR_H

#include "base/err_text.h"

#ifdef __cplusplus
extern "C" {
#endif

// Exit codes that every program here shares.
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1, // it ran, and something it was asked for did not work
    EXIT_USAGE = 2,  // the command line or a file it names is wrong; nothing was done
};

// Writes the text and returns `code`, a negative errno, so that a caller can `return err_set(err, -EINVAL,
// ...)`. A text that does not fit is cut. `err` may be NULL. Thread-safe on distinct `err`.
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Puts "TEXT: " before what `err` already says: for a caller that knows more about what was tried.
int err_prefix(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
