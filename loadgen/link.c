// SPDX-License-Identifier: Apache-2.0
#include "loadgen/link.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

struct head {
    uint32_t count;
    int16_t kind, rank;
};

void link_open(struct link *link, int fd)
{
    *link = (struct link){.fd = fd};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        link->failed = -errno;
}

void link_close(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    free(link->in.bytes);
    free(link->out.bytes);
    *link = (struct link){.fd = -1, .failed = -EBADF};
}

// Room for `count` more bytes behind `to`.
static int make_room(struct link_buffer *buffer, size_t count)
{
    if (buffer->from > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->from, buffer->to - buffer->from);
        buffer->to -= buffer->from;
        buffer->from = 0;
    }
    if (buffer->room - buffer->to >= count)
        return 0;
    size_t room = buffer->room > 0 ? buffer->room : READ_BYTES;
    while (room - buffer->to < count)
        room *= 2;
    char *bytes = realloc(buffer->bytes, room);
    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

static void put(struct link_buffer *buffer, const void *bytes, size_t count)
{
    if (count > 0)
        memcpy(buffer->bytes + buffer->to, bytes, count);
    buffer->to += count;
}

static int fail(struct link *link, int code)
{
    link->failed = link->failed < 0 ? link->failed : code;
    return link->failed;
}

int link_flush(struct link *link)
{
    struct link_buffer *out = &link->out;
    while (link->failed == 0 && out->from < out->to) {
        ssize_t sent = send(link->fd, out->bytes + out->from, out->to - out->from, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? 0 : fail(link, -errno);
        out->from += (size_t)sent;
    }
    return link->failed;
}

int link_send(struct link *link, int kind, int rank, const void *bytes, size_t count)
{
    if (link->failed < 0)
        return link->failed;
    struct head head = {.count = (uint32_t)count, .kind = (int16_t)kind, .rank = (int16_t)rank};
    if (count > LINK_FRAME_MAX)
        return -EMSGSIZE;
    if (make_room(&link->out, sizeof head + count) < 0)
        return fail(link, -ENOMEM);
    put(&link->out, &head, sizeof head);
    put(&link->out, bytes, count);
    return link_flush(link);
}

int link_drain(struct link *link, int64_t limit_ns)
{
    int64_t until_ns = clock_now_ns() + limit_ns;
    while (link_flush(link) == 0 && link->out.from < link->out.to) {
        if (clock_now_ns() >= until_ns)
            return -ETIMEDOUT;
        struct pollfd wait = {.fd = link->fd, .events = POLLOUT};
        poll(&wait, 1, 10);
    }
    return link->failed;
}

static bool take(struct link *link, struct link_frame *frame)
{
    struct link_buffer *in = &link->in;
    struct head head;
    if (in->to - in->from < sizeof head)
        return false;
    memcpy(&head, in->bytes + in->from, sizeof head);
    if (head.count > LINK_FRAME_MAX) {
        fail(link, -EPROTO);
        return false;
    }
    if (in->to - in->from < sizeof head + head.count)
        return false;
    *frame = (struct link_frame){.kind = head.kind,
                                 .rank = head.rank,
                                 .bytes = in->bytes + in->from + sizeof head,
                                 .count = head.count};
    in->from += sizeof head + head.count;
    return true;
}

int link_next(struct link *link, struct link_frame *frame)
{
    if (take(link, frame))
        return 1;
    while (link->failed == 0) {
        if (make_room(&link->in, READ_BYTES) < 0)
            return fail(link, -ENOMEM);
        ssize_t got = recv(link->fd, link->in.bytes + link->in.to, READ_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return 0;
        if (got <= 0)
            return fail(link, got < 0 ? -errno : -EPIPE);
        link->in.to += (size_t)got;
        if (take(link, frame))
            return 1;
    }
    return link->failed;
}

void link_wait(const struct link *link, int64_t limit_ns)
{
    bool kept = link->out.from < link->out.to;
    struct pollfd wait = {.fd = link->fd, .events = (short)(POLLIN | (kept ? POLLOUT : 0))};
    struct timespec time = {.tv_sec = limit_ns / NS_PER_S, .tv_nsec = limit_ns % NS_PER_S};
    ppoll(&wait, 1, &time, NULL);
}
