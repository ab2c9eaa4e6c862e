// SPDX-License-Identifier: Apache-2.0
// --json: an object a second, one a line, for programs. docs/commands.md has its keys; they are in every
// object, null where a value is not known. The caller prints the last object, the summary (overview.h).
//
// A reader that does not read holds up no run: an object that would have to wait is left out and counted. A
// stream that failed is left alone; streams_close reports it. One thread.
#ifndef POOLMARK_LOADGEN_JSON_LINES_H
#define POOLMARK_LOADGEN_JSON_LINES_H

#include "loadgen/moment.h"

#include <stdio.h>

#define JSON_LINES_SCHEMA "poolmark.load/1"

struct json_lines {
    FILE *to; // NULL: none are wanted
    int64_t left_out;
};

void json_lines_show(struct json_lines *lines, const struct moment *moment);

// Prints an object as one line and frees it. NULL: out of memory, which counts as left out.
void json_lines_print(struct json_lines *lines, json_t *object);

#endif
