// SPDX-License-Identifier: Apache-2.0
// The raw engine's reading and writing, and the buffers of the few clients that need one.
#include "loadgen/engines/raw_state.h"

#include "base/clock.h"

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

static int make_room(uint8_t **buffer, uint32_t *capacity, size_t max, size_t needed)
{
    if (needed > max)
        return -ENOBUFS;
    if (needed <= *capacity)
        return 0;
    size_t room = *capacity ? *capacity : 512;
    while (room < needed)
        room *= 2;
    uint8_t *grown = realloc(*buffer, room);
    if (!grown)
        return -ENOMEM;
    *buffer = grown;
    *capacity = (uint32_t)room;
    return 0;
}

static int append(uint8_t **buffer, uint32_t *count, uint32_t *capacity, const void *data, size_t bytes)
{
    int code = make_room(buffer, capacity, UINT32_MAX / 2, *count + bytes);
    if (code < 0)
        return code;
    memcpy(*buffer + *count, data, bytes);
    *count += (uint32_t)bytes;
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

// Hands bytes to the socket; what it does not take waits in the client's buffer.
static void send_now(struct engine_run *run, struct raw_client *client, const uint8_t *data, size_t bytes)
{
    size_t sent = 0;
    if (!client->extra || client->extra->out_bytes == 0) {
        ssize_t count = send(client->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count == (ssize_t)bytes)
            return;
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return; // the connection has ended: reading tells of it
        sent = count > 0 ? (size_t)count : 0;
    }
    struct raw_extra *extra = raw_extra_of(client);
    if (!extra ||
        append(&extra->out, &extra->out_bytes, &extra->out_capacity, data + sent, bytes - sent) < 0) {
        // A stream with a hole is none. Its end is told when it is read.
        (void)!shutdown(client->fd, SHUT_RDWR);
        return;
    }
    run->out_bytes += (int64_t)(bytes - sent);
    watch(run, client, true);
}

void raw_flush(struct engine_run *run)
{
    struct raw_client *client = run->gatherer;
    size_t bytes = run->gathered_bytes;
    run->gatherer = NULL;
    run->gathered_bytes = 0;
    if (client)
        send_now(run, client, run->gathered, bytes);
}

int raw_gather(struct engine_run *run, struct raw_client *client, size_t bytes, uint8_t **to)
{
    if (run->gatherer != client || run->gathered_bytes + bytes > run->gathered_capacity)
        raw_flush(run);
    // Past the bound only who has nothing waiting may go on, a packet at a time: its socket may have room.
    if (run->out_bytes + (int64_t)bytes > ENGINE_QUEUE_BYTES) {
        raw_flush(run);
        if (client->extra && client->extra->out_bytes > 0)
            return -EAGAIN;
    }
    if (bytes > run->gathered_capacity) {
        size_t capacity = bytes > RAW_GATHER ? bytes : RAW_GATHER;
        uint8_t *gathered = realloc(run->gathered, capacity);
        if (!gathered)
            return -ENOMEM;
        run->gathered = gathered;
        run->gathered_capacity = capacity;
    }
    *to = run->gathered + run->gathered_bytes;
    return 0;
}

void raw_gathered(struct engine_run *run, struct raw_client *client, size_t bytes)
{
    run->gatherer = client;
    run->gathered_bytes += bytes;
}

int raw_send(struct engine_run *run, struct raw_client *client, const void *data, size_t bytes)
{
    uint8_t *to;
    int code = raw_gather(run, client, bytes, &to);
    if (code < 0)
        return code;
    memcpy(to, data, bytes);
    raw_gathered(run, client, bytes);
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

// Keeps the beginning of a packet whose end has not come.
static void keep_rest(struct engine_run *run, struct raw_client *client, const uint8_t *rest, size_t bytes)
{
    struct raw_extra *extra = bytes > 0 ? raw_extra_of(client) : client->extra;
    if (!extra && bytes == 0)
        return;
    if (!extra || make_room(&extra->in, &extra->in_capacity, IN_MAX + RAW_SCRATCH, bytes) < 0) {
        raw_lose(run, client, REASON_NO_MEMORY);
        return;
    }
    if (bytes > 0)
        memmove(extra->in, rest, bytes); // it may lie in there already
    extra->in_bytes = (uint32_t)bytes;
    if (bytes == 0)
        raw_extra_tidy(client);
}

// Where to read to: behind what there is of a packet that has begun. That is moved in front of the next
// bytes, so that whole packets are handled where they were received. A long one grows where it is kept.
static uint8_t *place_to_read(struct engine_run *run, struct raw_client *client, size_t *begun)
{
    struct raw_extra *extra = client->extra;
    *begun = extra ? extra->in_bytes : 0;
    if (*begun == 0)
        return run->scratch;
    if (*begun <= RAW_SCRATCH) {
        memcpy(run->scratch, extra->in, *begun);
        return run->scratch;
    }
    if (make_room(&extra->in, &extra->in_capacity, IN_MAX + RAW_SCRATCH, *begun + RAW_SCRATCH) < 0)
        return NULL;
    return extra->in;
}

void raw_readable(struct engine_run *run, struct raw_client *client)
{
    size_t begun;
    uint8_t *data = place_to_read(run, client, &begun);
    ssize_t count = data ? recv(client->fd, data + begun, RAW_SCRATCH, MSG_DONTWAIT) : 0;
    // After the bytes have arrived, and before they are handled: one time for all of them, and no latency is
    // shorter than it was.
    run->now_ns = clock_now_ns();
    if (!data) {
        raw_lose(run, client, REASON_NO_MEMORY);
    } else if (count > 0) {
        ssize_t used = take_packets(run, client, data, begun + (size_t)count);
        if (used >= 0)
            keep_rest(run, client, data + used, begun + (size_t)count - (size_t)used);
        raw_flush(run); // acknowledgements, together
    } else if (count == 0) {
        raw_lose(run, client, REASON_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        raw_lose(run, client, tally_reason_of_errno(errno));
    }
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
