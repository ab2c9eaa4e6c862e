// SPDX-License-Identifier: Apache-2.0
// The statistics that a broker prints (SIGUSR1).
#ifndef POOLMARK_TESTS_FAULTS_TOLD_H
#define POOLMARK_TESTS_FAULTS_TOLD_H

#include "tests/faults/subject.h"

struct told {
    int64_t connections, sessions, subscriptions, retained, dropped;
    int64_t in_use;   // of all pools
    int64_t accounts; // bytes of all accounts but the pools' reserve and connections, where lists stay large
};

bool told_read(struct subject *broker, struct told *told); // false: it has ended, or hangs
bool told_is_empty(const struct told *told);               // nothing of any client is left

#endif
