// SPDX-License-Identifier: Apache-2.0
// A published message: topic and payload. It is in memory once, however many sessions wait for it.
//
// References are counted. The holder of a reference may read all fields but `refs`, from any thread, because
// they do not change after message_new. The last message_unref frees the memory, on any thread.
//
//     struct message *message = message_new(messages, topic, payload, 1, false);
//     if (!message) ...the pool refused, or there is no memory...
//     message_ref(message);      // the queue's reference
//     message_unref(message);    // the caller's reference
#ifndef POOLMARK_BROKER_MQTT_MESSAGE_H
#define POOLMARK_BROKER_MQTT_MESSAGE_H

#include "broker/mqtt/block.h"
#include "wire/mqtt.h"

#include <stdatomic.h>

struct state; // broker/state/state.h

struct message {
    struct block_store *store; // the last message_unref puts the memory back there
    _Atomic uint32_t refs;
    uint32_t payload_bytes;
    uint16_t topic_bytes;
    uint8_t qos;        // as published; a subscription may lower it
    bool retain : 1;    // as published; for a will, as in its CONNECT
    bool is_stored : 1; // has a number in the state file, behind its payload
    char data[];        // topic, then payload
};

// Copies topic and payload into a block of `messages`. The caller gets the only reference. NULL: the pool or
// the account refused, or out of memory. `topic` is at most MQTT_TEXT_MAX bytes, `payload` at most
// MQTT_REMAINING_MAX.
struct message *message_new(struct block_store *messages, struct mqtt_text topic, struct mqtt_bytes payload,
                            uint8_t qos, bool retain) __attribute__((warn_unused_result));

// The same with room for a number in the state file. When the last reference is released, the file forgets the
// message.
struct message *message_new_stored(struct block_store *messages, struct mqtt_text topic,
                                   struct mqtt_bytes payload, uint8_t qos, bool retain, struct state *state)
    __attribute__((warn_unused_result));

// 0: the state file does not have the message. Set once, before another thread may read it.
int64_t message_number(const struct message *message);
void message_set_number(struct message *message, int64_t number); // of message_new_stored only

// A message whose payload is a packet of `bytes`. The caller fills the payload before it shares the message.
struct message *message_new_packet(struct block_store *messages, size_t bytes)
    __attribute__((warn_unused_result));

struct message *message_ref(struct message *message); // returns it
void message_unref(struct message *message);          // NULL is allowed

// The size that counts for the bounds of queues: header, topic and payload.
static inline size_t message_bytes(const struct message *message)
{
    return sizeof *message + message->topic_bytes + message->payload_bytes;
}

size_t message_cost(const struct message *message); // what it is in the account

static inline struct mqtt_text message_topic(const struct message *message)
{
    return (struct mqtt_text){message->data, message->topic_bytes};
}

static inline struct mqtt_bytes message_payload(const struct message *message)
{
    return (struct mqtt_bytes){message->data + message->topic_bytes, message->payload_bytes};
}

#endif
