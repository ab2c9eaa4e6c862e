// SPDX-License-Identifier: Apache-2.0
// An error message for people: the action that failed, its object, the system's error, and advice.
//
// Functions that can fail return 0 or -errno. Those whose caller may want to show the failure also take a
// `struct err *`. NULL is allowed and drops the text. Only `main` prints it and exits.
//
//     struct err err = {0};
//     if (record_open(&record, dir, "load", argc, argv, &err) < 0) {
//         fprintf(stderr, "poolmark-loadgen: %s\n", err.text);
//         return EXIT_FAILED;
//     }
#ifndef POOLMARK_BASE_ERR_H
#define POOLMARK_BASE_ERR_H

#include "base/err_text.h"

#ifdef __cplusplus
extern "C" {
#endif

// Exit codes that every program here shares.
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1, // the program ran, and a part of its task failed
    EXIT_USAGE = 2,  // the command line or a file named there is wrong; nothing was done
};

// Writes the text and returns `code`, a negative errno, for `return err_set(err, -EINVAL, "...")`. Cuts a
// text that does not fit. `err` may be NULL. Thread-safe on distinct `err`.
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Puts "TEXT: " before the text of `err` and returns `code`: for a caller that knows more about the action.
int err_prefix(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
