// SPDX-License-Identifier: Apache-2.0
// A network address with a port, parsed from text and formatted as text.
#ifndef POOLMARK_BASE_ADDRESS_H
#define POOLMARK_BASE_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

enum { ADDRESS_TEXT_BYTES = 64 };

// Takes "127.0.0.1:1883", "[::1]:0" or ":1883" (127.0.0.1). 0, or -EINVAL with the text in `err`.
int address_parse(const char *text, struct address *address, struct err *err)
    __attribute__((warn_unused_result));
bool address_is_loopback(const struct address *address);
// Whether a listener could be opened there now. 0, or -errno (EADDRINUSE, EADDRNOTAVAIL, EACCES).
int address_is_free(const struct address *address) __attribute__((warn_unused_result));
char *address_format(const struct address *address, char text[static ADDRESS_TEXT_BYTES]);

#endif
