// SPDX-License-Identifier: Apache-2.0
#include "loadgen/message_faults.h"

#include <stdio.h>
#include <string.h>

const struct message_fault *message_faults(void)
{
    static const struct message_fault rows[] = {
        {"messages.not_sent", "messages were due and not sent", TALLY_NOT_SENT, TALLY_COUNT},
        {"messages.lost", "deliveries did not arrive", TALLY_LOST, TALLY_COUNT},
        {"messages.unacknowledged", "messages were not acknowledged", TALLY_UNACKED, TALLY_COUNT},
        {"messages.corrupt", "deliveries had another content than was sent", TALLY_CORRUPT, TALLY_COUNT},
        {"messages.unfinished", "deliveries were on their way when the run ended early", TALLY_UNFINISHED,
         TALLY_COUNT},
        {"messages.misdelivered", "messages of this run arrived at the wrong clients", TALLY_MISDELIVERED,
         TALLY_COUNT},
        {"messages.foreign", "messages arrived that are of no publisher of this run", TALLY_FOREIGN,
         TALLY_STRANGE},
        {"messages.duplicates", "messages arrived a second time", TALLY_DUPLICATES, TALLY_COUNT},
        {0},
    };
    return rows;
}

int64_t message_fault_count(const struct message_fault *fault, const struct tally *tally)
{
    int64_t also = fault->also < TALLY_COUNT ? tally->count[fault->also] : 0;
    return tally->count[fault->what] + also;
}

const char *message_fault_key(const struct message_fault *fault, char key[static MESSAGE_FAULT_KEY_BYTES])
{
    snprintf(key, MESSAGE_FAULT_KEY_BYTES, "%s", fault->metric);
    char *dot = strchr(key, '.');
    if (dot)
        *dot = '_';
    return key;
}
