// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of this network namespace, one row each, as the kernel lists them (NETLINK_SOCK_DIAG, no privilege).
// Connections that ended a while ago (TIME-WAIT) are among them, listening sockets and handshakes are not. Any thread.
//
//     if (sockdiag_count() <= 50000)
//         code = sockdiag_list((struct sockdiag_ports){1883, 1883}, visit, context);        // visit(context, &row) for each
//
// Sockets that have ended are told one by one, with what they had carried (as `ss -E` shows; Linux 4.4): also those that
// no list has, such as one that was reset. While somebody listens, each end costs the kernel some microseconds more.
//
//     int fd = sockdiag_ends_open();
//     code = sockdiag_ends_read(fd, visit, context);         // now and then; -ENOBUFS: some were lost, read again
//     close(fd);
#ifndef POOLMARK_BASE_SOCKDIAG_H
#define POOLMARK_BASE_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

struct sockdiag_end {
    uint8_t address[16]; // IPv4 as mapped IPv6
    uint16_t port;
};

struct sockdiag_row {
    struct sockdiag_end local, peer;
    bool established;
    uint64_t inode;  // 0: no process has it
    uint64_t cookie; // no other socket has it, or had
    int64_t bytes;   // received, and sent and acknowledged; -1: not known
    int64_t backlog; // of one that listens: how many connections its accept queue holds; of others -1
};

// TCP sockets in use and in TIME-WAIT; -1: not known. Costs much less than the list.
int64_t sockdiag_count(void);

struct sockdiag_ports {
    uint16_t first, last; // {0, 65535}: all
};

// Those with either port in the range: the kernel looks at all sockets, and gives these. 0, or -errno when the kernel gives no list. Rows that came before the error were visited.
int sockdiag_list(struct sockdiag_ports ports, void (*visit)(void *context, const struct sockdiag_row *row),
                  void *context) __attribute__((warn_unused_result));

// Those that listen. As above.
int sockdiag_listeners(void (*visit)(void *context, const struct sockdiag_row *row), void *context)
    __attribute__((warn_unused_result));

// Listens from now on to the ends of the TCP sockets of this network namespace. A descriptor that does not block, which
// the caller closes; -errno when the kernel does not tell.
int sockdiag_ends_open(void) __attribute__((warn_unused_result));
// Visits those that have ended since the last call, by both their ends, as rows that are not established. `peer.port` is 0 of
// a socket that listened, and of an end that has reset its connection itself: of that the kernel knows no bytes either.
// 0; -ENOBUFS when the kernel dropped some, since they were not read in time: others are still there.
int sockdiag_ends_read(int fd, void (*visit)(void *context, const struct sockdiag_row *row), void *context)
    __attribute__((warn_unused_result));

#endif
