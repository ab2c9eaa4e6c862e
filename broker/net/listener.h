// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Each loop has one of its own for every address (SO_REUSEPORT). The kernel spreads the
// clients over them.
#ifndef POOLMARK_BROKER_NET_LISTENER_H
#define POOLMARK_BROKER_NET_LISTENER_H

#include "broker/net/address.h"

#include <stdint.h>

struct listener {
    uint8_t source; // SOURCE_LISTENER: the epoll events of fd point here
    int fd;
};

// Does anybody listen there already? SO_REUSEPORT alone would let two brokers share the port without a word.
// 0, or -errno with the text in `err`.
int listener_probe(const struct address *address, struct err *err) __attribute__((warn_unused_result));

// Binds and listens; `address` gets the port when it was 0. Non-blocking, TCP_NODELAY for what it accepts.
int listener_open(struct listener *listener, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));
void listener_close(struct listener *listener);

#endif
