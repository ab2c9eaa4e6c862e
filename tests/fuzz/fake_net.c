// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fake_net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FIRST_FD = 2000, // the process's own are below
    QUEUE_BYTES = 1 << 20,
    SPIN_MOST = 20000, // turns in a row without the driver
};

enum kind { FREE, LISTENER, SOCKET, EPOLL, EVENT, COPY };

struct descriptor {
    enum kind kind;
    int client;     // of a SOCKET
    uint64_t count; // of an EVENT
    bool is_watched;
    struct epoll_event interest;
};

// One connection of a client.
struct client {
    bool is_connected, is_accepted, is_closed, is_shut; // the last two: by the broker
    bool is_finished, is_reset, is_deaf;                // by the client; deaf: it reads nothing any more
    bool told_reset;
    size_t used, at; // queue[at .. used): sent by the client and not received
    size_t room;
    uint8_t *queue; // QUEUE_BYTES; kept over inputs
};

static struct {
    bool is_open;
    struct net_rules rules;
    struct descriptor fds[NET_DESCRIPTORS_MAX];
    struct client clients[NET_CLIENTS];
    int waiting[NET_CLIENTS], waiting_count; // for accept, in order
    int64_t now_ns;
    void *(*run)(void *context); // the loop's thread
    void *run_context;
    int spins;
} net;

// The linker calls it in the place of `call`.
#define WRAPPED(type, call, ...)                                                                             \
    type __wrap_##call(__VA_ARGS__);                                                                         \
    type __wrap_##call(__VA_ARGS__)

_Noreturn void fake_net_fail(const char *what)
{
    fprintf(stderr, "fuzz_connection: %s\n", what);
    abort();
}

static struct descriptor *find(int fd)
{
    bool is_ours = net.is_open && fd >= FIRST_FD && fd < FIRST_FD + NET_DESCRIPTORS_MAX;
    return is_ours && net.fds[fd - FIRST_FD].kind != FREE ? &net.fds[fd - FIRST_FD] : NULL;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int new_fd(enum kind kind)
{
    for (int i = 0; i < net.rules.descriptors; i++)
        if (net.fds[i].kind == FREE) {
            net.fds[i] = (struct descriptor){.kind = kind};
            return FIRST_FD + i;
        }
    return fail(EMFILE);
}

static struct client *client_of(const struct descriptor *descriptor)
{
    return &net.clients[descriptor->client];
}

// --- the clients' side -------------------------------------------------------------------------------------

void fake_net_open(const struct net_rules *rules)
{
    for (int i = 0; i < NET_CLIENTS; i++) {
        uint8_t *queue = net.clients[i].queue ? net.clients[i].queue : malloc(QUEUE_BYTES);
        if (!queue)
            fake_net_fail("no memory for the test itself");
        net.clients[i] = (struct client){.queue = queue};
    }
    memset(net.fds, 0, sizeof net.fds);
    net.rules = *rules;
    net.waiting_count = net.spins = 0;
    net.now_ns = INT64_C(1000000000);
    net.run = NULL;
    net.is_open = true;
}

void fake_net_run(void)
{
    net.run(net.run_context);
}

void fake_net_close(void)
{
    for (int i = 0; i < NET_DESCRIPTORS_MAX; i++)
        if (net.fds[i].kind != FREE)
            fake_net_fail("a descriptor is open after the end");
    net.is_open = false;
}

void fake_net_advance(int64_t ns)
{
    net.now_ns += ns;
}

bool fake_net_is_open(int client)
{
    return net.clients[client].is_connected && !net.clients[client].is_closed;
}

void fake_net_connect(int client)
{
    struct client *one = &net.clients[client];
    if (fake_net_is_open(client))
        return;
    *one = (struct client){.is_connected = true, .room = NET_ROOM_ANY, .queue = one->queue};
    net.waiting[net.waiting_count++] = client;
    net.rules.on_connected(net.rules.context, client);
}

size_t fake_net_send(int client, const uint8_t *data, size_t bytes)
{
    struct client *one = &net.clients[client];
    if (!fake_net_is_open(client) || one->is_finished || one->is_reset)
        return 0;
    if (one->at == one->used)
        one->at = one->used = 0;
    size_t room = QUEUE_BYTES - one->used;
    bytes = bytes < room ? bytes : room;
    memcpy(one->queue + one->used, data, bytes);
    one->used += bytes;
    return bytes;
}

void fake_net_finish(int client, bool reads_on)
{
    net.clients[client].is_finished = true;
    net.clients[client].is_deaf = net.clients[client].is_deaf || !reads_on;
}

void fake_net_reset(int client)
{
    net.clients[client].is_reset = true;
}

void fake_net_set_room(int client, size_t bytes)
{
    net.clients[client].room = bytes;
}

// --- readiness ---------------------------------------------------------------------------------------------

static uint32_t ready(const struct descriptor *descriptor)
{
    if (descriptor->kind == LISTENER)
        return net.waiting_count > 0 ? EPOLLIN : 0;
    if (descriptor->kind == EVENT)
        return descriptor->count > 0 ? EPOLLIN : 0;
    if (descriptor->kind != SOCKET)
        return 0;
    const struct client *client = client_of(descriptor);
    uint32_t events = client->used > client->at || client->is_finished ? EPOLLIN : 0;
    if (client->room > 0)
        events |= EPOLLOUT;
    if (client->is_reset)
        events |= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP;
    if (client->is_finished && client->is_shut)
        events |= EPOLLHUP;
    return events;
}

static int gather(struct epoll_event *events, int most)
{
    int count = 0, last = net.rules.descriptors - 1;
    for (int i = 0; i <= last && count < most; i++) {
        const struct descriptor *descriptor = &net.fds[net.rules.is_reversed ? last - i : i];
        if (descriptor->kind == FREE || !descriptor->is_watched)
            continue;
        uint32_t now = ready(descriptor) & (descriptor->interest.events | EPOLLERR | EPOLLHUP);
        if (now)
            events[count++] = (struct epoll_event){.events = now, .data = descriptor->interest.data};
    }
    return count;
}

WRAPPED(int, epoll_wait, int epoll_fd, struct epoll_event *events, int most, int wait_ms)
{
    (void)epoll_fd;
    if (++net.spins > SPIN_MOST)
        fake_net_fail("the loop spins");
    for (;;) {
        int count = gather(events, most);
        if (count > 0 || wait_ms == 0)
            return count;
        net.spins = 0;
        switch (net.rules.driver(net.rules.context)) {
        case NET_LOOK:
            break;
        case NET_TURN:
            return gather(events, most);
        case NET_END:
            return fail(EBADF);
        }
    }
}

WRAPPED(int, epoll_create1, int flags)
{
    (void)flags;
    return new_fd(EPOLL);
}

WRAPPED(int, epoll_ctl, int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct descriptor *descriptor = find(fd);
    (void)epoll_fd;
    if (!descriptor)
        fake_net_fail("epoll_ctl with a descriptor that is closed");
    if (descriptor->is_watched == (operation == EPOLL_CTL_ADD))
        return fail(operation == EPOLL_CTL_ADD ? EEXIST : ENOENT);
    descriptor->is_watched = operation != EPOLL_CTL_DEL;
    if (event)
        descriptor->interest = *event;
    return 0;
}

// --- sockets -----------------------------------------------------------------------------------------------

WRAPPED(int, socket, int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    return new_fd(LISTENER);
}

WRAPPED(int, setsockopt, int fd, int level, int name, const void *value, socklen_t bytes)
{
    (void)fd, (void)level, (void)name, (void)value, (void)bytes;
    return 0;
}

WRAPPED(int, bind, int fd, const struct sockaddr *address, socklen_t bytes)
{
    (void)fd, (void)address, (void)bytes;
    return 0;
}

WRAPPED(int, listen, int fd, int backlog)
{
    (void)fd, (void)backlog;
    return 0;
}

WRAPPED(int, getsockname, int fd, struct sockaddr *address, socklen_t *bytes)
{
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(1883)};
    (void)fd;
    memcpy(address, &made, sizeof made);
    *bytes = sizeof made;
    return 0;
}

// All clients have one address.
WRAPPED(int, getpeername, int fd, struct sockaddr *address, socklen_t *bytes)
{
    return __wrap_getsockname(fd, address, bytes);
}

WRAPPED(int, accept4, int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    (void)fd, (void)address, (void)bytes, (void)flags;
    if (net.waiting_count == 0)
        return fail(EAGAIN);
    int accepted = new_fd(SOCKET);
    if (accepted < 0)
        return -1;
    int client = net.waiting[0];
    net.waiting_count--;
    memmove(net.waiting, net.waiting + 1, (size_t)net.waiting_count * sizeof net.waiting[0]);
    find(accepted)->client = client;
    net.clients[client].is_accepted = true;
    return accepted;
}

static struct client *socket_of(int fd)
{
    const struct descriptor *descriptor = find(fd);
    if (!descriptor || descriptor->kind != SOCKET)
        fake_net_fail("a socket call with a descriptor that is none");
    return client_of(descriptor);
}

WRAPPED(ssize_t, recv, int fd, void *to, size_t bytes, int flags)
{
    struct client *client = socket_of(fd);
    size_t there = client->used - client->at;
    if (bytes == 0)
        fake_net_fail("recv into no room: 0 would look like the end");
    if (there > 0) {
        bytes = bytes < there ? bytes : there;
        memcpy(to, client->queue + client->at, bytes);
        client->at += flags & MSG_PEEK ? 0 : bytes;
        return (ssize_t)bytes;
    }
    if (client->is_reset && !client->told_reset) {
        client->told_reset = !(flags & MSG_PEEK);
        return fail(ECONNRESET);
    }
    return client->is_finished || client->is_reset ? 0 : fail(EAGAIN);
}

static ssize_t send_parts(int fd, const struct iovec *parts, size_t count)
{
    struct client *client = socket_of(fd);
    ssize_t sent = 0;
    if (client->is_reset || client->is_shut)
        return fail(EPIPE);
    if (client->room == 0)
        return fail(EAGAIN);
    for (size_t i = 0; i < count && client->room > 0; i++) {
        size_t bytes = parts[i].iov_len < client->room ? parts[i].iov_len : client->room;
        if (bytes > 0 && !client->is_deaf)
            net.rules.on_output(net.rules.context, (int)(client - net.clients), parts[i].iov_base, bytes);
        client->room -= client->room == NET_ROOM_ANY ? 0 : bytes;
        sent += (ssize_t)bytes;
    }
    if (client->is_deaf)
        client->is_reset = true; // its system answers so
    return sent;
}

WRAPPED(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    (void)flags;
    return send_parts(fd, message->msg_iov, message->msg_iovlen);
}

WRAPPED(ssize_t, send, int fd, const void *from, size_t bytes, int flags)
{
    struct iovec part = {(void *)(uintptr_t)from, bytes};
    (void)flags;
    return send_parts(fd, &part, 1);
}

WRAPPED(int, shutdown, int fd, int how)
{
    (void)how;
    socket_of(fd)->is_shut = true;
    return 0;
}

WRAPPED(int, ioctl, int fd, unsigned long request, ...) // FIONREAD
{
    va_list rest;
    va_start(rest, request);
    int *arrived = va_arg(rest, int *);
    va_end(rest);
    const struct client *client = socket_of(fd);
    *arrived = (int)(client->used - client->at);
    return 0;
}

// --- other descriptors -------------------------------------------------------------------------------------

static void release(struct descriptor *descriptor)
{
    if (descriptor->kind == SOCKET)
        client_of(descriptor)->is_closed = true;
    *descriptor = (struct descriptor){.kind = FREE};
}

int __real_close(int fd);
WRAPPED(int, close, int fd)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor && net.is_open && fd >= FIRST_FD)
        fake_net_fail("a descriptor is closed twice");
    if (!descriptor)
        return __real_close(fd);
    release(descriptor);
    return 0;
}

int __real_fcntl(int fd, int command, ...);
WRAPPED(int, fcntl, int fd, int command, ...) // F_DUPFD_CLOEXEC
{
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    return find(fd) ? new_fd(COPY) : __real_fcntl(fd, command, argument);
}

WRAPPED(int, dup3, int from, int to, int flags)
{
    struct descriptor *descriptor = find(to);
    (void)flags;
    if (!find(from) || !descriptor)
        fake_net_fail("dup3 with a descriptor that is closed");
    release(descriptor);
    descriptor->kind = COPY;
    return to;
}

WRAPPED(int, eventfd, unsigned count, int flags)
{
    int fd = new_fd(EVENT);
    (void)flags;
    if (fd >= 0)
        find(fd)->count = count;
    return fd;
}

ssize_t __real_read(int fd, void *to, size_t bytes);
WRAPPED(ssize_t, read, int fd, void *to, size_t bytes)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return __real_read(fd, to, bytes);
    if (descriptor->count == 0)
        return fail(EAGAIN);
    memcpy(to, &descriptor->count, sizeof descriptor->count);
    descriptor->count = 0;
    return sizeof descriptor->count;
}

ssize_t __real_write(int fd, const void *from, size_t bytes);
WRAPPED(ssize_t, write, int fd, const void *from, size_t bytes)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return __real_write(fd, from, bytes);
    descriptor->count++;
    return sizeof(uint64_t);
}

// --- threads and time --------------------------------------------------------------------------------------

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
WRAPPED(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
        void *context)
{
    if (!net.is_open)
        return __real_pthread_create(thread, attributes, run, context);
    net.run = run;
    net.run_context = context;
    *thread = pthread_self();
    return 0;
}

int __real_pthread_join(pthread_t thread, void **result);
WRAPPED(int, pthread_join, pthread_t thread, void **result)
{
    return net.is_open ? 0 : __real_pthread_join(thread, result);
}

WRAPPED(int64_t, clock_now_ns, void)
{
    return net.now_ns;
}

WRAPPED(int64_t, clock_coarse_ns, void)
{
    return net.now_ns;
}
