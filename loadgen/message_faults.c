// SPDX-License-Identifier: Apache-2.0
#include "loadgen/message_faults.h"

#include <stdio.h>
#include <string.h>

const struct message_fault *message_faults(void)
{
    static const struct message_fault rows[] = {
        {"messages.not_sent", "messages were due and not sent", TALLY_NOT_SENT, TALLY_COUNT, 0},
        {"messages.lost", "deliveries did not arrive", TALLY_LOST, TALLY_COUNT, 0},
        {"messages.unacknowledged", "messages were not acknowledged", TALLY_UNACKED, TALLY_COUNT, 0},
        {"messages.corrupt", "deliveries had another content than was sent", TALLY_CORRUPT, TALLY_COUNT, 0},
        {"messages.unfinished", "deliveries were on their way when the run ended early", TALLY_UNFINISHED,
         TALLY_COUNT, 0},
        {"messages.misdelivered", "messages of this run arrived at the wrong clients", TALLY_MISDELIVERED,
         TALLY_COUNT, 0},
        {"messages.foreign", "messages arrived that are of no publisher of this run", TALLY_FOREIGN,
         TALLY_STRANGE, 0},
        {"messages.duplicates", "messages arrived a second time", TALLY_DUPLICATES, TALLY_COUNT, 0},
        {"messages.duplicates_excluded", "messages arrived a second time, which their QoS excludes",
         TALLY_DUPLICATES_EXCLUDED, TALLY_COUNT, 0},
        {"messages.out_of_order", "deliveries arrived after a later message of the same publisher",
         TALLY_OUT_OF_ORDER, TALLY_COUNT, 0},
        {"messages.topic_changed", "deliveries came under another topic than they were published to",
         TALLY_TOPIC_CHANGED, TALLY_COUNT, 0},
        {"messages.retain_changed", "deliveries came with another RETAIN flag than MQTT gives them",
         TALLY_RETAIN_CHANGED, TALLY_COUNT, 0},
        {"messages.qos_changed", "deliveries came at another QoS than was asked for", TALLY_DELIVERED_OTHER,
         TALLY_COUNT, TALLY_QOS_PAIRS - 1},
        {0},
    };
    return rows;
}

int64_t message_fault_count(const struct message_fault *fault, const struct tally *tally)
{
    int64_t also = fault->also < TALLY_COUNT ? tally->count[fault->also] : 0;
    for (int i = 1; i <= fault->more; i++)
        also += tally->count[(int)fault->what + i];
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
