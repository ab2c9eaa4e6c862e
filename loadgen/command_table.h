// SPDX-License-Identifier: Apache-2.0
// The options as rows: those of every run, and those of one scenario or of each. Which of them a scenario takes. One thread.
//
//     struct command_table table;
//     command_table_make(&table, scenario);                   // fills a struct config
//     opts_parse(table.rows, config, argc, argv, NULL, &err);
#ifndef POOLMARK_LOADGEN_COMMAND_TABLE_H
#define POOLMARK_LOADGEN_COMMAND_TABLE_H

#include "base/opts.h"
#include "loadgen/scenario.h"

enum {
    COMMAND_ROWS_MAX = 192,
    COMMAND_SCENARIOS_MAX = 16,
    COMMAND_HEADING_BYTES = 480,
    COMMAND_NAMES_BYTES = 200
};

// The name of the program that is never one of several ranks.
#define COMMAND_ONE_RANK "poolmark-loadgen"

struct command_table {
    struct opt rows[COMMAND_ROWS_MAX];
    int count;
    char headings[COMMAND_SCENARIOS_MAX][COMMAND_HEADING_BYTES];
    int heading_count;
    size_t bytes; // size of the parsed configuration
};

// The rows of every run, then under headings the rows of one scenario, or of each (NULL). They fill a struct
// config. With the rows of each, the scenarios' options are stored one after another behind it, so that none
// overwrites another's.
void command_table_make(struct command_table *table, const struct scenario *scenario);

// Leaves out what that scenario refuses (NULL: nothing), and, unless the program may be one of several ranks, what is of
// these.
void command_table_leave_out(struct command_table *table, const struct scenario *scenario,
                             const char *program);

bool command_table_takes(const struct scenario *scenario, const char *option);
// Does the option stand in place of a scenario, or belong to one that does?
bool command_table_is_in_place(const char *option);
// Is the option among those of every run that the scenario says it refuses?
bool command_table_is_refused(const struct scenario *scenario, const char *option);

// "connect, publish or steps": the scenarios that take the option, or all (NULL); `joint` stands before the last.
const char *command_table_join(const char *option, const char *joint, char text[static COMMAND_NAMES_BYTES]);

#endif
