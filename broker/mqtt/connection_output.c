// SPDX-License-Identifier: Apache-2.0
// The write path of a connection.
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/net/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// With so many connections waiting for the end of the turn, what comes next is sent at once: a fan-out to
// thousands must not hold thousands of buffers.
enum { PENDING_MOST = 1024 };

// A PUBLISH leaves so much of the buffer free: what a packet of the client asks for an answer still fits when
// what it published came back to itself.
enum { ANSWER_ROOM = 64 };

// An object of the pool `buffers`. A PUBLISH that the socket took in part goes before the bytes.
struct output {
    struct message *large; // NULL: none
    struct publish_form form;
    uint32_t large_sent;
    uint32_t start, end, capacity; // what waits is bytes[start .. end)
    uint8_t bytes[];
};

enum { LARGE_PARTS = 4, HEAD_BYTES = MQTT_HEADER_MAX + 2 };

struct large_parts {
    uint8_t head[HEAD_BYTES], id[2];
    struct iovec parts[LARGE_PARTS + 1]; // one more for the bytes behind it
    int count;
    size_t bytes;
};

static size_t usual_capacity(const struct connection *connection)
{
    return connection->loop->broker->shape.write_bytes - sizeof(struct output);
}

static struct output *output_need(struct connection *connection)
{
    if (!connection->out) {
        struct block_store *buffers = &connection->loop->broker->stores.output;
        struct output *out = block_get(buffers, buffers->object_bytes);
        if (!out)
            return NULL;
        *out = (struct output){.capacity = (uint32_t)usual_capacity(connection)};
        connection->out = out;
    }
    return connection->out;
}

bool output_prepare(struct connection *connection)
{
    return output_need(connection) != NULL;
}

void output_free(struct connection *connection)
{
    if (!connection->out)
        return;
    message_unref(connection->out->large);
    struct block_store *buffers = &connection->loop->broker->stores.output;
    block_put(buffers, connection->out, buffers->object_bytes);
    connection->out = NULL;
}

void output_drop(struct connection *connection)
{
    struct output *out = connection->out;
    if (!out)
        return;
    message_unref(out->large);
    out->large = NULL;
    out->start = out->end = 0;
    if (!connection->loop->broker->shape.eager)
        output_free(connection);
}

bool output_is_empty(const struct connection *connection)
{
    const struct output *out = connection->out;
    return !out || (!out->large && out->start == out->end);
}

static void block(struct connection *connection)
{
    if (!connection->is_blocked) {
        connection->is_blocked = true;
        connection_watch(connection);
    }
}

static void unblock(struct connection *connection)
{
    if (connection->is_blocked) {
        connection->is_blocked = false;
        connection_watch(connection);
        // What waits in the session can go on, and so can reading.
        loop_add_pending(connection->loop, connection);
    }
}

static size_t head_fill(uint8_t head[static HEAD_BYTES], const struct message *message,
                        const struct publish_form *form)
{
    size_t body = 2u + message->topic_bytes + (form->qos > 0 ? 2u : 0) + message->payload_bytes;
    uint8_t flags = (uint8_t)(form->dup << 3 | form->qos << 1 | form->retain);
    int encoded = mqtt_header_encode(head, MQTT_HEADER_MAX, MQTT_PUBLISH, flags, body);
    size_t bytes = encoded > 0 ? (size_t)encoded : 0;
    head[bytes++] = (uint8_t)(message->topic_bytes >> 8);
    head[bytes++] = (uint8_t)message->topic_bytes;
    return bytes;
}

// The packet (section 3.3) from where its parts lie, without the first `skip` bytes.
static void large_parts_fill(struct large_parts *large, const struct message *message,
                             const struct publish_form *form, size_t skip)
{
    size_t id_bytes = form->qos > 0 ? sizeof large->id : 0;
    size_t head_bytes = form->is_packet ? 0 : head_fill(large->head, message, form);
    large->id[0] = (uint8_t)(form->packet_id >> 8);
    large->id[1] = (uint8_t)form->packet_id;
    struct mqtt_text topic = message_topic(message);
    struct mqtt_bytes payload = message_payload(message);
    const struct iovec all[LARGE_PARTS] = {{large->head, head_bytes},
                                           {(void *)(uintptr_t)topic.data, topic.bytes},
                                           {large->id, id_bytes},
                                           {(void *)(uintptr_t)payload.data, payload.bytes}};
    large->count = 0;
    large->bytes = 0;
    for (int i = 0; i < LARGE_PARTS; i++) {
        size_t cut = skip < all[i].iov_len ? skip : all[i].iov_len;
        skip -= cut;
        if (cut == all[i].iov_len)
            continue;
        large->parts[large->count].iov_base = (char *)all[i].iov_base + cut;
        large->parts[large->count].iov_len = all[i].iov_len - cut;
        large->bytes += large->parts[large->count++].iov_len;
    }
}

// Bytes sent; 0 when the socket takes none now, or when it failed (then the connection is broken).
static size_t send_parts(struct connection *connection, struct iovec *parts, int count)
{
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t sent;
    do
        sent = sendmsg(connection->fd, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
            connection_break(connection);
        return 0;
    }
    broker_count(&connection->loop->counters.bytes_sent, sent);
    return (size_t)sent;
}

static void mark_sent(struct output *out, size_t sent, size_t large_bytes)
{
    if (out->large) {
        size_t part = sent < large_bytes ? sent : large_bytes;
        out->large_sent += (uint32_t)part;
        sent -= part;
        if (part == large_bytes) {
            message_unref(out->large);
            out->large = NULL;
        }
    }
    out->start += (uint32_t)sent;
    if (out->start == out->end)
        out->start = out->end = 0;
}

bool output_flush(struct connection *connection)
{
    struct output *out = connection->out;
    if (!connection_can_send(connection))
        return false;
    if (!output_is_empty(connection)) {
        struct large_parts large = {.count = 0};
        if (out->large)
            large_parts_fill(&large, out->large, &out->form, out->large_sent);
        size_t wanted = large.bytes + (out->end - out->start);
        large.parts[large.count].iov_base = out->bytes + out->start;
        large.parts[large.count++].iov_len = out->end - out->start;
        size_t sent = send_parts(connection, large.parts, large.count);
        if (!connection_can_send(connection))
            return false;
        mark_sent(out, sent, large.bytes);
        if (sent < wanted) {
            block(connection);
            return false;
        }
    }
    if (!connection->loop->broker->shape.eager)
        output_free(connection);
    unblock(connection);
    return connection->state != CONNECTION_DEAD;
}

bool output_has_room(struct connection *connection, size_t bytes)
{
    struct output *out = connection->out;
    if (connection->is_broken)
        return true;
    if (!out)
        return bytes <= usual_capacity(connection);
    if (out->capacity - out->end >= bytes)
        return true;
    if (bytes > out->capacity)
        return false;
    if (!connection->is_blocked && output_flush(connection))
        return true;
    if (!connection_can_send(connection))
        return connection->is_broken;
    if (out->start > 0) {
        memmove(out->bytes, out->bytes + out->start, out->end - out->start);
        out->end -= out->start;
        out->start = 0;
    }
    return out->capacity - out->end >= bytes;
}

// What was appended is sent at the end of the turn.
static void send_soon(struct connection *connection)
{
    if (connection->is_blocked)
        return;
    if (!connection->is_pending && connection->loop->pending_count >= PENDING_MOST) {
        connection->loop->work += LOOP_FLUSH_WORK;
        output_flush(connection);
    } else
        loop_add_pending(connection->loop, connection);
}

void output_append(struct connection *connection, const void *packet, size_t bytes)
{
    if (!connection_can_send(connection))
        return;
    struct output *out = output_need(connection);
    if (!out) {
        // No buffer to be had: the socket may take it as it is.
        struct iovec part = {(void *)(uintptr_t)packet, bytes};
        if (send_parts(connection, &part, 1) != bytes)
            connection_break(connection);
        return;
    }
    if (!output_has_room(connection, bytes) || connection->is_broken || !(out = output_need(connection))) {
        connection_break(connection);
        return;
    }
    memcpy(out->bytes + out->end, packet, bytes);
    out->end += (uint32_t)bytes;
    send_soon(connection);
}

// Nothing waits, and the packet does not fit a buffer (or there is none): it is sent from where it lies, and
// what the socket does not take is remembered as message and offset. false: nothing was taken; with
// `is_owed` that is remembered too.
static bool send_large(struct connection *connection, struct message *message,
                       const struct publish_form *form, bool is_owed)
{
    struct large_parts large;
    large_parts_fill(&large, message, form, 0);
    size_t wanted = large.bytes;
    size_t sent = send_parts(connection, large.parts, large.count);
    if (!connection_can_send(connection))
        return false;
    if (sent == wanted)
        return true;
    struct output *out = sent > 0 || is_owed ? output_need(connection) : NULL;
    if ((sent > 0 || is_owed) && !out) {
        connection_break(connection); // there is nowhere to remember the rest
        return false;
    }
    if (out) {
        out->large = message_ref(message);
        out->large_sent = (uint32_t)sent;
        out->form = *form;
    }
    block(connection);
    return sent > 0;
}

void output_packet(struct connection *connection, struct message *message)
{
    struct publish_form form = {.is_packet = true};
    if (connection_can_send(connection))
        (void)send_large(connection, message, &form, true);
}

static bool publish_small(struct connection *connection, struct message *message,
                          const struct publish_form *form, size_t bytes)
{
    struct output *out = connection->out;
    struct mqtt_publish publish = {.dup = form->dup,
                                   .retain = form->retain,
                                   .qos = form->qos,
                                   .packet_id = form->packet_id,
                                   .topic = message_topic(message),
                                   .payload = message_payload(message)};
    int written = mqtt_publish_encode(out->bytes + out->end, bytes, &publish);
    if (written < 0)
        return false;
    out->end += (uint32_t)written;
    send_soon(connection);
    return true;
}

bool output_publish(struct connection *connection, struct message *message, const struct publish_form *form)
{
    if (!connection_can_send(connection))
        return false;
    size_t bytes = mqtt_publish_header_bytes(message->topic_bytes, message->payload_bytes, form->qos) +
                   message->payload_bytes;
    bool is_taken;
    bool has_room = output_has_room(connection, bytes + ANSWER_ROOM);
    if (!connection_can_send(connection))
        is_taken = false;
    else if (has_room && output_need(connection))
        is_taken = publish_small(connection, message, form, bytes);
    else if (connection->is_blocked)
        is_taken = false;
    else
        is_taken = (output_is_empty(connection) || output_flush(connection)) &&
                   send_large(connection, message, form, false);
    if (is_taken)
        broker_count(&connection->loop->counters.messages_sent, 1);
    return is_taken;
}
