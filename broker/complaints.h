// SPDX-License-Identifier: Apache-2.0
// What a broker refuses, it says: one line a second and reason at most, however often it happens.
//
//     struct broker_counts before = {0};
//     complaints_print(&statistics, &before, stderr);     // once a second
#ifndef POOLMARK_BROKER_COMPLAINTS_H
#define POOLMARK_BROKER_COMPLAINTS_H

#include "broker/broker.h"

#include <stdio.h>

// A line for each counter of refusals that is above `before`, which then gets the counts of now.
void complaints_print(const struct broker_statistics *statistics, struct broker_counts *before, FILE *to);

#endif
