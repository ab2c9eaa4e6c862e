// SPDX-License-Identifier: Apache-2.0
// Counts of the kernel's TCP that explain a latency which is not the target's work: /proc/net/netstat and
// /proc/net/snmp. They are of a whole network namespace, both ends of the
// loopback and all its programs: what counts is how they grow.
#ifndef POOLMARK_BASE_NETSTAT_H
#define POOLMARK_BASE_NETSTAT_H

#include <stdint.h>
#include <sys/types.h>

enum netstat_count {
    NETSTAT_LISTEN_OVERFLOWS, // handshakes that found an accept queue full
    NETSTAT_LISTEN_DROPS,     // those, and others that a listener dropped
    NETSTAT_SYN_RETRANSMITS,  // SYNs and SYN-ACKs sent again
    NETSTAT_TIMEOUTS,         // expired retransmission timers
    NETSTAT_RETRANSMITS,      // segments sent again, SYNs not counted
    NETSTAT_COUNT,
};

struct netstat {
    int64_t count[NETSTAT_COUNT]; // -1: this kernel does not say
};

const char *netstat_name(enum netstat_count what); // "listen_overflows"

// Of the network namespace of that process, 0: of this one. Any thread.
void netstat_read(struct netstat *netstat, pid_t pid);

// Of lines in pairs, names and then values ("Tcp: A B" and "Tcp: 1 2"), the value of `name` on those that
// begin with `group`; -1 when it is not there. For tests too.
int64_t netstat_value(const char *text, const char *group, const char *name);

#endif
