// SPDX-License-Identifier: Apache-2.0
// `--describe`: a program describes itself as JSON on stdout, so that each fact has one owner. Scripts,
// documents and the checks of suites take options, metrics, strategies and engines from there.
//
//     json_t *root = describe_new("poolmark-broker", table, broker_catalogue);
//     json_object_set_new(root, "shapes", ...);
//     return describe_print(root);
//
// {"schema": "poolmark.describe/1", "program", "tool" and "host" as in a record, "options": [{"name",
// "argument", "kind", "unit", "repeats", "low", "high", "default", "choices", "help", "heading"}], "metrics":
// base/metric.h}
#ifndef POOLMARK_BASE_DESCRIBE_H
#define POOLMARK_BASE_DESCRIBE_H

#include "base/metric.h"
#include "base/opts.h"

#include <jansson.h>

#define DESCRIBE_SCHEMA "poolmark.describe/1"

// `table` is NULL for a program without a table of options.
json_t *describe_new(const char *program, const struct opt *table, const struct metric *catalogue);

// The rows as in "options". NULL is none. A new reference.
json_t *describe_options(const struct opt *table);

// Prints and frees `root`. Returns the exit code: 1 when memory ran out or stdout failed.
int describe_print(json_t *root);

struct describe_flag {
    unsigned bit;
    const char *name;
};

// The names of the bits that are set; `flags` ends with a row without a name.
json_t *describe_flags(const struct describe_flag *flags, unsigned bits);

#endif
