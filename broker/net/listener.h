// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Each loop has one of its own for every address (SO_REUSEPORT), and the kernel spreads
// the clients over them.
#ifndef POOLMARK_BROKER_NET_LISTENER_H
#define POOLMARK_BROKER_NET_LISTENER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;

struct address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

enum { ADDRESS_TEXT_BYTES = 64 };

// "127.0.0.1:1883", "[::1]:0", ":1883" (127.0.0.1). -EINVAL with the text in `err`.
int address_parse(const char *text, struct address *address, struct err *err)
    __attribute__((warn_unused_result));
bool address_is_loopback(const struct address *address);
char *address_format(const struct address *address, char text[static ADDRESS_TEXT_BYTES]);

// Is anybody listening there already? SO_REUSEPORT alone would let two brokers share the port without a word.
int address_probe(const struct address *address, struct err *err) __attribute__((warn_unused_result));

struct listener {
    uint8_t source; // SOURCE_LISTENER
    int fd;
};

// Binds and listens; `address` gets the port when it was 0. Non-blocking, TCP_NODELAY for what it accepts.
int listener_open(struct listener *listener, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));
void listener_close(struct listener *listener);

// Accepts a batch.
void listener_on_event(struct loop *loop, struct listener *listener);

#endif
