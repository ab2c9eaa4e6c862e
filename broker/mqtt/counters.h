// SPDX-License-Identifier: Apache-2.0
// The broker's counters. Each loop has one set. Only the loop's thread writes it; any thread may read.
#ifndef POOLMARK_BROKER_MQTT_COUNTERS_H
#define POOLMARK_BROKER_MQTT_COUNTERS_H

#include "broker/net/counter.h"

// X(name, help): all count up from the start.
#define BROKER_COUNTERS(X)                                                                                   \
    X(opened, "connections that clients opened, those that were refused among them")                         \
    X(accepted, "connections accepted")                                                                      \
    X(closed, "connections closed")                                                                          \
    X(refused_limit, "connections refused because of --max-connections")                                     \
    X(refused_pool, "connections refused because a pool had no object for them")                             \
    X(refused_memory, "connections refused because of --memory-limit")                                       \
    X(refused_descriptors, "connections refused because the process had no descriptor left")                 \
    X(refused_state, "connections refused because --state could not be written")                             \
    X(accepts_failed, "times that the system did not let a waiting client in")                               \
    X(refused_address, "connections refused because of --max-connections-per-address")                       \
    X(closed_silent, "connections closed without a CONNECT, because others needed the place")                \
    X(sessions_expired, "kept sessions ended because of --persistent-client-expiration")                     \
    X(sessions_taken_over, "connections closed because their client id connected again")                     \
    X(handed_over, "connections handed to the loop that has their session")                                  \
    X(protocol_errors, "connections closed because of what they sent")                                       \
    X(keep_alive_expired, "connections closed after one and a half keep alive times of silence")             \
    X(connects_answered, "CONNECTs answered by a CONNACK with code 0")                                       \
    X(packets_received, "MQTT packets received")                                                             \
    X(messages_received, "PUBLISH packets received")                                                         \
    X(received_qos_1, "of them: of QoS 1")                                                                   \
    X(received_qos_2, "of them: of QoS 2")                                                                   \
    X(messages_sent, "PUBLISH packets sent")                                                                 \
    X(closed_packet_size, "connections closed because of a packet larger than --max-packet-size")            \
    X(closed_topic_levels, "connections closed because of a topic of more than --max-topic-levels")          \
    X(closed_message_size, "connections closed because of a payload larger than --message-size-limit")       \
    X(closed_retain, "connections closed because of RETAIN, with --retain-available false")                  \
    X(closed_retained_full, "connections closed because a bound of retained messages was reached")           \
    X(closed_no_memory, "connections closed because there was no memory for what they sent")                 \
    X(closed_state, "connections closed because --state could not be written")                               \
    X(messages_dropped, "messages not delivered, for any of the next reasons")                               \
    X(dropped_queue_full, "of them: a client's queue was full (--max-queued-messages, --max-queued-bytes)")  \
    X(dropped_sys, "of them: published to $SYS, which is the broker's own")                                  \
    X(dropped_retained, "of them: retained, past --max-retained-messages or --max-retained-bytes")           \
    X(dropped_expired, "of them: waited for a client whose session has expired")                             \
    X(dropped_no_memory, "of them: no memory, or --memory-limit")                                            \
    X(subscriptions_refused, "subscriptions refused: no memory, --max-topic-levels, or --max-filters")       \
    X(wills_published, "wills published")                                                                    \
    X(state_transactions, "transactions written to --state")                                                 \
    X(state_changes, "changes in them: of sessions, subscriptions, deliveries, messages")                    \
    X(state_failures, "times that writing to --state began to fail")                                         \
    X(long_turns, "turns of a loop that took more than 10 ms of its processor time")                         \
    X(bytes_received, "bytes received")                                                                      \
    X(bytes_sent, "bytes sent")

struct broker_counters {
#define X(name, help) _Atomic int64_t name;
    BROKER_COUNTERS(X)
#undef X
};

// A plain copy, for sums.
struct broker_counts {
#define X(name, help) int64_t name;
    BROKER_COUNTERS(X)
#undef X
};

// Only on the loop's thread.
static inline void broker_count(_Atomic int64_t *counter, int64_t by)
{
    counter_add(counter, by);
}

static inline void broker_counters_sum(struct broker_counts *sum, struct broker_counters *counters)
{
#define X(name, help) sum->name += atomic_load_explicit(&counters->name, memory_order_relaxed);
    BROKER_COUNTERS(X)
#undef X
}

#endif
