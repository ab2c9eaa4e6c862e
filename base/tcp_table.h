// SPDX-License-Identifier: Apache-2.0
// TCP sockets by process: the table of a process' network namespace (/proc/PID/net/tcp, tcp6), the sockets that a process has
// (/proc/PID/fd), and the addresses that a namespace takes as its own. No privilege, but the descriptors of another user's
// process are listed for root only. sockdiag.h gives the table of this namespace with more facts and faster.
//
// Each descriptor that is listed adds an inode of /proc, which lasts as long as the process: do not list those of a process that
// has many without need. Any thread.
//
//     struct tcp_sockets sockets = {0};
//     if (tcp_sockets_of(pid, &sockets) == 0 && tcp_sockets_has(&sockets, row.inode)) ...
//     tcp_sockets_free(&sockets);
//     code = tcp_table_read(pid, TCP_LISTENING, visit, context);     // visit(context, &row) for each, until it returns false
#ifndef POOLMARK_BASE_TCP_TABLE_H
#define POOLMARK_BASE_TCP_TABLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tcp_end {
    uint8_t address[16]; // IPv4 as mapped IPv6
    uint16_t port;
};

enum tcp_state { TCP_CONNECTED = 1, TCP_LISTENING = 10 }; // as the kernel numbers them

struct tcp_row {
    struct tcp_end local, peer;
    bool v4; // an IPv4 socket
    uint64_t inode;
};

// The kernel gives a table in pieces, and sockets may come and go between two: then one that was there all the time may be missed.
//
// The sockets in one state of the network namespace of the process; 0: of this process. Listening ones cost little, though there
// may be a million others. 0, or -errno when no table can be read. A visit that returns false ends it.
int tcp_table_read(pid_t pid, enum tcp_state state, bool (*visit)(void *context, const struct tcp_row *row),
                   void *context) __attribute__((warn_unused_result));

struct tcp_sockets { // inodes, sorted
    uint64_t *list;
    size_t count, capacity;
};

// Adds those of a process. -errno: its descriptors cannot be listed, or -ENOMEM.
int tcp_sockets_of(pid_t pid, struct tcp_sockets *sockets) __attribute__((warn_unused_result));
// One more. False: out of memory.
bool tcp_sockets_add(struct tcp_sockets *sockets, uint64_t inode) __attribute__((warn_unused_result));
bool tcp_sockets_has(const struct tcp_sockets *sockets, uint64_t inode);
void tcp_sockets_free(struct tcp_sockets *sockets);

struct tcp_end tcp_end_of(const struct sockaddr_storage *address); // IPv4 and IPv6
bool tcp_end_is_any(const struct tcp_end *end);                    // 0.0.0.0 or ::
bool tcp_end_is_v4(const struct tcp_end *end);
bool tcp_end_equal(const struct tcp_end *one, const struct tcp_end *other);

// Whether connects to the address stay in the network namespace of the process (0: of this one): an address of an interface of
// it, the loopback, a local route (IPv4), or none at all (0.0.0.0).
bool tcp_end_is_local(const struct tcp_end *end, pid_t pid);

#endif
