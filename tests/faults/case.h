// SPDX-License-Identifier: Apache-2.0
// One case: a program starts, does its work and ends, and one call of it fails. No crash and no hang.
//
// The broker serves a life (life.h). What cannot start says which call failed, with an exit code; all that was acknowledged comes; a
// later client is served; when all have left, all pools' objects are back, nothing is counted in the account, and as many descriptors
// are open as without the fault.
//
// The generator runs a short scenario by the engine raw against a broker that nothing fails in. It ends with an exit code that it
// documents and, if that is not 0, with a reason; no connection of it is left.
#ifndef POOLMARK_TESTS_FAULTS_CASE_H
#define POOLMARK_TESTS_FAULTS_CASE_H

#include "tests/faults/fault.h"

#include <stdbool.h>

enum { CASE_WRONG_BYTES = 2000, SETTINGS_MAX = 16 };

// A program with these options.
struct setting {
    const char *name;
    const char *options[SETTINGS_MAX]; // NULL ends them
    bool has_record;                   // --record, in a folder of the case
    bool has_state;                    // --state, a file of the case
    bool is_load;                      // the generator; else the broker
};
extern const struct setting settings[];
extern const int setting_count;

struct verdict {
    bool was_hit;     // the call was made
    bool was_refused; // the start failed, and said so
    bool is_well;
    char wrong[CASE_WRONG_BYTES];
};

// `descriptors` (of the broker): how many an undisturbed broker has open at the end; 0: not known, and set.
void case_run(const struct setting *setting, const struct fault *fault, int *descriptors,
              struct verdict *verdict);

void case_end(void); // ends what the cases of this process share

// Notes the first thing that is wrong.
void verdict_fail(struct verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
