// SPDX-License-Identifier: Apache-2.0
#include "broker/net/transport_output.h"

#include "broker/net/counter.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

// All packets of a turn for one transport share one write, because a write costs more than the rest of a
// delivery. With this many transports pending, further ones send at once. So the buffers of a turn stay
// within 16 MiB (at 4 KiB each).
enum { PENDING_MOST = 4096 };

// A buffer of BUFFER_WRITE. The rest of a source is sent before the bytes.
struct output {
    void *source; // NULL: none
    uint64_t form;
    uint32_t source_sent;
    uint32_t start, end, capacity; // waiting: bytes[start .. end)
    uint8_t bytes[];
};

// The data of one system call: the rest of a source, then the rest of a buffer.
struct gathered {
    struct transport_parts source;
    struct iovec parts[TURN_PARTS + 1];
    int count;
    size_t source_bytes;
};

// true: output may leave now. Otherwise it waits for the end of the turn, or the transport is broken.
static bool may_leave(struct transport *transport)
{
    const struct turn *turn = transport->turn;
    enum transport_leave leave = turn->rules->may_send ? turn->rules->may_send(transport) : LEAVE_NOW;
    if (leave == LEAVE_LATER)
        turn_add_pending(transport);
    else if (leave == LEAVE_NEVER)
        transport_break(transport);
    return leave == LEAVE_NOW;
}

static size_t usual_capacity(const struct transport *transport)
{
    return transport->turn->rules->write_bytes - sizeof(struct output);
}

static struct output *need_output(struct transport *transport)
{
    if (!transport->out) {
        const struct transport_rules *rules = transport->turn->rules;
        struct output *out = rules->get_buffer(transport->turn->owner, BUFFER_WRITE, rules->write_bytes);
        if (!out)
            return NULL;
        *out = (struct output){.capacity = (uint32_t)usual_capacity(transport)};
        transport->out = out;
    }
    return transport->out;
}

bool transport_prepare_output(struct transport *transport)
{
    return need_output(transport) != NULL;
}

static void release_source(struct transport *transport)
{
    if (transport->out->source)
        transport->turn->rules->release_source(transport->out->source);
    transport->out->source = NULL;
}

void transport_free_output(struct transport *transport)
{
    if (!transport->out)
        return;
    release_source(transport);
    const struct transport_rules *rules = transport->turn->rules;
    rules->put_buffer(transport->turn->owner, BUFFER_WRITE, transport->out, rules->write_bytes);
    transport->out = NULL;
}

static void drop(struct transport *transport)
{
    struct output *out = transport->out;
    if (!out)
        return;
    release_source(transport);
    out->start = out->end = 0;
    if (!transport->turn->rules->is_eager)
        transport_free_output(transport);
}

void transport_break(struct transport *transport)
{
    if (!transport_can_send(transport))
        return;
    transport->is_broken = true;
    drop(transport);
    transport->is_blocked = false;
    turn_add_pending(transport);
}

void transport_watch(struct transport *transport)
{
    uint32_t events = (transport->is_paused ? 0 : EPOLLIN) | (transport->is_blocked ? EPOLLOUT : 0);
    struct epoll_event event = {.events = events, .data.ptr = transport};
    if (transport->is_watched &&
        epoll_ctl(transport->turn->epoll_fd, EPOLL_CTL_MOD, transport->fd, &event) < 0)
        transport_break(transport);
}

bool transport_is_empty(const struct transport *transport)
{
    const struct output *out = transport->out;
    return !out || (!out->source && out->start == out->end);
}

static void block(struct transport *transport)
{
    if (!transport->is_blocked) {
        transport->is_blocked = true;
        transport_watch(transport);
    }
}

static void unblock(struct transport *transport)
{
    if (transport->is_blocked) {
        transport->is_blocked = false;
        transport_watch(transport);
        turn_add_pending(transport); // the owner may send more, and reading may go on
    }
}

static void gather(struct gathered *gathered, const struct transport_rules *rules, const void *source,
                   uint64_t form, size_t skip)
{
    gathered->source = (struct transport_parts){0};
    rules->list_parts(source, form, &gathered->source);
    for (int i = 0; i < TURN_PARTS; i++) {
        const struct iovec *part = &gathered->source.parts[i];
        size_t cut = skip < part->iov_len ? skip : part->iov_len;
        skip -= cut;
        if (cut == part->iov_len)
            continue;
        gathered->parts[gathered->count] = (struct iovec){(char *)part->iov_base + cut, part->iov_len - cut};
        gathered->source_bytes += gathered->parts[gathered->count++].iov_len;
    }
}

// Returns the bytes sent; 0 when the socket takes none now, or when it failed (then the transport is broken).
static size_t send_parts(struct transport *transport, struct iovec *parts, int count)
{
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t sent;
    do
        sent = sendmsg(transport->fd, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    transport->turn->work += TURN_WRITE_WORK + (sent > 0 ? turn_copy_work((size_t)sent) : 0);
    if (sent < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
            transport_break(transport);
        return 0;
    }
    counter_add(transport->turn->bytes_sent, sent);
    return (size_t)sent;
}

static void mark_sent(struct transport *transport, size_t sent, size_t source_bytes)
{
    struct output *out = transport->out;
    if (out->source) {
        size_t part = sent < source_bytes ? sent : source_bytes;
        out->source_sent += (uint32_t)part;
        sent -= part;
        if (part == source_bytes)
            release_source(transport);
    }
    out->start += (uint32_t)sent;
    if (out->start == out->end)
        out->start = out->end = 0;
}

bool transport_flush(struct transport *transport)
{
    struct output *out = transport->out;
    if (!transport_can_send(transport))
        return false;
    if (!transport_is_empty(transport)) {
        if (!may_leave(transport))
            return false;
        struct gathered gathered;
        gathered.count = 0;
        gathered.source_bytes = 0;
        if (out->source)
            gather(&gathered, transport->turn->rules, out->source, out->form, out->source_sent);
        size_t wanted = gathered.source_bytes + (out->end - out->start);
        gathered.parts[gathered.count++] = (struct iovec){out->bytes + out->start, out->end - out->start};
        size_t sent = send_parts(transport, gathered.parts, gathered.count);
        if (!transport_can_send(transport))
            return false;
        mark_sent(transport, sent, gathered.source_bytes);
        if (sent < wanted) {
            block(transport);
            return false;
        }
    }
    if (!transport->turn->rules->is_eager)
        transport_free_output(transport);
    unblock(transport);
    return !transport->is_dead;
}

bool transport_has_room(struct transport *transport, size_t bytes)
{
    struct output *out = transport->out;
    if (transport->is_broken)
        return true;
    if (!out)
        return bytes <= usual_capacity(transport);
    if (out->capacity - out->end >= bytes)
        return true;
    if (bytes > out->capacity)
        return false;
    if (!transport->is_blocked && transport_flush(transport))
        return true;
    if (!transport_can_send(transport))
        return transport->is_broken;
    if (out->start > 0) {
        memmove(out->bytes, out->bytes + out->start, out->end - out->start);
        out->end -= out->start;
        out->start = 0;
    }
    return out->capacity - out->end >= bytes;
}

// Appended bytes are sent at the end of the turn.
static void send_soon(struct transport *transport)
{
    if (transport->is_blocked || transport->is_pending)
        return;
    struct turn *turn = transport->turn;
    if (turn_unsettled(turn) >= PENDING_MOST && !turn->rules->may_send)
        transport_flush(transport);
    else
        turn_add_pending(transport);
}

void transport_append(struct transport *transport, const void *data, size_t bytes)
{
    if (!transport_can_send(transport))
        return;
    if (!need_output(transport)) {
        // Without a buffer, the socket may still take the packet directly.
        struct iovec part = {(void *)(uintptr_t)data, bytes};
        if (!may_leave(transport) || send_parts(transport, &part, 1) != bytes)
            transport_break(transport);
        return;
    }
    uint8_t *to = transport_reserve(transport, bytes, 0);
    if (!to) {
        transport_break(transport);
        return;
    }
    memcpy(to, data, bytes);
    transport_commit(transport, bytes);
}

uint8_t *transport_reserve(struct transport *transport, size_t bytes, size_t spare)
{
    bool has_room = transport_has_room(transport, bytes + spare);
    if (!has_room || !transport_can_send(transport) || !need_output(transport))
        return NULL;
    return transport->out->bytes + transport->out->end;
}

void transport_commit(struct transport *transport, size_t bytes)
{
    transport->out->end += (uint32_t)bytes;
    send_soon(transport);
}

// Holds the bytes of a source from `sent` on. false: no memory.
static bool hold(struct transport *transport, void *source, uint64_t form, size_t sent)
{
    struct output *out = need_output(transport);
    if (!out)
        return false;
    out->source = transport->turn->rules->hold_source(source);
    out->source_sent = (uint32_t)sent;
    out->form = form;
    return true;
}

static bool hold_for_later(struct transport *transport, void *source, uint64_t form, bool is_owed)
{
    bool is_held = hold(transport, source, form, 0);
    if (is_held)
        turn_add_pending(transport);
    else if (is_owed)
        transport_break(transport);
    return is_held;
}

bool transport_send_source(struct transport *transport, void *source, uint64_t form, bool is_owed)
{
    // Blocked and empty: the socket refused a source before. An owed source is held all the same.
    if (!transport_can_send(transport) || (transport->is_blocked && !is_owed) ||
        (!transport_is_empty(transport) && !transport_flush(transport)))
        return false;
    if (transport->turn->rules->may_send)
        return hold_for_later(transport, source, form, is_owed);
    struct gathered gathered;
    gathered.count = 0;
    gathered.source_bytes = 0;
    gather(&gathered, transport->turn->rules, source, form, 0);
    size_t sent = send_parts(transport, gathered.parts, gathered.count);
    if (!transport_can_send(transport))
        return false;
    if (sent == gathered.source_bytes)
        return true;
    bool is_held = sent > 0 || is_owed;
    if (is_held && !hold(transport, source, form, sent)) {
        transport_break(transport); // there is no memory to hold the rest
        return false;
    }
    block(transport);
    return is_held;
}
