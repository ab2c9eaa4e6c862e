// SPDX-License-Identifier: Apache-2.0
// The raw engine's reading and writing, and the buffers of the few clients that need one.
#include "loadgen/engines/raw_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    IN_MAX = 32 << 20, // a packet longer than this is none of ours
    READS_MAX = 256,   // of RAW_SCRATCH each, before a client is judged
};

struct raw_extra *raw_extra_of(struct raw_client *client)
{
    if (!client->extra)
        client->extra = calloc(1, sizeof *client->extra);
    return client->extra;
}

void raw_extra_tidy(struct raw_client *client)
{
    struct raw_extra *extra = client->extra;
    if (!extra || extra->in_bytes > 0 || extra->out_bytes > 0 || extra->received_count > 0)
        return;
    free(extra->in);
    free(extra->out);
    extra->in = extra->out = NULL;
    extra->in_capacity = extra->out_capacity = 0;
    if (extra->flight_capacity > 0)
        return; // a publisher keeps its table
    free(extra->received);
    free(extra);
    client->extra = NULL;
}

static int append(uint8_t **buffer, uint32_t *count, uint32_t *capacity, uint32_t max, const void *data,
                  size_t bytes)
{
    size_t needed = *count + bytes;
    if (needed > max)
        return -ENOBUFS;
    if (needed > *capacity) {
        size_t room = *capacity ? *capacity : 512;
        while (room < needed)
            room *= 2;
        uint8_t *grown = realloc(*buffer, room);
        if (!grown)
            return -ENOMEM;
        *buffer = grown;
        *capacity = (uint32_t)room;
    }
    memcpy(*buffer + *count, data, bytes);
    *count = (uint32_t)needed;
    return 0;
}

static void watch(struct engine_run *run, struct raw_client *client, bool write)
{
    bool now = client->flags & RAW_WANTS_WRITE;
    if (now == write)
        return;
    client->flags = (uint8_t)(write ? client->flags | RAW_WANTS_WRITE : client->flags & ~RAW_WANTS_WRITE);
    struct epoll_event event = {.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.u32 = raw_number(run, client)};
    // Cannot fail for a descriptor that is in the set.
    (void)!epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

int raw_send(struct engine_run *run, struct raw_client *client, const void *data, size_t bytes)
{
    size_t sent = 0;
    if (!client->extra || client->extra->out_bytes == 0) {
        ssize_t count = send(client->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count == (ssize_t)bytes)
            return 0;
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return -errno; // reading will tell of it too
        sent = count > 0 ? (size_t)count : 0;
    }
    struct raw_extra *extra = raw_extra_of(client);
    if (!extra)
        return -ENOMEM;
    // A packet that has begun has to go on; another may be left out.
    if (sent == 0 && run->out_bytes > 0 && run->out_bytes + (int64_t)bytes > ENGINE_QUEUE_BYTES)
        return -EAGAIN;
    int code = append(&extra->out, &extra->out_bytes, &extra->out_capacity, UINT32_MAX,
                      (const uint8_t *)data + sent, bytes - sent);
    if (code < 0)
        return code;
    run->out_bytes += (int64_t)(bytes - sent);
    watch(run, client, true);
    return 0;
}

void raw_writable(struct engine_run *run, struct raw_client *client)
{
    struct raw_extra *extra = client->extra;
    if (extra && extra->out_bytes > 0) {
        ssize_t count = send(client->fd, extra->out, extra->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            return; // not yet, or reading tells why
        memmove(extra->out, extra->out + count, extra->out_bytes - (size_t)count);
        extra->out_bytes -= (uint32_t)count;
        run->out_bytes -= count;
        if (extra->out_bytes > 0)
            return;
    }
    watch(run, client, false);
    raw_extra_tidy(client);
}

// Handles every whole packet in `data`; gives the bytes used, or -1 when the client was ended.
static ssize_t take_packets(struct engine_run *run, struct raw_client *client, const uint8_t *data,
                            size_t bytes)
{
    size_t used = 0;
    while (used < bytes) {
        struct mqtt_frame frame;
        size_t needed;
        enum mqtt_error error = mqtt_frame_decode(data + used, bytes - used, IN_MAX, &frame, &needed);
        if (error == MQTT_INCOMPLETE)
            break;
        if (error != MQTT_OK || !mqtt_server_sends(frame.type)) {
            raw_lose(run, client, REASON_PROTOCOL);
            return -1;
        }
        if (!raw_packet(run, client, &frame))
            return -1;
        used += needed;
    }
    return (ssize_t)used;
}

static void take_bytes(struct engine_run *run, struct raw_client *client, size_t bytes)
{
    const uint8_t *data = run->scratch;
    bool buffered = client->extra && client->extra->in_bytes > 0;
    if (buffered) {
        struct raw_extra *extra = client->extra;
        if (append(&extra->in, &extra->in_bytes, &extra->in_capacity, IN_MAX + RAW_SCRATCH, run->scratch,
                   bytes) < 0) {
            raw_lose(run, client, REASON_NO_MEMORY);
            return;
        }
        data = extra->in;
        bytes = extra->in_bytes;
    }
    ssize_t used = take_packets(run, client, data, bytes);
    if (used < 0)
        return;
    if (buffered) {
        struct raw_extra *extra = client->extra;
        memmove(extra->in, extra->in + used, bytes - (size_t)used);
        extra->in_bytes = (uint32_t)(bytes - (size_t)used);
        raw_extra_tidy(client);
    } else if ((size_t)used < bytes) {
        struct raw_extra *extra = raw_extra_of(client);
        if (!extra || append(&extra->in, &extra->in_bytes, &extra->in_capacity, IN_MAX + RAW_SCRATCH,
                             data + used, bytes - (size_t)used) < 0)
            raw_lose(run, client, REASON_NO_MEMORY);
    }
}

void raw_readable(struct engine_run *run, struct raw_client *client)
{
    ssize_t count = recv(client->fd, run->scratch, RAW_SCRATCH, MSG_DONTWAIT);
    if (count > 0)
        take_bytes(run, client, (size_t)count);
    else if (count == 0)
        raw_lose(run, client, REASON_CLOSED);
    else if (errno != EAGAIN && errno != EINTR)
        raw_lose(run, client, tally_reason_of_errno(errno));
}

void raw_read_all(struct engine_run *run, struct raw_client *client)
{
    int left = 1; // reading once also tells of an end
    for (int i = 0; i < READS_MAX && left > 0 && client->fd >= 0; i++) {
        raw_readable(run, client);
        if (client->fd < 0 || ioctl(client->fd, FIONREAD, &left) < 0)
            return;
    }
}

// Small packets go out when they are written, not when the one before is acknowledged (RFC 896).
void raw_no_delay(struct raw_client *client)
{
    if (client->flags & RAW_NO_DELAY)
        return;
    int on = 1;
    (void)!setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->flags |= RAW_NO_DELAY;
}
