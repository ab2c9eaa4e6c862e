// SPDX-License-Identifier: Apache-2.0
// The command line: the options of every run, and those of the scenario that it names. The file of a scenario
// has the rows of its options (scenario.h).
#ifndef POOLMARK_LOADGEN_COMMAND_LINE_H
#define POOLMARK_LOADGEN_COMMAND_LINE_H

#include "base/err.h"
#include "loadgen/config.h"

#include <jansson.h>
#include <stdio.h>

// An opts_result, or -EINVAL with the text in `err`. Overwrites a password in argv. `config` is to be freed.
int command_line_parse(struct config *config, int argc, char **argv, struct err *err)
    __attribute__((warn_unused_result));
// The same of one of several ranks: defaults may be one for each.
int command_line_parse_ranks(struct config *config, int ranks, int argc, char **argv, struct err *err)
    __attribute__((warn_unused_result));

// With a scenario in argv, only the options that it takes there; of one rank none that is of several.
void command_line_print_help(const char *program, int argc, char **argv, FILE *to);
// Is the option among the words?
bool command_line_gave(const char *option, int argc, char **argv);
// --describe: options, scenarios with the options they use, engines with their limits and costs, metrics.
json_t *command_line_describe(const char *program);
json_t *command_line_json(const struct config *config); // for the record

// Frees what the options read from files. After any command_line_parse.
void command_line_free(struct config *config);

#endif
