// SPDX-License-Identifier: Apache-2.0
// A published message: topic and payload, once in memory however many sessions wait for it.
//
// It is counted by references. Whoever holds one may read everything but `refs`, from any thread, since
// nothing changes after message_new. The last message_unref gives the memory back, on any thread.
//
//     struct message *message = message_new(&broker->messages, topic, payload, 1, false);
//     if (!message) ...the pool refused, or there is no memory...
//     message_ref(message);      // one for a queue
//     message_unref(message);    // ours
#ifndef POOLMARK_BROKER_MQTT_MESSAGE_H
#define POOLMARK_BROKER_MQTT_MESSAGE_H

#include "broker/mqtt/block.h"
#include "wire/mqtt.h"

#include <stdatomic.h>

struct message {
    struct block_store *store; // where the memory goes back to
    _Atomic uint32_t refs;
    uint32_t payload_bytes;
    uint16_t topic_bytes;
    uint8_t qos; // as published: a subscription may lower it
    bool retain; // as published; for a will, as the will said
    char data[]; // topic, then payload
};

// Copies both into a block of `messages`. The caller has the one reference. NULL: refused by the pool or the
// account, or out of memory. `topic` is at most MQTT_TEXT_MAX bytes, `payload` at most MQTT_REMAINING_MAX.
struct message *message_new(struct block_store *messages, struct mqtt_text topic, struct mqtt_bytes payload,
                            uint8_t qos, bool retain) __attribute__((warn_unused_result));

// One that is a packet of so many bytes: its payload, to be filled in before anybody else has it.
struct message *message_new_packet(struct block_store *messages, size_t bytes)
    __attribute__((warn_unused_result));

struct message *message_ref(struct message *message); // returns it
void message_unref(struct message *message);          // NULL is allowed

// What it takes of memory, as it counts for the bounds of queues.
static inline size_t message_bytes(const struct message *message)
{
    return sizeof *message + message->topic_bytes + message->payload_bytes;
}

static inline struct mqtt_text message_topic(const struct message *message)
{
    return (struct mqtt_text){message->data, message->topic_bytes};
}

static inline struct mqtt_bytes message_payload(const struct message *message)
{
    return (struct mqtt_bytes){message->data + message->topic_bytes, message->payload_bytes};
}

#endif
