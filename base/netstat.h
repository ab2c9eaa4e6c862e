// SPDX-License-Identifier: Apache-2.0
// The kernel's TCP counters that explain latency which the target did not cause: /proc/net/netstat and
// /proc/net/snmp. They cover a whole network namespace: both ends of the loopback, and all programs. Use
// their growth.
#ifndef POOLMARK_BASE_NETSTAT_H
#define POOLMARK_BASE_NETSTAT_H

#include <stdint.h>
#include <sys/types.h>

enum netstat_count {
    NETSTAT_LISTEN_OVERFLOWS,  // handshakes that found an accept queue full
    NETSTAT_LISTEN_DROPS,      // overflows, and other handshakes that a listener dropped
    NETSTAT_SYN_RETRANSMITS,   // SYNs and SYN-ACKs sent again
    NETSTAT_TIMEOUTS,          // expired retransmission timers
    NETSTAT_RETRANSMITS,       // segments sent again, SYNs not counted
    NETSTAT_TCP_PRESSURES,     // times that TCP memory was short (tcp_mem)
    NETSTAT_TCP_MEMORY_ABORTS, // connections given up for want of it
    NETSTAT_PASSIVE_OPENS,     // connections that listeners took
    NETSTAT_COUNT,
};

struct netstat {
    int64_t count[NETSTAT_COUNT]; // -1: this kernel does not report it
};

const char *netstat_name(enum netstat_count what); // "listen_overflows"

// Reads the network namespace of process `pid`; 0: of this process. Any thread may call.
void netstat_read(struct netstat *netstat, pid_t pid);

// The text has pairs of lines, names and then values ("Tcp: A B" and "Tcp: 1 2"). Returns the value of `name`
// in the pair that begins with `group`; -1 when it is absent. For tests too.
int64_t netstat_value(const char *text, const char *group, const char *name);

#endif
