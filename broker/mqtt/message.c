// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/message.h"

#include "broker/state/state.h"

// Behind the payload of a message with is_stored; not aligned.
struct record {
    struct state *state;
    int64_t number;
};

static size_t block_bytes(const struct message *message)
{
    return message_bytes(message) + (message->is_stored ? sizeof(struct record) : 0);
}

size_t message_cost(const struct message *message)
{
    return block_cost(message->store, block_bytes(message));
}

static struct message *new_message(struct block_store *messages, size_t topic_bytes, size_t payload_bytes,
                                   bool is_stored)
{
    size_t record_bytes = is_stored ? sizeof(struct record) : 0;
    struct message *message =
        block_get(messages, sizeof *message + topic_bytes + payload_bytes + record_bytes);
    if (!message)
        return NULL;
    message->is_stored = is_stored;
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
    return new_message(messages, 0, bytes, false);
}

static struct message *fill(struct message *message, struct mqtt_text topic, struct mqtt_bytes payload,
                            uint8_t qos, bool retain)
{
    if (!message)
        return NULL;
    message->qos = qos;
    message->retain = retain;
    memcpy(message->data, topic.data, topic.bytes);
    if (payload.bytes > 0)
        memcpy(message->data + topic.bytes, payload.data, payload.bytes);
    return message;
}

struct message *message_new(struct block_store *messages, struct mqtt_text topic, struct mqtt_bytes payload,
                            uint8_t qos, bool retain)
{
    return fill(new_message(messages, topic.bytes, payload.bytes, false), topic, payload, qos, retain);
}

static char *record_of(const struct message *message)
{
    return (char *)(uintptr_t)message->data + message->topic_bytes + message->payload_bytes;
}

struct message *message_new_stored(struct block_store *messages, struct mqtt_text topic,
                                   struct mqtt_bytes payload, uint8_t qos, bool retain, struct state *state)
{
    struct record record = {state, 0};
    struct message *message = new_message(messages, topic.bytes, payload.bytes, true);
    if (message)
        memcpy((char *)message->data + topic.bytes + payload.bytes, &record, sizeof record);
    return fill(message, topic, payload, qos, retain);
}

int64_t message_number(const struct message *message)
{
    struct record record = {NULL, 0};
    if (message->is_stored)
        memcpy(&record, record_of(message), sizeof record);
    return record.number;
}

void message_set_number(struct message *message, int64_t number)
{
    struct record record;
    memcpy(&record, record_of(message), sizeof record);
    record.number = number;
    memcpy(record_of(message), &record, sizeof record);
}

// Every act that names the message was published with a reference to it, or by a holder of one.
static void forget(const struct message *message)
{
    struct record record;
    memcpy(&record, record_of(message), sizeof record);
    struct state_act end = {.kind = STATE_MESSAGE_END, .message = record.number};
    if (record.number)
        state_publish_now(record.state, NULL, &end, 1);
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
    if (atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (message->is_stored)
        forget(message);
    block_put(message->store, message, block_bytes(message));
}
