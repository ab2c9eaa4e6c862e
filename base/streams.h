// SPDX-License-Identifier: Apache-2.0
// Standard input, output and error in the states that a program may find: closed, full, or a pipe whose
// reader is gone.
//
// If descriptor 1 is closed at the start, the first file that a program opens gets that number, and the table
// would go into that file. A table that could not be written is a failure, which the exit code has to report.
// A reader of stderr that goes away is no reason to end: SIGPIPE is ignored, and output that a stream does
// not accept is lost.
//
//     streams_open();                          // first thing in main
//     ...
//     return streams_close("poolmark-loadgen", code);   // last thing in main
#ifndef POOLMARK_BASE_STREAMS_H
#define POOLMARK_BASE_STREAMS_H

#include <stdbool.h>
#include <stdio.h>

// Ignores SIGPIPE. Opens a substitute for each closed descriptor of 0, 1 and 2: writing to it fails, as on a
// closed one.
void streams_open(void);

// Whether a line of up to 4 096 bytes can be written now. False: a pipe whose reader does not read, a terminal
// that was stopped. A file always can.
bool streams_ready(FILE *stream);

// Flushes stdout and returns `code`. If stdout did not accept everything, prints the reason to stderr and
// returns EXIT_FAILED instead of EXIT_OK.
int streams_close(const char *program, int code);

#endif
