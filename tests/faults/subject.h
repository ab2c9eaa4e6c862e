// SPDX-License-Identifier: Apache-2.0
// A program under test as a child of the test: its main function after a fork, with a fault armed or not. A child without
// exec starts in less than a millisecond, so thousands of lives fit into a minute.
//
//     struct subject subject;
//     subject_start(&subject, broker_main, argv, true);
//     if (!subject_line(&subject, "ready")) ...
//     subject_signal(&subject, SIGTERM);
//     int code = subject_wait(&subject);
#ifndef POOLMARK_TESTS_FAULTS_SUBJECT_H
#define POOLMARK_TESTS_FAULTS_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SUBJECT_GUARD_S = 30, // a bound for each wait that only a hanging program meets
    SUBJECT_HUNG = 1000,
    SUBJECT_FDS = 256, // its limit of descriptors
    SUBJECT_TEXT_BYTES = 1 << 16
};

struct subject {
    pid_t pid;
    int out;       // its stdout
    int errors;    // a memory file that is its stderr
    uint16_t port; // of the last line that begins with "listening "
    bool has_hung;
    size_t used, line_bytes; // in `text`; line_bytes of them were given out as a line
    char text[SUBJECT_TEXT_BYTES], said[SUBJECT_TEXT_BYTES];
};

typedef int subject_main(int argc, char **argv);

// `is_target`: the armed fault is for this program. `argv` ends with NULL.
void subject_start(struct subject *subject, subject_main *program, char **argv, bool is_target);

// The next line of stdout that begins with `begins`; NULL: its stdout ended before, or it hangs.
const char *subject_line(struct subject *subject, const char *begins);
const char *subject_errors(struct subject *subject);    // its stderr so far
int subject_descriptors(const struct subject *subject); // how many are open
void subject_signal(const struct subject *subject, int signal);

// Waits for the end and frees what the subject holds. The exit code; -signal; SUBJECT_HUNG. subject_errors still works.
int subject_wait(struct subject *subject);

#endif
