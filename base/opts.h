// SPDX-License-Identifier: Apache-2.0
// Command-line options: one table a program, each row with name, unit, bounds, default and help. getopt_long
// parses; a bad value names the option, the value and the bounds. `--help` is printed from the same table.
//
//     #define AT(field) offsetof(struct config, field)
//     static const struct opt table[] = {
//         {"connections", "N", OPT_COUNT, AT(connections), "10k", 1, 100e6, NULL, "how many", NULL},
//         {0},
//     };
//     int code = opts_parse(table, &config, argc, argv, &first_argument, &err);
#ifndef POOLMARK_BASE_OPTS_H
#define POOLMARK_BASE_OPTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_kind {
    OPT_FLAG,     // bool; no value
    OPT_COUNT,    // int64_t, units_parse_count
    OPT_BYTES,    // int64_t, units_parse_bytes
    OPT_DURATION, // int64_t nanoseconds, units_parse_duration_ns
    OPT_RATE,     // double per second
    OPT_NUMBER,   // double
    OPT_CHOICE,   // const char *; one of `choices`, NULL-terminated
    OPT_TEXT,     // const char *
    OPT_LIST,     // struct opt_list; may be given several times, in order
    OPT_PARSE,    // `parse` is called with the text, and with the place in the config
    OPT_HEADING,  // no option: `help` is a heading in the help text
};

enum { OPT_LIST_MAX = 1024 };
struct opt_list {
    const char *values[OPT_LIST_MAX]; // point into argv or into the default
    int count;
};

struct opt {
    const char *name;     // without dashes; NULL ends the table (a heading has none)
    const char *argument; // what the help calls the value; NULL for a flag
    enum opt_kind kind;
    size_t offset;        // place in the config
    const char *fallback; // the default, as text, parsed like a value; NULL leaves zero
    double low, high;     // bounds of numbers, in the unit of the parsed value; both 0: none
    const char *const *choices;
    const char *help;
    int (*parse)(const char *value, void *place, struct err *err); // OPT_PARSE
};

enum opts_result { OPTS_RUN = 0, OPTS_HELP = 1, OPTS_VERSION = 2, OPTS_DESCRIBE = 3 }; // or negative errno

// Sets every default, then reads argv. `*rest` becomes the index of the first argument that is no option.
// Options may stand after arguments; their names must be written in full. An option with one value is given once;
// given twice it is an error. Returns an opts_result, or a
// negative errno with the text in `err`: do not use the config then. --help (or -h) and --version end the
// reading at once. --describe does not, since the description depends on the other options.
int opts_parse(const struct opt *table, void *config, int argc, char **argv, int *rest, struct err *err)
    __attribute__((warn_unused_result));

// Whether the option stands in argv. opts_parse must have read this argv without an error.
bool opts_was_given(const struct opt *table, int argc, char **argv, const char *name);

// The help text: usage line, a line of purpose, every option with its default.
void opts_print_help(const struct opt *table, const char *program, const char *usage, const char *purpose,
                     FILE *to);

#endif
