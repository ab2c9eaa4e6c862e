// SPDX-License-Identifier: Apache-2.0
// For gbench.cc: flags that Google Benchmark does not tell its callers, read from the command line before
// the library reads them, and its filter over the caller's own names. One thread at a time.
#ifndef POOLMARK_BENCH_GBENCH_FLAGS_H
#define POOLMARK_BENCH_GBENCH_FLAGS_H

#include <regex.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "base/err.h"

struct gb_flags {
    const char *format, *out, *out_format; // point into argv, the environment or constants
    bool list;
};

// -EINVAL: a value on which the library would exit; `err` names it.
int gb_flags_read(struct gb_flags *flags, int argc, char **argv, struct err *err)
    __attribute__((warn_unused_result));

// -EINVAL when an option with one value stands there twice: the library takes the last without a word.
int gb_flags_refuse_second(int argc, char **argv, struct err *err) __attribute__((warn_unused_result));

struct gb_filter {
    regex_t expression;
    bool negative; // takes names that do not match
};

// POSIX extended; a leading '-' inverts it; "" and "all" take all names. -EINVAL: not an expression; then do
// not free it.
int gb_filter_init(struct gb_filter *filter, const char *text, struct err *err)
    __attribute__((warn_unused_result));
bool gb_filter_takes(const struct gb_filter *filter, const char *name);
void gb_filter_free(struct gb_filter *filter);

#ifdef __cplusplus
}
#endif

#endif
