// SPDX-License-Identifier: Apache-2.0
// Prints what the broker refuses: at most one line per second and reason.
//
//     struct broker_counts before = {0};
//     complaints_print(&statistics, &before, stderr);     // once a second
#ifndef POOLMARK_BROKER_COMPLAINTS_H
#define POOLMARK_BROKER_COMPLAINTS_H

#include "broker/broker.h"

#include <stdio.h>

// Prints a line for each counter of refusals that has grown since `before`. Then sets `before` to the current
// counts.
void complaints_print(const struct broker_statistics *statistics, struct broker_counts *before, FILE *to);

#endif
