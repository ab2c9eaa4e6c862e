// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Each loop has its own socket for each address (SO_REUSEPORT). The kernel spreads the
// clients over these sockets.
#ifndef POOLMARK_BROKER_NET_LISTENER_H
#define POOLMARK_BROKER_NET_LISTENER_H

#include "base/address.h"

#include <stdint.h>

struct listener {
    uint8_t source; // SOURCE_LISTENER: the epoll events of fd point here
    int fd;
};

// Fails when another process listens at `address` already. Without this check, SO_REUSEPORT would let two
// brokers share a port silently. 0, or -errno with the text in `err`.
int listener_probe(const struct address *address, struct err *err) __attribute__((warn_unused_result));

// Binds a non-blocking socket and listens. If the port in `address` is 0, it is set to the port that the
// kernel chose. Accepted sockets inherit TCP_NODELAY. 0, or -errno with the text in `err`.
int listener_open(struct listener *listener, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));
void listener_close(struct listener *listener);

#endif
