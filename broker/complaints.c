// SPDX-License-Identifier: Apache-2.0
#include "broker/complaints.h"

#include <inttypes.h>
#include <stddef.h>

struct complaint {
    size_t offset;
    const char *text; // printed after the number
};

#define AT(field) offsetof(struct broker_counts, field)
static const struct complaint complaints[] = {
    {AT(refused_limit), "clients refused: --max-connections"},
    {AT(refused_pool), "clients refused: a pool had no object for them"},
    {AT(refused_memory), "clients refused: --memory-limit"},
    {AT(refused_state), "clients refused: --state cannot be written"},
    {AT(refused_descriptors), "clients refused: no descriptor is left"},
    {AT(refused_address), "clients refused: --max-connections-per-address"},
    {AT(closed_silent), "connections closed: their CONNECT had not come, and others needed the place"},
    {AT(accepts_failed), "clients not let in: accept failed for a reason that is no lack of descriptors"},
    {AT(protocol_errors), "connections closed: what they sent is not MQTT 3.1.1"},
    {AT(closed_packet_size), "connections closed: a packet larger than --max-packet-size"},
    {AT(closed_topic_levels), "connections closed: a topic of more levels than --max-topic-levels"},
    {AT(closed_message_size), "connections closed: a payload larger than --message-size-limit"},
    {AT(closed_retain), "connections closed: RETAIN, with --retain-available false"},
    {AT(closed_retained_full),
     "connections closed: no place for a retained message (--max-retained-messages, --max-retained-bytes)"},
    {AT(closed_no_memory), "connections closed: no memory for what they sent"},
    {AT(closed_state), "connections closed: what they wait for cannot be written to --state"},
    {AT(state_failures), "time that --state could not be written; until it can, nothing is acknowledged"},
    {AT(dropped_queue_full), "messages dropped: a client's queue is full"},
    {AT(dropped_sys), "messages dropped: clients may not publish to $SYS"},
    {AT(dropped_retained), "messages dropped: --max-retained-messages or --max-retained-bytes"},
    {AT(dropped_expired), "messages dropped: their client's session has expired"},
    {AT(dropped_no_memory), "messages dropped: no memory, or --memory-limit"},
    {AT(subscriptions_refused), "subscriptions refused: no memory, too many topic levels, or --max-filters"},
};

static int64_t count_of(const struct broker_counts *counts, const struct complaint *complaint)
{
    return *(const int64_t *)((const char *)counts + complaint->offset);
}

void complaints_print(const struct broker_statistics *statistics, struct broker_counts *before, FILE *to)
{
    const struct broker_counts *now = &statistics->counts;
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        int64_t more = count_of(now, &complaints[i]) - count_of(before, &complaints[i]);
        if (more <= 0)
            continue;
        fprintf(to, "poolmark-broker: %" PRId64 " %s", more, complaints[i].text);
        if (complaints[i].offset == AT(protocol_errors) && statistics->last_reason)
            fprintf(to, " (the last: %s)", statistics->last_reason);
        if (complaints[i].offset == AT(state_failures) && statistics->state_reason)
            fprintf(to, " (%s)", statistics->state_reason);
        fputc('\n', to);
    }
    *before = *now;
}
