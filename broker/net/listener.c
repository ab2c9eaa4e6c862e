// SPDX-License-Identifier: Apache-2.0
#include "broker/net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 65535 /* the kernel takes the smaller of this and net.core.somaxconn */ };

// `call` failed, with errno.
static int fail_with(const struct address *address, const char *call, struct err *err)
{
    int code = errno;
    char text[ADDRESS_TEXT_BYTES];
    return err_set(err, -code, "cannot listen on %s: %s: %s%s", address_format(address, text), call,
                   strerror(code), code == EADDRINUSE ? "; choose another port, or 0 for a free one" : "");
}

static int bound_socket(const struct address *address, bool is_shared, struct err *err)
{
    int on = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_with(address, "socket", err);
    int code;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        code = fail_with(address, "setsockopt", err);
        goto fail_socket;
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0) {
        code = fail_with(address, "bind", err);
        goto fail_socket;
    }
    return fd;
fail_socket:
    close(fd);
    return code;
}

int listener_probe(const struct address *address, struct err *err)
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
    int code;
    if (listen(fd, BACKLOG) < 0) {
        code = fail_with(address, "listen", err);
        goto fail_socket;
    }
    address->bytes = sizeof address->storage;
    if (getsockname(fd, (struct sockaddr *)&address->storage, &address->bytes) < 0) {
        code = fail_with(address, "getsockname", err);
        goto fail_socket;
    }
    listener->fd = fd;
    return 0;
fail_socket:
    close(fd);
    return code;
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}
