// SPDX-License-Identifier: Apache-2.0
// Standard input, output and error as a program finds them: closed, full, or a pipe whose reader is gone.
//
// A program that was started with a closed descriptor 1 would give that number to the first file it opens,
// and print its table into it. And a table that could not be written is a failure that the exit code has to
// tell. A reader of stderr that goes away is no reason to end: SIGPIPE is ignored, and what a stream does not
// take is lost.
//
//     streams_open();                          // first thing in main
//     ...
//     return streams_close("poolmark-loadgen", code);   // last thing in main
#ifndef POOLMARK_BASE_STREAMS_H
#define POOLMARK_BASE_STREAMS_H

// Puts something in the place of each of 0, 1 and 2 that is closed: writing to it fails, as to what is
// closed.
void streams_open(void);

// Writes out what stdout holds. `code`, or EXIT_FAILED when it was EXIT_OK and stdout did not take
// everything: then stderr says why. Gives `code` otherwise.
int streams_close(const char *program, int code);

#endif
