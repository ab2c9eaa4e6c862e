// SPDX-License-Identifier: Apache-2.0
// The raw engine's writes. Packets of one client are gathered and sent together. Bytes that its socket does
// not take wait.
#include "loadgen/engines/raw_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int append(uint8_t **buffer, uint32_t *count, uint32_t *capacity, const void *data, size_t bytes)
{
    int code = raw_make_room(buffer, capacity, UINT32_MAX / 2, *count + bytes);
    if (code < 0)
        return code;
    memcpy(*buffer + *count, data, bytes);
    *count += (uint32_t)bytes;
    return 0;
}

int raw_keep_unsent(struct engine_run *run, struct raw_client *client, const void *data, size_t bytes)
{
    struct raw_extra *extra = raw_extra_of(client);
    int code = extra ? append(&extra->out, &extra->out_bytes, &extra->out_capacity, data, bytes) : -ENOMEM;
    if (code < 0)
        return code;
    run->out_bytes += (int64_t)bytes;
    client->flags |= RAW_WANTS_WRITE;
    return 0;
}

void raw_watch(struct engine_run *run, const struct raw_client *client)
{
    uint32_t in = client->flags & RAW_SLOW ? 0 : EPOLLIN,
             out = client->flags & RAW_WANTS_WRITE ? EPOLLOUT : 0;
    struct epoll_event event = {.events = in | out, .data.u32 = raw_number(run, client)};
    // Cannot fail for a descriptor that is in the set.
    (void)!epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void watch(struct engine_run *run, struct raw_client *client, bool write)
{
    bool now = client->flags & RAW_WANTS_WRITE;
    if (now == write)
        return;
    client->flags = (uint8_t)(write ? client->flags | RAW_WANTS_WRITE : client->flags & ~RAW_WANTS_WRITE);
    raw_watch(run, client);
}

// Sends bytes. Those that the socket does not take wait in the client's buffer.
static void send_now(struct engine_run *run, struct raw_client *client, const uint8_t *data, size_t bytes)
{
    size_t sent = 0;
    if (!client->extra || client->extra->out_bytes == 0) {
        ssize_t count = send(client->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        run->sent_bytes += count > 0 ? count : 0;
        if (count == (ssize_t)bytes)
            return;
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return; // the connection has ended: the next read reports it
        sent = count > 0 ? (size_t)count : 0;
    }
    struct raw_extra *extra = raw_extra_of(client);
    if (!extra ||
        append(&extra->out, &extra->out_bytes, &extra->out_capacity, data + sent, bytes - sent) < 0) {
        // A stream with a gap is broken: end it. The next read reports the end.
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
    run->model.header_bytes = 0;
    if (client)
        send_now(run, client, run->gathered, bytes);
}

int raw_gather(struct engine_run *run, struct raw_client *client, size_t bytes, uint8_t **to)
{
    if (run->gatherer != client || run->gathered_bytes + bytes > run->gathered_capacity)
        raw_flush(run);
    // Beyond the bound only a client without waiting bytes may send, a packet at a time: its socket may have
    // room.
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

int raw_ask_for_pong(struct engine_run *run, struct raw_client *client)
{
    static const uint8_t pingreq[] = {MQTT_PINGREQ << 4, 0};
    int code = raw_send(run, client, pingreq, sizeof pingreq);
    if (code == 0 && client->pings < RAW_PINGS_MAX)
        client->pings++;
    return code;
}

void raw_writable(struct engine_run *run, struct raw_client *client)
{
    struct raw_extra *extra = client->extra;
    if (extra && extra->out_bytes > 0) {
        ssize_t count = send(client->fd, extra->out, extra->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            return; // not yet, or the next read reports why
        run->sent_bytes += count;
        memmove(extra->out, extra->out + count, extra->out_bytes - (size_t)count);
        extra->out_bytes -= (uint32_t)count;
        run->out_bytes -= count;
        if (extra->out_bytes > 0)
            return;
    }
    watch(run, client, false);
    raw_extra_tidy(client);
}
