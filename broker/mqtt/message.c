// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/message.h"

static struct message *new_message(struct block_store *messages, size_t topic_bytes, size_t payload_bytes)
{
    struct message *message = block_get(messages, sizeof *message + topic_bytes + payload_bytes);
    if (!message)
        return NULL;
    message->store = messages;
    atomic_init(&message->refs, 1);
    message->payload_bytes = (uint32_t)payload_bytes;
    message->topic_bytes = (uint16_t)topic_bytes;
    message->qos = 0;
    message->retain = false;
    return message;
}

struct message *message_new_packet(struct block_store *messages, size_t bytes)
{
    return new_message(messages, 0, bytes);
}

struct message *message_new(struct block_store *messages, struct mqtt_text topic, struct mqtt_bytes payload,
                            uint8_t qos, bool retain)
{
    struct message *message = new_message(messages, topic.bytes, payload.bytes);
    if (!message)
        return NULL;
    message->qos = qos;
    message->retain = retain;
    memcpy(message->data, topic.data, topic.bytes);
    if (payload.bytes > 0)
        memcpy(message->data + topic.bytes, payload.data, payload.bytes);
    return message;
}

struct message *message_ref(struct message *message)
{
    // Relaxed: the caller holds a reference, so the count cannot reach zero meanwhile. The lock of the queue
    // that hands the message over makes its bytes visible to the new holder.
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

void message_unref(struct message *message)
{
    if (!message)
        return;
    // Release: our reads are complete before another thread can free the memory. Acquire: the reads of all
    // other threads are complete before this thread frees it.
    if (atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) == 1)
        block_put(message->store, message, message_bytes(message));
}
