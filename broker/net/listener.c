// SPDX-License-Identifier: Apache-2.0
#include "broker/net/listener.h"

#include "base/units.h"
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 65535 /* the kernel takes the smaller of this and net.core.somaxconn */, ACCEPT_BATCH = 64 };

// getaddrinfo takes 99999 for 34463.
static bool is_port(const char *text)
{
    int64_t port;
    return strspn(text, "0123456789") == strlen(text) && units_parse_count(text, &port) == 0 && port <= 65535;
}

int address_parse(const char *text, struct address *address, struct err *err)
{
    char host[ADDRESS_TEXT_BYTES];
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || (size_t)(colon - text) >= sizeof host)
        return err_set(err, -EINVAL, "\"%s\" is not ADDRESS:PORT, as 127.0.0.1:1883 is", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *name = host;
    size_t bytes = strlen(name);
    if (bytes >= 2 && name[0] == '[' && name[bytes - 1] == ']') {
        name[bytes - 1] = '\0';
        name++;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE},
                    *found;
    if (!is_port(colon + 1) || getaddrinfo(name[0] ? name : "127.0.0.1", colon + 1, &hints, &found) != 0)
        return err_set(err, -EINVAL,
                       "\"%s\" is not ADDRESS:PORT with a numeric address and a port up to 65535", text);
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

bool address_is_loopback(const struct address *address)
{
    if (address->storage.ss_family != AF_INET6)
        return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static uint16_t port_of(const struct address *address)
{
    if (address->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

char *address_format(const struct address *address, char text[static ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, port_of(address));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, port_of(address));
    }
    return text;
}

static int fail_with(const struct address *address, const char *what, struct err *err)
{
    int code = errno;
    char text[ADDRESS_TEXT_BYTES];
    return err_set(err, -code, "cannot %s %s: %s%s", what, address_format(address, text), strerror(code),
                   code == EADDRINUSE ? "; choose another port, or 0 for a free one" : "");
}

static int bound_socket(const struct address *address, bool is_shared, struct err *err)
{
    int on = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_with(address, "make a socket for", err);
    int code;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        code = fail_with(address, "set up a socket for", err);
        goto fail_socket;
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0) {
        code = fail_with(address, "listen on", err);
        goto fail_socket;
    }
    return fd;
fail_socket:
    close(fd);
    return code;
}

int address_probe(const struct address *address, struct err *err)
{
    int fd = bound_socket(address, false, err);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int listener_open(struct listener *listener, struct address *address, bool is_shared, struct err *err)
{
    int fd = bound_socket(address, is_shared, err);
    if (fd < 0)
        return fd;
    address->bytes = sizeof address->storage;
    if (listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address->storage, &address->bytes) < 0) {
        int code = fail_with(address, "listen on", err);
        close(fd);
        return code;
    }
    *listener = (struct listener){SOURCE_LISTENER, fd};
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}

static void welcome(struct loop *loop, int fd)
{
    if (!broker_reserve_connection(loop->broker)) {
        broker_count(&loop->counters.refused_limit, 1);
        refusals_add(loop, fd);
        return;
    }
    int code = connection_open(loop, fd);
    if (code < 0) {
        broker_release_connection(loop->broker);
        broker_count(code == -ENOMEM ? &loop->counters.refused_memory : &loop->counters.refused_pool, 1);
        refusals_add(loop, fd);
        return;
    }
    broker_count(&loop->counters.accepted, 1);
}

// No descriptor is left. One of the reserve lets one client in to be refused; without one, nobody is let in
// until the next tick: the listener stays readable, and the loop would spin.
static void refuse_without_descriptor(struct loop *loop, struct listener *listener)
{
    int fd = refusals_accept(loop, listener->fd);
    if (fd >= 0) {
        broker_count(&loop->counters.refused_descriptors, 1);
        refusals_add(loop, fd);
    } else if (fd != -EAGAIN) {
        loop_pause_accepting(loop);
    }
}

// -1 with errno when nobody waits, or when it cannot be.
static int accept_one(struct loop *loop, const struct listener *listener)
{
    pthread_rwlock_rdlock(&loop->broker->descriptors);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int code = errno;
    pthread_rwlock_unlock(&loop->broker->descriptors);
    errno = code;
    return fd;
}

void listener_on_event(struct loop *loop, struct listener *listener)
{
    int failed = 0;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept_one(loop, listener);
        if (fd >= 0) {
            welcome(loop, fd);
            continue;
        }
        switch (errno) {
        case EAGAIN:
            return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            refuse_without_descriptor(loop, listener);
            return;
        case ECONNABORTED: // the client has gone again: the next one
        case EINTR:
            break;
        default: // an error of the network that waited at the socket, or a call that is forbidden
            broker_count(&loop->counters.accepts_failed, 1);
            failed++;
            break;
        }
    }
    if (failed == ACCEPT_BATCH) // it goes on like this: not in a busy loop
        loop_pause_accepting(loop);
}
