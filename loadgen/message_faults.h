// SPDX-License-Identifier: Apache-2.0
// What can go wrong with messages, counted so far: a row for each fault that the catalogue has of messages
// (METRIC_FAULT; tests/test_views.c compares both). The live page, the lines of JSON, the overview and the progress
// go through these rows, so none of them can lack one.
//
//     for (const struct message_fault *one = message_faults(); one->metric; one++)
//         printf("%lld %s\n", (long long)message_fault_count(one, &tally), one->text);
#ifndef POOLMARK_LOADGEN_MESSAGE_FAULTS_H
#define POOLMARK_LOADGEN_MESSAGE_FAULTS_H

#include "loadgen/tally.h"

struct message_fault {
    const char *metric;    // "messages.lost"; NULL ends the table
    const char *text;      // "deliveries did not arrive"
    enum tally_count what; // what is counted,
    enum tally_count also; // and added to it; TALLY_COUNT: nothing
    int more;              // counts after `what` that are added too
};

enum { MESSAGE_FAULT_KEY_BYTES = 40 };

const struct message_fault *message_faults(void);

int64_t message_fault_count(const struct message_fault *fault, const struct tally *tally);

// "messages_lost": the name in JSON and on the live page. Gives `key`.
const char *message_fault_key(const struct message_fault *fault, char key[static MESSAGE_FAULT_KEY_BYTES]);

#endif
