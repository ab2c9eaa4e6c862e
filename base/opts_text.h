// SPDX-License-Identifier: Apache-2.0
// The parts of error messages and help about an option. Private to opts.c, opts_help.c and describe.c.
#ifndef POOLMARK_BASE_OPTS_TEXT_H
#define POOLMARK_BASE_OPTS_TEXT_H

#include "base/opts.h"

#include <stdbool.h>

bool opt_is_end(const struct opt *opt);     // the row that ends a table
bool opt_is_bounded(const struct opt *opt); // its numbers have bounds

// "a count", "a duration"
const char *opt_value_name(const struct opt *opt);

// A bound as its option's values are written: 1h, 1048576, 0.1.
void opt_format_bound(const struct opt *opt, double bound, char text[static 40]);

// "it takes 1 to 100000000 (10k and 1M are understood)"
void opt_describe_bounds(const struct opt *opt, char *text, size_t size);

// "malloc, fixed or expand"
void opt_join_choices(const struct opt *opt, char *text, size_t size);

#endif
