// SPDX-License-Identifier: Apache-2.0
// A case of the generator (case.h).
#ifndef POOLMARK_TESTS_FAULTS_LOAD_CASE_H
#define POOLMARK_TESTS_FAULTS_LOAD_CASE_H

#include "tests/faults/case.h"

void load_case_run(const struct setting *setting, const struct fault *fault, struct verdict *verdict);
void load_case_end(void); // ends the broker that the cases of this process share

#endif
